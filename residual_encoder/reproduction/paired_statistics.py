"""When a claim held: from intervals, from seeds, and from both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from residual_encoder.evaluation import metrics

HELD, FAILED, OPEN = "held", "did not hold", "not decidable at this budget"
SEEDS = 3  # fewer decide nothing
BY_SEEDS = f"held if it is so with each of {SEEDS} seeds or more, did not hold if with none"
BY_INTERVAL = "held or not if the 95 % interval over photographs leaves zero out"

Interval = tuple[float, float, float]  # the figure, and the ends of its 95 % interval


def by_seeds(differences: Sequence[float]) -> str:
    """A claim that a difference is above zero, judged by its sign with each seed."""
    if len(differences) < SEEDS or not np.isfinite(differences).all():
        return OPEN
    if min(differences) > 0:
        return HELD
    return FAILED if max(differences) <= 0 else OPEN


def by_interval(difference: Interval) -> str:
    """A claim that a difference is above zero, judged by its interval."""
    _, low, high = difference
    if not (math.isfinite(low) and math.isfinite(high)):
        return OPEN
    return HELD if low > 0 else FAILED if high < 0 else OPEN


def all_of(verdicts: Iterable[str]) -> str:
    """A claim of several parts: it held if all of them did, and did not if one of them did not."""
    parts = list(verdicts)
    if FAILED in parts:
        return FAILED
    return HELD if parts and set(parts) == {HELD} else OPEN


# --- paired differences over photographs ----------------------------------------------------------


def paired(
    ours: np.ndarray, theirs: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Interval:
    """A statistic of one system minus that of another on the same photographs.

    Args:
      ours: [n] one number a photograph.
      theirs: [n] on the same photographs.
      statistic: Takes means over (resampled) photographs, of any shape.

    Returns:
      The difference and its 95 % interval by bootstrap.

    Raises:
      ValueError: the two are not of as many photographs.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"two systems on {len(ours)} and {len(theirs)} photographs do not compare")
    table = np.stack([ours, theirs], axis=-1)
    drawn = statistic(metrics.resampled_means(table, seed=0))
    here = statistic(table.mean(axis=0))
    return _interval(here[0] - here[1], drawn[:, 0] - drawn[:, 1])


def gap_difference(test: np.ndarray, train: np.ndarray) -> Interval:
    """Mean of differences on test photographs minus that on training photographs. [n] and [m]."""
    drawn = [
        metrics.resampled_means(rows[:, None], seed)[:, 0]
        for seed, rows in enumerate((test, train))
    ]
    return _interval(test.mean() - train.mean(), drawn[0] - drawn[1])


def _interval(figure: float, drawn: np.ndarray) -> Interval:
    low, high = np.percentile(drawn, metrics.INTERVAL)
    return float(figure), float(low), float(high)


def psnr_difference(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Pooled PSNR in dB of one system over another, from their squared errors. [n] each."""
    return paired(ours, theirs, metrics.psnr)


def rmse_difference(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Root mean square of one system over another's, from their squared errors. [n] each."""
    return paired(ours, theirs, np.sqrt)


def mean_difference(ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """Mean of one system over another's. [n] each."""
    return paired(ours, theirs, lambda means: means)


def show(difference: Interval, digits: int = 2, unit: str = "") -> str:
    """As text: 0.31 [0.12, 0.50] dB."""
    figure, low, high = (f"{value:.{digits}f}" for value in difference)
    return f"{figure} [{low}, {high}]{unit and ' ' + unit}"
