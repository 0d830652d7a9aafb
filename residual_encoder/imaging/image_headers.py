"""Tells picture files apart by their first bytes; only these kinds are given to a decoder at all.

The graph of an exported SavedModel has to read headers by TensorFlow operations: see
`export.image_decoding`.
"""

from __future__ import annotations

import re

from residual_encoder.imaging import animated_png
from residual_encoder.imaging.tiff_directory import BIG_TIFF, TIFF

JPEG, PNG, BMP, GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8"
RIFF = b"RIFF"  # WebP, if b"WEBP" follows at byte 8
JP2 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")  # in boxes, and the bare codestream
_STARTS = {JPEG: "jpeg", PNG: "png", GIF: "gif", BMP: "bmp"}
_STARTS |= dict.fromkeys((*TIFF, *BIG_TIFF), "tiff") | dict.fromkeys(JP2, "jp2")
_STARTS |= {b"P%d" % number: "pnm" for number in range(1, 8)}
_SUFFIXES = {"jpeg": ".jpg", "png": ".png", "bmp": ".bmp", "tiff": ".tiff", "webp": ".webp"}

# Other files, by the bytes that give them away, for error messages.
_OTHER_FILES = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"<svg": "an SVG drawing",
    b"<!DO": "an HTML page",
    b"<htm": "an HTML page",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a gzip archive",
}


def kind_of(data: bytes) -> str | None:
    """Returns "jpeg", "png", "gif", "tiff", "webp", "avif", "bmp", "jp2" or "pnm"; or None."""
    start = bytes(data[:64])
    if start.startswith(RIFF) and start[8:12] == b"WEBP":
        return "webp"
    if start[4:8] == b"ftyp" and re.search(rb"avi[fs]", start[8:]):
        return "avif"
    return next((kind for begin, kind in _STARTS.items() if start.startswith(begin)), None)


def is_picture(data: bytes) -> bool:
    """Returns whether a file begins like a picture of a kind that is taken."""
    return kind_of(data) is not None


def suffix_of(data: bytes) -> str:
    """Returns the suffix of a file's own format, or .png where it is one that is only read."""
    return _SUFFIXES.get(kind_of(data) or "", ".png")


def png_chunks(data: bytes, wanted: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Returns the contents of the first chunk of each kind before the pixels."""
    found: dict[bytes, bytes] = {}
    for kind, begin, end in animated_png.places(data):
        if kind == b"IDAT":
            break
        if kind in wanted:
            found.setdefault(kind, bytes(data[begin:end]))
    return found


def explain(data: bytes, reason: str = "") -> str:
    """Describes bytes that no picture was made of; continues the file's name: "is ...".

    Args:
      data: The file's bytes.
      reason: The decoder's own words.
    """
    if kind := kind_of(data):
        cause = f" ({reason})" if reason else ""
        name = kind.upper()
        if re.search("not supported|not configured|not implemented|Unsupported", reason):
            return f"is a {name} of a kind that cannot be read{cause}: save it as PNG or plain TIFF"
        return f"begins like a picture, but is a damaged or truncated {name}{cause}: get it again"
    for start, words in _OTHER_FILES.items():
        if data[:64].startswith(start):
            return f"is no picture: it is {words}"
    if data[4:8] == b"ftyp":
        return "is a HEIC or video file, which cannot be read: save it as JPEG or PNG first"
    text = data[:64].decode("utf-8", "replace")[:24]
    if all(char.isprintable() or char.isspace() for char in text.replace("\ufffd", "\0")):
        text = " ".join(text.split())
        return f"is no picture: it is text that begins with {text!r}"
    return f"is no picture that can be read: it begins with the bytes {data[:8].hex(' ')}"
