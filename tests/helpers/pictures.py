"""Files of pictures that are made in memory, by Pillow, tifffile and by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from residual_encoder.imaging import tiff_directory
from residual_encoder.imaging.tiff_directory import Field


def saved(pixels: np.ndarray, form: str, mode: str | None = None, **options: Any) -> bytes:
    """A file written by Pillow."""
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, form, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """A file written by tifffile."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def with_entries(data: bytes, *more: Field) -> bytes:
    """A little-endian TIFF with more entries, which lie behind its pixels."""
    start = len(data) + len(data) % 2
    directory = tiff_directory.write((*tiff_directory.read(data, stay=True), *more), "<", start)
    return data[:4] + struct.pack("<I", start) + data[8:].ljust(start - 8, b"\0") + directory


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)
