"""The ab plane of Lab in cells of 10 x 10, as Zhang, Isola and Efros 2016 count colors."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import colorspace
from residual_encoder.utils.typing import Tensor

BIN = 10  # Zhang et al. 2016, section 2.1: ab in cells of 10 x 10
HALF_GRID = 11  # cells -110..110 on either axis
PRIOR_SIGMA = 5.0  # Zhang et al. 2016, section 2.2: Gaussian that smooths the color prior


def ab_cell(ab: Tensor) -> Tensor:
    """Index of the 10 x 10 cell of the whole 23 x 23 ab grid. [..., 2] -> [...] int32."""
    cell = tf.clip_by_value(tf.cast(tf.round(ab / BIN), tf.int32), -HALF_GRID, HALF_GRID)
    return (cell[..., 0] + HALF_GRID) * (2 * HALF_GRID + 1) + cell[..., 1] + HALF_GRID


def centers(cells: np.ndarray) -> np.ndarray:
    """The a and b in the middle of cells of the whole grid. [n] int -> [n, 2] float64."""
    steps = np.stack(np.divmod(cells, 2 * HALF_GRID + 1), axis=-1) - HALF_GRID
    return BIN * steps.astype(np.float64)


@functools.cache
def gamut_cells() -> np.ndarray:
    """The cells of the ab grid that some sRGB color reaches, ascending int.

    The faces of the RGB cube cast the same shadow on the ab plane as the whole cube.
    """
    level = np.arange(256, dtype=np.uint8)
    face = np.stack(np.meshgrid(level, level), axis=-1).reshape(-1, 2)
    faces = [np.insert(face, axis, end, axis=1) for axis in range(3) for end in (0, 255)]
    lab = colorspace.rgb_to_lab(np.concatenate(faces).astype(np.float32) / 255)
    return np.unique(ab_cell(lab[..., 1:]))


def smoothed_prior(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Shares of counted pixels, smoothed by a Gaussian of `PRIOR_SIGMA` that loses none of them.

    Args:
      points: [n, 2] a and b of the cells.
      counts: [n] pixels in each.

    Returns:
      [n] float64 of sum 1.
    """
    square = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    kernel = np.exp(-square / (2 * PRIOR_SIGMA**2))
    return (kernel / kernel.sum(axis=0)) @ (counts / counts.sum())
