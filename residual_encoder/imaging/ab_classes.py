"""The classes of color of `ab_quantization`, and the color of a distribution, on arrays alone."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

PRIOR_SIGMA = 5.0  # section 2.2: Gaussian that smooths the color prior

# One line for each class: a, b, and how many pixels of how many photographs fell into it.
PRIOR = Path(__file__).with_name("ab_prior.txt")


def smoothed_prior(points: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns shares of counted pixels, smoothed by a Gaussian of `PRIOR_SIGMA` that keeps the sum.

    Args:
      points: [n, 2] a and b of the cells.
      counts: [n] pixels in each.

    Returns:
      [n] float64 of sum 1.
    """
    square = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    kernel = np.exp(-square / (2 * PRIOR_SIGMA**2))
    return (kernel / kernel.sum(axis=0)) @ (counts / counts.sum())


class Classes(NamedTuple):
    """Quantized colors: the classes that a network chooses from.

    Attributes:
      ab: [Q, 2] float32, the middle of each.
      prior: [Q] float64 of sum 1, how often each is the true color, smoothed.
    """

    ab: np.ndarray
    prior: np.ndarray


@functools.cache
def classes() -> Classes:
    """Reads the classes and the measured prior."""
    rows = np.loadtxt(PRIOR, dtype=np.int64)
    ab = rows[:, :2]
    return Classes(ab.astype(np.float32), smoothed_prior(ab.astype(np.float64), rows[:, 2]))


def annealed_mean(
    logits: np.ndarray, temperature: float, prior_correction: float = 0.0
) -> np.ndarray:
    """Returns the mean color under the sharpened distribution, as `ab_quantization` does.

    Args:
      logits: [..., Q] float32.
      temperature: 1 gives the mean; towards 0 it becomes the mode.
      prior_correction: This multiple of each class's log prior is taken off its logit first.

    Returns:
      [..., 2] float32 in Lab units.
    """
    off = np.float32(prior_correction) * np.log(classes().prior).astype(np.float32)
    return softmax((logits - off) / np.float32(temperature)) @ classes().ab


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns shares of sum 1 over the last axis. [..., Q] float32 -> the same."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)
