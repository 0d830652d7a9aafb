"""Gives libvips pictures whose rows are computed when it asks for them, as uncompressed TIFFs."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from residual_encoder.imaging import libvips, tiff_directory
from residual_encoder.imaging.rows import Rows
from residual_encoder.imaging.tiff_directory import LONG, LONG8, SHORT, Field

_STRIP = 1 << 22  # bytes that are computed at once


def image_of(pixels: Rows, errors: list[BaseException], access: str = "sequential") -> Any:
    """Makes libvips' image of rows that are computed while it is read, from the top.

    libvips reads an uncompressed TIFF whose bytes are made when it asks for them.

    Args:
      pixels: [H, W] gray, or [H, W, C].
      errors: What computing rows raises is put here.
      access: "sequential", or "random" of rows that are computed once all the same.
    """
    return libvips.tiff_of(_TiffStream(pixels), errors, access)


class _TiffStream:
    """Gives the bytes of a BigTIFF of rows, from any place."""

    def __init__(self, pixels: Rows) -> None:
        height, width = pixels.shape[:2]
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        self._pixels, self._at = pixels, 0
        self._row = width * channels * pixels.dtype.itemsize
        self._strip = max(1, _STRIP // self._row)  # rows
        self._head = _header(height, width, channels, pixels.dtype, self._strip, self._row)
        self._length = len(self._head) + height * self._row
        self._number, self._bytes = -1, b""

    def read(self, size: int) -> bytes:
        behind = self._at - len(self._head)
        if behind < 0:
            part = self._head[self._at : self._at + size]
        else:
            number, start = divmod(behind, self._strip * self._row)
            part = self._strip_bytes(number)[start : start + size]
        self._at += len(part)
        return bytes(part)

    def seek(self, offset: int, whence: int) -> int:
        self._at = offset + (0, self._at, self._length)[whence]
        return self._at

    def _strip_bytes(self, number: int) -> bytes:
        if number * self._strip >= self._pixels.shape[0]:
            return b""
        if number != self._number:
            top = number * self._strip
            rows = self._pixels[top : top + self._strip]
            self._number, self._bytes = number, np.ascontiguousarray(rows, rows.dtype).tobytes()
        return self._bytes


def _header(height: int, width: int, channels: int, dtype: Any, strip: int, row: int) -> bytes:
    """Returns the first bytes of a BigTIFF without compression, up to its first strip."""
    counts = np.full(-(-height // strip), strip * row, np.uint64)
    counts[-1] = (height - (len(counts) - 1) * strip) * row

    def directory(start: int) -> bytes:
        offsets = start + np.arange(len(counts), dtype=np.uint64) * np.uint64(strip * row)
        numbers = {256: width, 257: height, 278: strip}
        colors = 3 if channels > 2 else 1
        shorts = {259: [1], 262: [2 if colors > 1 else 1], 277: [channels]}
        shorts[258] = [8 * dtype.itemsize] * channels
        shorts |= {338: [2] * (channels - colors)} if channels > colors else {}
        fields = [Field(tag, LONG, struct.pack("<I", number)) for tag, number in numbers.items()]
        fields += [
            Field(tag, SHORT, np.array(some, "<u2").tobytes()) for tag, some in shorts.items()
        ]
        fields += [Field(273, LONG8, offsets.tobytes()), Field(279, LONG8, counts.tobytes())]
        return tiff_directory.write(tuple(fields), "<", 16, big=True)

    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)
    return head + directory(16 + len(directory(0)))
