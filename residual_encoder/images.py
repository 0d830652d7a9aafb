"""Picture files to pixels and back: orientation, alpha and depth kept. The only use of OpenCV.

OpenCV orders channels B, G, R; the swap happens here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from residual_encoder import files

# Ours. Coloring a gray 8-bit picture of this size was measured to take 5.8 GiB and under a minute.
MAX_PIXELS = 200_000_000
QUALITY = 95  # ours, of 100, for JPEG and WebP: no visible blocks at about a third of PNG's size

READABLE = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .jp2 .ppm .pgm .pbm .pnm .avif".split()
)

_JPEG, _PNG, _BMP, _GIF = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8"
_TIFF = (b"II*\0", b"MM\0*")
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # TIFF 6.0 tags; EXIF borrows the third

# Formats that OpenCV does not read, by the bytes that give them away, for error messages.
_STRANGERS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"<svg": "an SVG drawing",
    b"<!DO": "an HTML page",
    b"<htm": "an HTML page",
    b"8BPS": "a Photoshop document",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
      pixels: [H, W] gray or [H, W, 3] RGB; uint8 or uint16, as in the file. A picture whose three
        channels are equal everywhere is gray, however its file stores it.
      alpha: [H, W] of the same type, 0 is transparent; None where the file has none.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def has_color(self) -> bool:
        """Whether any pixel differs from gray."""
        return self.pixels.ndim == 3

    @property
    def depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def rgb(self) -> np.ndarray:
        """[H, W, 3], gray repeated, without alpha."""
        return self.pixels if self.has_color else np.stack([self.pixels] * 3, axis=-1)


# --- what the header says -------------------------------------------------------------------------


def _tiff_tags(data: bytes) -> dict[int, int]:
    """Short and long values of a TIFF structure's first directory, by tag; as far as it goes."""
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if kind in (3, 4):  # SHORT, LONG
                form = order + ("H" if kind == 3 else "I")
                (tags[tag],) = struct.unpack_from(form, data, entry + 8)
    return tags


def _jpeg_header(data: bytes) -> tuple[int, int, int]:
    """(height, width, where the scan begins) of a JPEG; ITU-T T.81 annex B.

    Raises:
      ValueError: the data ends before the picture begins.
    """
    height = width = 0
    position = 2
    while position + 9 <= len(data):
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack_from(">HH", data, position + 5)
        if marker == 0xDA:  # start of scan
            return height, width, position
        position += 2 + length
    raise ValueError("is a truncated JPEG: the data ends inside the header")


def _declared_size(data: bytes) -> tuple[int, int]:
    """(height, width) as the header has it; (0, 0) for formats that are measured after decoding."""
    with contextlib.suppress(struct.error):
        if data.startswith(_JPEG):
            return _jpeg_header(data)[:2]
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return height, width
        if data.startswith(_BMP):
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(height), width
        if data.startswith(_GIF):
            width, height = struct.unpack_from("<HH", data, 6)
            return height, width
        if data.startswith(_TIFF):
            tags = _tiff_tags(data)
            return tags.get(_HEIGHT, 0), tags.get(_WIDTH, 0)
    return 0, 0


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"has {width} x {height} pixels, {height * width / 1e6:.0f} megapixels; "
            f"at most {MAX_PIXELS / 1e6:.0f} are taken: make it smaller first"
        )


def _check_whole(data: bytes) -> None:
    """Some decoders fill a missing end with gray and say nothing: look for the end first."""
    if data.startswith(_JPEG) and data.find(b"\xff\xd9", _jpeg_header(data)[2]) < 0:
        raise ValueError("is a truncated JPEG: its end marker is missing; fetch the file again")
    if data.startswith(_PNG) and b"IEND" not in data[-1024:]:
        raise ValueError("is a truncated PNG: its end chunk is missing; fetch the file again")


def _found(data: bytes) -> str:
    """Words for bytes that OpenCV made no picture of."""
    if data.startswith((_JPEG, _PNG, _BMP, _GIF, *_TIFF)) or data[8:12] == b"WEBP":
        return "begins like a picture, but is damaged or truncated, or of a kind OpenCV cannot read"
    for start, words in _STRANGERS.items():
        if data.startswith(start):
            return f"is no picture: it is {words}"
    if data[4:8] == b"ftyp":
        return "is a HEIC or video file, which OpenCV cannot read: save it as JPEG or PNG first"
    text = data[:64].decode("utf-8", "replace")[:24]
    if all(char.isprintable() or char.isspace() for char in text.replace("\ufffd", "\0")):
        return f"is no picture: it is text that begins with {text!r}"
    return f"is no picture that OpenCV can read: it begins with the bytes {data[:8].hex(' ')}"


# --- decoding -------------------------------------------------------------------------------------

# EXIF 2.32, 4.6.4.A: where row 0 and column 0 of the file lie in the upright picture.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),  # clockwise
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV's own log off: what goes wrong becomes an error of ours."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _swapped(pixels: np.ndarray) -> np.ndarray:
    """RGB to BGR and back; alpha and gray stay."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, codes[pixels.shape[2]])


def _opencv_decode(data: bytes) -> np.ndarray:
    """[H, W], [H, W, 3] BGR or [H, W, 4] BGRA, upright.

    "Unchanged" is the only mode that keeps alpha, and it leaves EXIF orientation to us. TIFF's own
    orientation tag it applies by itself.
    """
    try:
        with _quiet():
            buffer = np.frombuffer(data, np.uint8)
            pixels, kinds, blocks = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(_found(data))
    orientation = 1
    for kind, block in zip(kinds, blocks, strict=True):
        if kind == cv2.IMAGE_METADATA_EXIF:
            exif = np.asarray(block).tobytes().removeprefix(b"Exif\0\0")
            orientation = _tiff_tags(exif).get(_ORIENTATION, 1)
    return _UPRIGHT.get(orientation, _UPRIGHT[1])(pixels)


def as_picture(pixels: np.ndarray) -> Picture:
    """[H, W], [H, W, 1], [H, W, 3] RGB or [H, W, 4] RGBA of uint8 or uint16, as a `Picture`."""
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2:] == (4,) else None
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return Picture(np.ascontiguousarray(pixels.reshape(pixels.shape[:2])), alpha)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return Picture(np.ascontiguousarray(green), alpha)
    return Picture(np.ascontiguousarray(pixels[..., :3]), alpha)


def decode(data: bytes) -> Picture:
    """Decodes a picture file's bytes.

    Takes JPEG (also CMYK), PNG, WebP, TIFF, BMP, GIF, JPEG 2000, PNM and AVIF: gray, palette or
    color, 1 to 16 bits, with or without alpha. Of an animation or a document, the first page.

    Raises:
      ValueError: no picture, a truncated one, samples that are no 8- or 16-bit integers, or more
        than `MAX_PIXELS` pixels. The message goes on from the file's name: "is ...", "has ...".
    """
    if not data:
        raise ValueError("is empty; a picture file was wanted")
    _check_size(*_declared_size(data))
    _check_whole(data)
    pixels = _opencv_decode(data)
    _check_size(*pixels.shape[:2])
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"has {pixels.dtype} samples; save it with 8 or 16 bits a channel")
    return as_picture(_swapped(pixels))


def read(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file; see `decode`.

    Raises:
      ValueError: as `decode`, with the file's name.
      OSError: no such file, or it cannot be read.
    """
    try:
        return decode(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error


# --- encoding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Format:
    name: str
    alpha: bool
    deep: bool  # takes uint16
    options: tuple[int, ...] = ()


_JPEG_FORMAT = _Format("JPEG", False, False, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
_TIFF_FORMAT = _Format("TIFF", True, True)
_FORMATS = {
    ".jpg": _JPEG_FORMAT,
    ".jpeg": _JPEG_FORMAT,
    ".jpe": _JPEG_FORMAT,
    ".png": _Format("PNG", True, True),
    ".webp": _Format("WebP", True, False, (cv2.IMWRITE_WEBP_QUALITY, QUALITY)),
    ".tif": _TIFF_FORMAT,
    ".tiff": _TIFF_FORMAT,
    ".bmp": _Format("BMP", True, False),
}
WRITABLE = frozenset(_FORMATS)


def _check_encodable(pixels: np.ndarray, suffix: str) -> None:
    if suffix not in _FORMATS:
        known = " ".join(_FORMATS)
        raise ValueError(f"cannot write a picture as {suffix or 'a name without suffix'}: {known}")
    shape_fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype not in (np.uint8, np.uint16) or not shape_fits or not pixels.size:
        raise ValueError(
            "a picture to write is [H, W], [H, W, 3] or [H, W, 4], uint8 or uint16. "
            f"Received {pixels.dtype} {pixels.shape}."
        )
    form = _FORMATS[suffix]
    if pixels.dtype == np.uint16 and not form.deep:
        raise ValueError(f"{form.name} holds 8 bits a channel, the picture has 16: use PNG or TIFF")
    if pixels.shape[2:] == (4,) and not form.alpha:
        raise ValueError(f"{form.name} holds no alpha, the picture has it: use PNG, WebP or TIFF")


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    """Encodes a picture.

    Args:
      pixels: [H, W] gray, [H, W, 3] RGB or [H, W, 4] RGBA; uint8, or uint16 for PNG and TIFF.
      suffix: One of `WRITABLE`, with its dot, in any case.

    Raises:
      ValueError: the format cannot hold the picture.
    """
    suffix = suffix.lower()
    _check_encodable(pixels, suffix)
    try:
        with _quiet():
            done, data = cv2.imencode(suffix, _swapped(pixels), _FORMATS[suffix].options)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot write this picture as {suffix}: {error.err}") from error
    if not done:
        raise ValueError(f"{_FORMATS[suffix].name} cannot hold {pixels.shape} pixels")
    return data.tobytes()


def write(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Writes a picture, whole or not at all, in the format of the path's suffix; see `encode`.

    An earlier file of that name is replaced.

    Raises:
      ValueError: the format is unknown or cannot hold the picture.
      OSError: the folder cannot be written, or the disk is full.
    """
    data = encode(pixels, Path(path).suffix)
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
