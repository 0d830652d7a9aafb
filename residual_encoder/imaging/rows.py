"""Stands for arrays that are too large for memory: rows are computed when they are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

BLOCK = 1 << 22  # samples that are computed at once
STEP = 1 << 20  # bytes of rows that are taken at once; at most what `image_rows` decodes at once


class Rows:
    """Stands for an array [H, W] or [H, W, C] of which rows are taken by a slice, from the top.

    They are computed a few at a time, so that parts which are joined of one file, as a picture's
    gray next to its colors, take turns in it. A decoder holds its last rows only and begins the
    file anew for others, and libvips keeps memory for each beginning until the picture is written.

    Attributes:
      shape: As of the array.
      dtype: As of the array.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, rows: Callable[[slice], np.ndarray]
    ) -> None:
        """Takes the function that computes rows, of a slice without gaps."""
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self._rows = rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Computes rows."""
        start, stop, _ = rows.indices(self.shape[0])
        count = max(1, STEP // (math.prod(self.shape[1:]) * self.dtype.itemsize))
        tops = range(start, stop, count)
        parts = [self._rows(slice(top, min(top + count, stop))) for top in tops]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts or [np.empty((0, *self.shape[1:]), self.dtype)])

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Computes all rows."""
        return np.asarray(self[:], dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, rows: slice, columns: slice) -> Rows:
        """Returns a part, whose rows are computed when they are taken."""
        top, bottom, _ = rows.indices(self.shape[0])
        left, right, _ = columns.indices(self.shape[1])
        shape = (bottom - top, right - left, *self.shape[2:])

        def taken(rows: slice) -> np.ndarray:
            return self[top + rows.start : top + rows.stop][:, left:right]

        return Rows(shape, self.dtype, taken)


def mapped(function: Callable[..., np.ndarray], *arrays: np.ndarray | Rows) -> Any:
    """Computes an array from others of the same height, row by row.

    Args:
      function: Takes the same rows of each, [rows, W, ...], and returns as many.
      arrays: What it takes.

    Returns:
      `Rows` where one of the arrays is.
    """
    first = function(*(array[:1] for array in arrays))
    shape = (len(arrays[0]), *first.shape[1:])
    if any(isinstance(array, Rows) for array in arrays):
        return Rows(shape, first.dtype, lambda rows: function(*(array[rows] for array in arrays)))
    output = np.empty(shape, first.dtype)
    for rows in blocks(output):
        output[rows] = function(*(array[rows] for array in arrays))
    return output


def blocks(array: np.ndarray | Rows) -> Iterator[slice]:
    """Splits the rows of an array into groups of at most about `BLOCK` samples."""
    count = max(1, BLOCK // int(np.prod(array.shape[1:])))
    for top in range(0, len(array), count):
        yield slice(top, min(top + count, len(array)))
