"""Reads and writes picture files; orientation, alpha, bit depth and metadata are kept.

This is the decoder of pictures that are colored. Two others exist since a TensorFlow graph cannot
call it: `data.preprocessing.decode` in the input pipeline of training, and
`export.image_decoding.decode` inside an exported SavedModel. What they share, the first bytes of
formats and the meaning of orientations, is in `image_headers` and `image_metadata`.

OpenCV orders channels B, G, R; the swap happens here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from residual_encoder.imaging import heif, image_headers
from residual_encoder.imaging.image_metadata import (
    CMYK,
    JPEG_EXIF,
    MIRRORED,
    NOTHING,
    ORIENTATION,
    PHOTOMETRIC,
    TRANSPOSED,
    UPSIDE_DOWN,
    Metadata,
    rgb_profile,
    tags,
    upright,
    with_jpeg_profile,
)
from residual_encoder.imaging.tiff_directory import TIFF
from residual_encoder.utils import files

MAX_PIXELS = 200_000_000  # more than any camera's
MAX_BYTES = 2**31 - 1  # of a file; OpenCV counts them in 32 bits, and 200 megapixels need fewer
# Measured: coloring a file takes so many bytes of memory a pixel, twice as many at 16 bits, beyond
# the network's own: the picture, its colored copy, and a copy in the order that OpenCV writes.
BYTES_PER_PIXEL = 10
QUALITY = 95  # of 100, for JPEG and WebP: no visible blocks at about a third of PNG's size

READABLE = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .jp2 .ppm .pgm .pbm .pnm .avif".split()
)


@dataclass(frozen=True)
class Picture:
    """Holds a decoded picture, upright.

    Attributes:
      pixels: [H, W] gray or [H, W, 3] RGB; uint8 or uint16, as in the file. A picture whose three
        channels are equal everywhere is gray, however its file stores it.
      alpha: [H, W] of the same type, 0 is transparent; None where the file has none.
      metadata: EXIF data, with orientation 1, and RGB profile, for `encode`.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = NOTHING

    @property
    def has_color(self) -> bool:
        """Returns whether any pixel differs from gray."""
        return self.pixels.ndim == 3

    @property
    def depth(self) -> int:
        """Returns the bits a sample: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def rgb(self) -> np.ndarray:
        """Returns [H, W, 3], gray repeated, without alpha."""
        return self.pixels if self.has_color else np.stack([self.pixels] * 3, axis=-1)


# --- before decoding ------------------------------------------------------------------------------


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"has {width} x {height} pixels, {height * width / 1e6:.0f} megapixels; "
            f"at most {MAX_PIXELS / 1e6:.0f} are taken: make it smaller first"
        )


# --- decoding -------------------------------------------------------------------------------------


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences OpenCV's own log: callers turn its failures into errors."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns [H, W, ...] upright from any of the eight orientations; leaves it for other numbers."""
    pixels = pixels.swapaxes(0, 1) if orientation in TRANSPOSED else pixels
    pixels = pixels[:, ::-1] if orientation in MIRRORED else pixels
    return pixels[::-1] if orientation in UPSIDE_DOWN else pixels


def _swapped(pixels: np.ndarray) -> np.ndarray:
    """Swaps RGB and BGR; alpha and gray stay."""
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    return pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, codes[pixels.shape[2]])


def _opencv_decode(data: bytes) -> tuple[np.ndarray, Metadata]:
    """Decodes to [H, W], [H, W, 3] BGR or [H, W, 4] BGRA, upright; and reads the metadata.

    "Unchanged" is the only mode that keeps alpha, and it leaves EXIF orientation to us. TIFF's own
    orientation tag it applies by itself.
    """
    try:
        with quiet():
            buffer = np.frombuffer(data, np.uint8)
            pixels, kinds, blocks = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(image_headers.explain(data))
    found = {kind: np.asarray(block).tobytes() for kind, block in zip(kinds, blocks, strict=True)}
    exif = found.get(cv2.IMAGE_METADATA_EXIF, b"").removeprefix(b"Exif\0\0")
    orientation = tags(exif).get(ORIENTATION, 1)
    profile = rgb_profile(found.get(cv2.IMAGE_METADATA_ICCP, b""))
    if data.startswith(TIFF) and tags(data).get(PHOTOMETRIC) == CMYK:
        pixels = pixels[..., :3]  # OpenCV adds an alpha of its own
    return _turned(pixels, orientation), Metadata(upright(exif), profile)


def _has_color(pixels: np.ndarray) -> bool:
    """Returns whether any pixel of [H, W, 3 or 4] differs from gray; mostly a few rows tell."""
    for rows in (pixels[::64], pixels):
        for row in rows:
            if np.any(row[:, 0] != row[:, 1]) or np.any(row[:, 1] != row[:, 2]):
                return True
    return False


def as_picture(pixels: np.ndarray, metadata: Metadata = NOTHING) -> Picture:
    """Makes a `Picture` of [H, W], [H, W, 1], [H, W, 3] RGB or [H, W, 4] RGBA, 8 or 16 bits."""
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2:] == (4,) else None
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        gray = pixels.reshape(pixels.shape[:2])
    else:
        gray = pixels[..., :3] if _has_color(pixels) else pixels[..., 1]
    return Picture(np.ascontiguousarray(gray), alpha, metadata)


def decode(data: bytes) -> Picture:
    """Decodes a picture file's bytes.

    Takes JPEG (also CMYK), PNG, WebP, TIFF, BMP, GIF, JPEG 2000, PNM, AVIF and, where the package
    is there, HEIC: gray, palette or color, 1 to 16 bits, with or without alpha. Of an animation or
    a document, the first page; for all of them see `inference.pages`.
    EXIF data and RGB profiles come along from JPEG, PNG and WebP.

    Raises:
      ValueError: no picture, a truncated one, samples that are no 8- or 16-bit integers, or more
        than `MAX_PIXELS` pixels, by its header before it is decoded. The message continues the
        file's name: "is ...", "has ...".
    """
    if not data:
        raise ValueError("is empty; a picture file was wanted")
    if heif.is_heif(data[:64]):
        data = heif.as_png(data, MAX_PIXELS)
    height, width = image_headers.declared_size(data) or (0, 0)
    if not height or not width:
        raise ValueError(image_headers.explain(data))
    _check_size(height, width)
    image_headers.check_whole(data)
    pixels, metadata = _opencv_decode(data)
    _check_size(*pixels.shape[:2])
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"has {pixels.dtype} samples; save it with 8 or 16 bits a channel")
    return as_picture(_swapped(pixels), metadata)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a picture file's bytes.

    Raises:
      ValueError: there are more than `MAX_BYTES`; nothing is read then.
      OSError: no such file, or it cannot be read.
    """
    path = Path(path)
    _check_length(path.stat().st_size)
    return path.read_bytes()


def read_stream(stream: BinaryIO) -> bytes:
    """Reads a stream such as standard input to its end.

    Raises:
      ValueError: there are more than `MAX_BYTES`; no more are read then.
    """
    data = stream.read(MAX_BYTES + 1)
    _check_length(len(data))
    return data


def _check_length(count: int) -> None:
    if count > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES / 2**20:,.0f} megabytes, which is the limit")


def read(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file; see `decode`.

    Raises:
      ValueError: as `decode` and `read_bytes`, with the file's name.
      OSError: no such file, or it cannot be read.
    """
    try:
        return decode(read_bytes(path))
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error


# --- encoding -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Format:
    name: str
    alpha: bool
    deep: bool  # takes uint16
    options: tuple[int, ...] = ()
    deep_options: tuple[int, ...] = ()  # the same for uint16
    metadata: bool = True  # OpenCV writes EXIF data and profiles


_JPEG_FORMAT = _Format("JPEG", False, False, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
# OpenCV's default, LZW, is quick but makes 16-bit photographs larger than no compression does.
_DEFLATE = (cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE)
_TIFF_FORMAT = _Format("TIFF", True, True, deep_options=_DEFLATE, metadata=False)
_FORMATS = {
    ".jpg": _JPEG_FORMAT,
    ".jpeg": _JPEG_FORMAT,
    ".jpe": _JPEG_FORMAT,
    ".png": _Format("PNG", True, True),
    ".webp": _Format("WebP", True, False, (cv2.IMWRITE_WEBP_QUALITY, QUALITY)),
    ".tif": _TIFF_FORMAT,
    ".tiff": _TIFF_FORMAT,
    ".bmp": _Format("BMP", True, False, metadata=False),
}
WRITABLE = frozenset(_FORMATS)


def format_name(suffix: str) -> str:
    """Returns the format that one of `WRITABLE`, in any case, stands for."""
    return _FORMATS[suffix.lower()].name


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


def _blocks(form: _Format, metadata: Metadata) -> dict[int, bytes]:
    """Returns the metadata of a picture that OpenCV can write, by OpenCV's kinds."""
    if not form.metadata:
        return {}
    jpeg = form is _JPEG_FORMAT
    fits = not jpeg or len(metadata.exif) <= JPEG_EXIF
    blocks = {
        cv2.IMAGE_METADATA_EXIF: metadata.exif if fits else b"",
        cv2.IMAGE_METADATA_ICCP: b"" if jpeg else metadata.icc,  # put in afterwards
    }
    return {kind: block for kind, block in blocks.items() if block}


def encode(pixels: np.ndarray, suffix: str, metadata: Metadata = NOTHING) -> bytes:
    """Encodes a picture.

    Args:
      pixels: [H, W] gray, [H, W, 3] RGB or [H, W, 4] RGBA; uint8, or uint16 for PNG and TIFF.
      suffix: One of `WRITABLE`, with its dot, in any case.
      metadata: That of a `Picture`; written into JPEG, PNG and WebP, left out elsewhere.

    Raises:
      ValueError: the format cannot hold the picture.
    """
    suffix = suffix.lower()
    _check_encodable(pixels, suffix)
    form = _FORMATS[suffix]
    options = form.options if pixels.dtype == np.uint8 else form.deep_options
    blocks = _blocks(form, metadata)
    arrays = [np.frombuffer(block, np.uint8)[None] for block in blocks.values()]
    try:
        with quiet():
            done, data = cv2.imencodeWithMetadata(
                suffix, _swapped(pixels), list(blocks), arrays, options
            )
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot write this picture as {suffix}: {error.err}") from error
    if not done:
        raise ValueError(f"{form.name} cannot hold {pixels.shape} pixels")
    encoded = data.tobytes()
    return with_jpeg_profile(encoded, metadata.icc) if form is _JPEG_FORMAT else encoded


def write(path: str | os.PathLike[str], pixels: np.ndarray, metadata: Metadata = NOTHING) -> None:
    """Writes a picture, whole or not at all, in the format of the path's suffix; see `encode`.

    An earlier file of that name is replaced.

    Raises:
      ValueError: the format is unknown or cannot hold the picture.
      OSError: the folder cannot be written, or the disk is full.
    """
    data = encode(pixels, Path(path).suffix, metadata)
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
