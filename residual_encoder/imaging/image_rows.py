"""Reads and writes pictures that are too large for memory, in rows from the top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residual_encoder.imaging import image_decoding, libvips
from residual_encoder.imaging.image_decoding import Opened
from residual_encoder.imaging.rows import Rows, blocks

_STRIP = 1 << 20  # bytes that are decoded at once; libvips needs up to 90 times as many


def decoded(data: bytes, path: str | None) -> tuple[Rows, Rows | None]:
    """Returns a file's gray or colors, and its alpha or None; each decodes the file by itself.

    Raises:
      ValueError: a damaged file, also when rows are taken, or one that is decoded as a whole only;
        the message continues the file's name.
    """
    opened = Opened(data, path)
    opened.check_rows()
    access = "random" if opened.turned else "sequential"  # libvips keeps random ones on the disk
    image = Opened(data, path, access).image()
    colors = image.bands - (image.bands in (2, 4))

    def part(channels: slice) -> Rows:
        count = len(range(image.bands)[channels])
        shape = (image.height, image.width) + ((count,) if count > 1 else ())
        decoder = _Decoder(lambda: Opened(data, path, access), channels)
        return Rows(shape, libvips.dtype(image), decoder.rows)

    pixels = part(slice(colors))
    if colors == 3 and not _has_color(pixels):
        pixels = part(slice(1, 2))
    return pixels, part(slice(colors, None)) if image.bands > colors else None


def _has_color(pixels: Rows) -> bool:
    return any((part != part[..., :1]).any() for part in (pixels[rows] for rows in blocks(pixels)))


class _Decoder:
    """Decodes blocks of rows from the top; rows above the last two blocks start the file anew."""

    def __init__(self, open_file: Callable[[], Opened], channels: slice) -> None:
        self._open, self._channels = open_file, channels
        self._opened = open_file()
        self._fetch: Callable[[slice], np.ndarray] | None = None
        self._blocks: list[tuple[int, np.ndarray]] = []  # the last two and where they begin

    def rows(self, rows: slice) -> np.ndarray:
        parts, top = [], rows.start
        while top < rows.stop:
            first, block = self._with_row(top)
            parts.append(block[top - first : rows.stop - first])
            top += len(parts[-1])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _with_row(self, row: int) -> tuple[int, np.ndarray]:
        for first, block in self._blocks:
            if first <= row < first + len(block):
                return first, block
        return self._next(row)

    def _next(self, top: int) -> tuple[int, np.ndarray]:
        following = sum((self._blocks[-1][0], len(self._blocks[-1][1]))) if self._blocks else -1
        if self._fetch is None or top != following:
            self._opened = self._open()
            self._image = self._opened.image()
            self._fetch, self._blocks = libvips.row_fetcher(self._image), []
        row = self._image.width * self._image.bands * libvips.dtype(self._image).itemsize
        count = min(max(1, _STRIP // row), self._image.height - top)
        part = image_decoding.computed(self._opened, self._fetch, slice(top, top + count))
        part = part[..., self._channels]
        self._blocks = [*self._blocks[-1:], (top, part[..., 0] if part.shape[2] == 1 else part)]
        return self._blocks[-1]
