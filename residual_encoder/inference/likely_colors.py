"""Finds a few colors that a place of a picture is likely to have."""

from __future__ import annotations

import numpy as np

from residual_encoder.imaging import ab_classes, array_colors
from residual_encoder.imaging.array_colors import ArrayColorSpace

COUNT = 6
APART = 22.0  # in ab: colors that are nearer look alike
NEAR = 25.0  # in ab: how far from the truth an answer without a distribution may well be
DARKEST, LIGHTEST = 45.0, 80.0  # L: beyond it colors can hardly be told apart
SHOWN = 6.0  # in ab: the farthest that a color may move when it is shown at a lightness
_PRIOR_POWER = 0.5  # of the colors' frequency, where there is no distribution
_PLACES = 1  # places of the distribution on each side of the one asked for


def of_distribution(logits: np.ndarray, y: float, x: float) -> np.ndarray:
    """Returns how likely each class of color is around a place, [Q] float64 of sum 1.

    Args:
      logits: [h, w, Q] of a network of classes, of the picture alone.
      y: The place, from 0 to 1 of the height.
      x: From 0 to 1 of the width.
    """
    rows, columns = (
        slice(max(0, int(at * side) - _PLACES), int(at * side) + _PLACES + 1)
        for at, side in zip((y, x), logits.shape[:2], strict=True)
    )
    here = logits[rows, columns].reshape(-1, logits.shape[-1]).astype(np.float32)
    return ab_classes.softmax(here).mean(axis=0, dtype=np.float64)


def around(ab: np.ndarray) -> np.ndarray:
    """Returns how likely each class is where a network gives one color, [Q] float64 of sum 1.

    The truth is taken to lie about `NEAR` from the answer, and to be a common color.
    """
    classes = ab_classes.classes()
    square = np.sum((classes.ab.astype(np.float64) - ab) ** 2, axis=-1)
    likely = np.exp(-square / (2 * NEAR**2)) * classes.prior**_PRIOR_POWER
    return likely / likely.sum()


def peaks(likely: np.ndarray, gray: float, count: int = COUNT) -> np.ndarray:
    """Returns the likeliest colors that differ and can be shown at a gray.

    Near black and white they are shown lighter and darker than the place: its shadows and lights
    have the same ab.

    Args:
      likely: [Q], of the classes of `ab_classes`.
      gray: Of the place, in [0, 1].
      count: How many.

    Returns:
      uint8 [count, 3], the likeliest first; fewer where a gray has no more that differ.
    """
    ab = ab_classes.classes().ab
    level = float(array_colors.lightness(np.array([[gray]], np.float32))[0, 0])
    level = min(max(level, DARKEST), LIGHTEST)
    lab = np.concatenate([np.full((len(ab), 1), level, np.float32), ab], axis=-1)
    rgb = np.rint(array_colors.lab_to_rgb(lab) * 255)
    moved = np.hypot(*(array_colors.rgb_to_lab(rgb / np.float32(255))[:, 1:] - ab).T)
    open_ones = np.where(moved <= SHOWN, likely, 0.0)
    chosen: list[int] = []
    while len(chosen) < count and open_ones.max() > 0:
        best = int(np.argmax(open_ones))
        chosen.append(best)
        open_ones[np.hypot(*(ab - ab[best]).T) < APART] = 0.0
    return rgb[chosen].astype(np.uint8)


def ab_of(gray: float, chroma: np.ndarray, space: ArrayColorSpace) -> np.ndarray:
    """Returns the a and b, [2], that a chroma [2] has at a gray."""
    merged = space.merge(np.array([[gray]], np.float32), np.array([chroma], np.float32))
    return array_colors.rgb_to_lab(merged)[0, 1:]
