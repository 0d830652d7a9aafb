"""Pictures too large for memory: read and written a few rows at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from residual_encoder.imaging import image_decoding, libvips
from residual_encoder.imaging.image_decoding import Opened

_STRIP = 1 << 22  # bytes of a strip: read and written at once


class Rows:
    """Stands for an array [H, W] or [H, W, 3] whose rows are decoded when they are taken.

    Rows are decoded from the top, so those above the last ones start the file anew.
    """

    def __init__(self, open_image: Callable[[], Any], channels: slice) -> None:
        """Takes a function that opens the image, and which of its channels are meant."""
        self._open, self._channels = open_image, channels
        image = open_image()
        self.dtype = np.dtype(np.uint8 if image.format == "uchar" else np.uint16)
        count = len(range(image.bands)[channels])
        self.shape = (image.height, image.width) + ((count,) if count > 1 else ())
        self.ndim = len(self.shape)
        self._bands = image.bands
        self._block, self._region, self._next = np.empty(0), None, 0
        self._top = 0

    @classmethod
    def of(cls, data: bytes, path: str | None) -> tuple[Rows, Rows | None]:
        """Returns the gray or colors of a file, and its alpha or None."""
        opened = Opened(data, path)
        access = "random" if opened.turned else "sequential"  # libvips keeps random ones on disk
        image = Opened(data, path, access).image()

        def open_image() -> Any:
            return Opened(data, path, access).image()

        colors = image.bands - (image.bands in (2, 4))
        alpha = slice(colors, None) if image.bands > colors else None
        return cls(open_image, slice(colors)), alpha and cls(open_image, alpha)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Decodes rows."""
        top, bottom, _ = rows.indices(self.shape[0])
        parts = []
        while top < bottom:
            if not self._top <= top < self._top + len(self._block):
                self._fetch(top)
            part = self._block[top - self._top : bottom - self._top]
            parts.append(part)
            top += len(part)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Decodes all rows."""
        return np.asarray(self[:], dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def _fetch(self, top: int) -> None:
        """Decodes the block of rows that begins at `top`."""
        vips = libvips.library()
        height, width = self.shape[:2]
        if self._region is None or top != self._next:
            self._region, self._next = vips.Region.new(self._open()), top
        row = width * self._bands * self.dtype.itemsize
        count = min(max(1, _STRIP // row), height - top)
        block = np.frombuffer(self._region.fetch(0, top, width, count), self.dtype)
        block = block.reshape(count, width, self._bands)[..., self._channels]
        self._block = block[..., 0] if self.ndim == 2 else block
        self._top, self._next = top, top + count
