"""Counts how often photographs have each class of color: the prior of networks of classes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.record_stats import RecordStats
from residual_encoder.imaging import ab_quantization, colorspace
from residual_encoder.utils import files

BATCH = 64
# A quarter of 256, where the paper's classes live; a pixel is the mean color of a place.
IMAGE_SIZE = 64


@dataclass(frozen=True)
class PriorConfig:
    """Settings of a count of colors.

    Attributes:
      data: Whose training split.
      output: The text file to write.
      limit: How many photographs, at most; None is all.
      overwrite: Whether `output` may be replaced.
    """

    data: DataConfig
    output: str | os.PathLike[str]
    limit: int | None = None
    overwrite: bool = False


def measure_prior(config: PriorConfig) -> int:
    """Counts the pixels of each class over center squares of 64 x 64 and writes them down.

    The file has a line for each cell of `ab_quantization.gamut_cells`: a, b and the pixels; pixels
    outside of these cells count for the nearest of them.

    Returns:
      How many photographs were counted.

    Raises:
      FileExistsError: the output exists.
      ValueError: there is no data, or too much of it is broken.
      OSError: data cannot be read or the output cannot be written.
    """
    files.check_free(config.output, config.overwrite)
    stats, photographs = RecordStats(), 0
    by_cell = np.zeros((2 * ab_quantization.HALF_GRID + 1) ** 2, np.int64)
    batches = input_pipeline.eval_batches(
        config.data,
        batch_size=BATCH,
        image_size=IMAGE_SIZE,
        limit=config.limit,
        split="train",
        stats=stats,
    )
    with stats.reraising():
        for batch in batches:
            lab = colorspace.rgb_to_lab(tf.cast(batch.rgb, tf.float32) / 255)
            cell = ab_quantization.ab_cell(lab[..., 1:]).numpy()
            by_cell += np.bincount(cell.ravel(), minlength=len(by_cell))
            photographs += len(batch.rgb)
    files.write_text(config.output, _text(_in_gamut(by_cell), photographs))
    return photographs


def _in_gamut(by_cell: np.ndarray) -> np.ndarray:
    """Adds the counts of cells outside the gamut to the nearest one in it: [cells] -> [Q]."""
    cells, filled = ab_quantization.gamut_cells(), np.flatnonzero(by_cell)
    between = ab_quantization.centers(filled)[:, None] - ab_quantization.centers(cells)
    nearest = np.argmin(np.sum(between**2, axis=-1), axis=1)
    counts = np.zeros(len(cells), np.int64)
    np.add.at(counts, nearest, by_cell[filled])
    return counts


def _text(counts: np.ndarray, photographs: int) -> str:
    about = (
        f"# Pixels by class of color: a, b, pixels. {counts.sum():,} pixels of {photographs:,}\n"
        f"# photographs, center squares of {IMAGE_SIZE} pixels a side. "
        "tools/measure_color_prior.py wrote this.\n"
    )
    ab = ab_quantization.centers(ab_quantization.gamut_cells()).astype(int)
    rows = zip(ab, counts, strict=True)
    return about + "".join(f"{a} {b} {count}\n" for (a, b), count in rows)
