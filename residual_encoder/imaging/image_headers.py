"""Reads what a picture file's first bytes declare, before it is decoded: its format and size.

The formats listed here are the only ones that are given to a decoder at all. The graph of an
exported SavedModel has to read headers by TensorFlow operations: see `export.image_decoding`.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable

from residual_encoder.imaging import tiff_directory
from residual_encoder.imaging.tiff_directory import BIG_TIFF, TIFF

JPEG, PNG, BMP, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8"
RIFF = b"RIFF"  # WebP, if b"WEBP" follows at byte 8
_JP2 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")  # in boxes, and the bare codestream
_PAM = b"P7\n"
_PAM_SIDES = re.compile(rb"\nHEIGHT\s+(\d{1,9})\s"), re.compile(rb"\nWIDTH\s+(\d{1,9})\s")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})\s")  # width, height
_TEXT_HEADER = 4096  # bytes: comments beyond are not looked through
# What libjpeg takes for the next marker: bytes between segments, fill bytes and markers that have
# no segment are passed over.
_MARKER = re.compile(rb"\xff[^\xff\x00\x01\xd0-\xd7]")
_SEGMENTS = 100_000  # a profile of 16 MB takes 256
_CHUNKS = 1_000_000  # of a PNG: they mostly have 8 kB

# TIFF 6.0: ImageWidth, ImageLength, TileWidth, TileLength. A tile is decoded whole.
_WIDTHS, _HEIGHTS = (256, 322), (257, 323)
Size = tuple[int, int]  # height, width


def _jpeg_header(data: bytes) -> tuple[int, int, int]:
    """Returns (height, width, where the scan begins) of a JPEG; ITU-T T.81 annex B.

    Raises:
      ValueError: the data ends before the picture begins.
    """
    height = width = 0
    position = 2
    for _ in range(_SEGMENTS):
        found = _MARKER.search(data, position)
        if not found or found.end() + 7 > len(data):
            break
        marker, position = data[found.end() - 1], found.end()
        if marker == 0xDA:  # start of scan
            return height, width, found.start()
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            sides = struct.unpack_from(">HH", data, position + 3)
            height, width = max(height, sides[0]), max(width, sides[1])
        position += int.from_bytes(data[position : position + 2])
    raise ValueError("is a truncated JPEG: the data ends inside the header")


def _png_is_whole(data: bytes) -> bool:
    """Returns whether a PNG has one header, pixels, and every chunk that it names, to the end.

    OpenCV allocates a chunk, of up to 2 GB, before it checks that it is there, and searches for
    pixels beyond the end where there are none before.
    """
    position, pixels = len(PNG), False
    for number in range(_CHUNKS):
        length, kind = (
            int.from_bytes(data[position : position + 4]),
            data[position + 4 : position + 8],
        )
        position += 12 + length  # with its own length, name and checksum
        if position > len(data) or (kind == b"IHDR") != (number == 0):
            return False
        pixels = pixels or kind == b"IDAT"
        if kind == b"IEND":
            return pixels
    return False


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _bmp(data: bytes) -> Size:
    core = struct.unpack_from("<I", data, 14) == (12,)  # OS/2: sides of 16 bits
    width, height = struct.unpack_from("<HH" if core else "<ii", data, 18)
    return abs(height), abs(width)


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _tiff(data: bytes) -> Size:
    """Returns the largest declared size: of two entries with one tag, readers take either."""
    found = dict.fromkeys((*_HEIGHTS, *_WIDTHS), 0)
    with contextlib.suppress(struct.error, OverflowError):
        for entry in tiff_directory.entries(data, tiff_directory.first(data)):
            if entry.tag in found:
                found[entry.tag] = max(found[entry.tag], tiff_directory.value(data, entry) or 0)
    if not (found[_HEIGHTS[0]] and found[_WIDTHS[0]]):
        return 0, 0
    return max(found[tag] for tag in _HEIGHTS), max(found[tag] for tag in _WIDTHS)


def _webp(data: bytes) -> Size:
    """Follows Google's container specification and RFC 6386, section 9.1."""
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[27:30], "little"), 1 + int.from_bytes(data[24:27], "little")
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return height & 0x3FFF, width & 0x3FFF


def _jpeg2000(data: bytes) -> Size:
    """Reads the SIZ segment of the codestream, ITU-T T.800 annex A.5.1."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, data.find(_JP2[1]) + 8)
    return max(bottom - top, 0), max(right - left, 0)


def _avif(data: bytes) -> Size:
    """Finds the largest `ispe` box, ISO/IEC 23008-12: thumbnails, tiles, alpha have their own."""
    places = [found.end() for found in re.finditer(b"ispe", data)]
    sizes = [struct.unpack_from(">II", data, place + 4) for place in places]
    return max((h for _, h in sizes), default=0), max((w for w, _ in sizes), default=0)


def _pnm(data: bytes) -> Size:
    found = _PNM.match(data[:_TEXT_HEADER])
    return (int(found[2]), int(found[1])) if found else (0, 0)


def _pam(data: bytes) -> Size:
    height, width = (side.search(data[:_TEXT_HEADER]) for side in _PAM_SIDES)
    return (int(height[1]), int(width[1])) if height and width else (0, 0)


def _jpeg(data: bytes) -> Size:
    return _jpeg_header(data)[:2]


_READERS: dict[bytes, Callable[[bytes], Size]] = {
    JPEG: _jpeg,
    PNG: _png,
    BMP: _bmp,
    GIF: _gif,
    **dict.fromkeys((*TIFF, *BIG_TIFF), _tiff),
    **dict.fromkeys(_JP2, _jpeg2000),
    _PAM: _pam,
    **{b"P%d" % number: _pnm for number in range(1, 7)},
}


def _reader(data: bytes) -> Callable[[bytes], Size] | None:
    """Returns the function that reads the size of such a file; None for other kinds of file."""
    if _is_webp(data):
        return _webp
    if data[4:8] == b"ftyp" and re.search(rb"avi[fs]", data[8:64]):
        return _avif
    return next((reader for start, reader in _READERS.items() if data.startswith(start)), None)


def _is_webp(data: bytes) -> bool:
    return data.startswith(RIFF) and data[8:12] == b"WEBP"


def is_picture(data: bytes) -> bool:
    """Returns whether a file begins like a picture of a kind that is taken."""
    return _reader(data) is not None


def declared_size(data: bytes) -> Size | None:
    """Returns height and width in pixels as the header has them, before EXIF orientation.

    Takes JPEG, PNG, BMP, GIF, TIFF, BigTIFF, WebP, JPEG 2000, AVIF, PNM and PAM.

    Returns:
      (height, width), (0, 0) where the header is damaged; None for any other kind of file.

    Raises:
      ValueError: a JPEG that ends inside its header.
    """
    reader = _reader(data)
    try:
        return reader and reader(data)
    except struct.error:
        return 0, 0


def suffix_of(data: bytes) -> str:
    """Returns the suffix of a file's own format, or .png where it is one that is only read."""
    starts = {JPEG: ".jpg", PNG: ".png", BMP: ".bmp"}
    starts |= dict.fromkeys(TIFF, ".tiff")
    if _is_webp(data):
        return ".webp"
    return next((suffix for start, suffix in starts.items() if data.startswith(start)), ".png")


# --- errors of a file -----------------------------------------------------------------------------

# Formats that OpenCV does not read, by the bytes that give them away, for error messages.
_OTHER_FILES = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"<svg": "an SVG drawing",
    b"<!DO": "an HTML page",
    b"<htm": "an HTML page",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a gzip archive",
}


def check_whole(data: bytes) -> None:
    """Checks that a JPEG or PNG has an end: some decoders fill a missing one with gray silently.

    Raises:
      ValueError: it has none; the message continues the file's name: "is ...".
    """
    if data.startswith(JPEG) and data.find(b"\xff\xd9", _jpeg_header(data)[2]) < 0:
        raise ValueError("is a truncated JPEG: its end marker is missing; fetch the file again")
    if data.startswith(PNG) and not _png_is_whole(data):
        raise ValueError("is a truncated or damaged PNG: parts are missing; fetch the file again")


def explain(data: bytes) -> str:
    """Describes bytes that OpenCV made no picture of; continues the file's name: "is ..."."""
    if is_picture(data):
        return "begins like a picture, but is damaged or truncated, or of a kind OpenCV cannot read"
    for start, words in _OTHER_FILES.items():
        if data.startswith(start):
            return f"is no picture: it is {words}"
    if data[4:8] == b"ftyp":
        return "is a HEIC or video file, which OpenCV cannot read: save it as JPEG or PNG first"
    text = data[:64].decode("utf-8", "replace")[:24]
    if all(char.isprintable() or char.isspace() for char in text.replace("\ufffd", "\0")):
        return f"is no picture: it is text that begins with {text!r}"
    return f"is no picture that OpenCV can read: it begins with the bytes {data[:8].hex(' ')}"
