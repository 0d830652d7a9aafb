"""Turns HEIC pictures, which need an optional package, into PNGs that every other reader takes."""

from __future__ import annotations

import importlib.util
import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from residual_encoder.imaging import animated_png, rare_formats

SUFFIXES = frozenset((".heic", ".heif", ".hif"))
ADVICE = 'pip install pillow-heif, or in the project\'s folder pip install ".[heic]"'
_BRANDS = re.compile(rb"ftyp(hei[cxms]|hev[cxms]|mif1|msf1)")
_AVIF = re.compile(rb"avi[fs]")  # the same container, which is read without the package
_DAMAGE = (EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError)
_MODES = ("L", "LA", "RGB", "RGBA")  # of Pillow
_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels: color type of PNG


def is_heif(head: bytes) -> bool:
    """Returns whether a file's first bytes, at least 64, are those of a HEIC picture."""
    return bool(_BRANDS.match(head[4:12])) and not _AVIF.search(head[8:64])


def available() -> bool:
    """Returns whether HEIC can be read here."""
    return importlib.util.find_spec("pillow_heif") is not None


def as_png(data: bytes, most_pixels: int) -> tuple[bytes, int]:
    """Makes a PNG of a HEIC's main picture, upright, with its depth, color space, EXIF and XMP.

    Samples of 10 and 12 bits become 16 bits of the same meaning. The PNG is not compressed.

    Args:
      data: The file.
      most_pixels: A larger picture is refused before it is decoded.

    Returns:
      (the PNG, how many other pictures the file has: thumbnails, depth maps, gain maps and other
      auxiliary images are none).

    Raises:
      ValueError: the package is missing, or the file is damaged or too large; the message continues
        the file's name.
    """
    if not available():
        raise ValueError(f"is a HEIC file, which cannot be read here: {ADVICE}")
    import pillow_heif

    with _damaged():
        picture = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        width, height = picture.size
    if width * height > most_pixels:
        raise ValueError(
            f"has {width} x {height} pixels; at most {most_pixels / 1e6:.0f} megapixels are taken: "
            "make it smaller first"
        )
    mode = picture.mode.split(";")[0]
    if mode not in _MODES:
        raise ValueError(f"is a HEIC file with {picture.mode} samples: save it as PNG first")
    with _damaged():
        pixels = np.asarray(picture).reshape(height, width, len(mode))
        pillow_heif.misc.set_orientation(picture.info)  # it is turned already
    png = _png(_full_range(pixels, picture.info.get("bit_depth", 8)), picture.info)
    return png, len(picture) - 1


@contextmanager
def _damaged() -> Iterator[None]:
    """Puts words before the message of an error of the decoder."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"is a damaged HEIC file: {error}") from error


def _full_range(pixels: np.ndarray, depth: int) -> np.ndarray:
    """Spreads samples that stand in the upper bits of 16 over the whole range."""
    if pixels.dtype == np.uint8 or depth >= 16:
        return pixels
    return rare_formats.scaled(pixels >> (16 - depth), 2**depth - 1)


def _png(pixels: np.ndarray, info: dict[str, Any]) -> bytes:
    """Encodes [H, W, C] without compression; PNG third edition."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    head = struct.pack(">IIBBBBB", width, height, depth, _COLOR_TYPES[channels], 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    lines = rows.reshape(height, -1).view(np.uint8)
    filtered = np.pad(lines, ((0, 0), (1, 0)))  # a row begins with its filter: 0, none
    parts = [(b"IHDR", head), *_metadata(info)]
    parts += [(b"IDAT", zlib.compress(filtered.tobytes(), 0)), (b"IEND", b"")]
    return animated_png.START + b"".join(animated_png.chunk(*part) for part in parts)


def _metadata(info: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    parts = []
    if nclx := info.get("nclx_profile"):  # tells of HDR, for one
        codes = nclx["color_primaries"], nclx["transfer_characteristics"]
        parts.append((b"cICP", bytes([*codes, 0, 1])))
    if icc := info.get("icc_profile"):
        parts.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif := (info.get("exif") or b"").removeprefix(b"Exif\0\0"):
        parts.append((b"eXIf", exif))
    if xmp := info.get("xmp"):
        parts.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.rstrip(b"\0")))
    return parts
