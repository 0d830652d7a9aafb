"""Verdicts on claims from intervals and from seeds, and the paired differences they need."""

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
    """Judges by its sign with each seed whether a difference is above zero."""
    if len(differences) < SEEDS or not np.isfinite(differences).all():
        return OPEN
    if min(differences) > 0:
        return HELD
    return FAILED if max(differences) <= 0 else OPEN


def by_interval(difference: Interval) -> str:
    """Judges by its interval whether a difference is above zero."""
    _, low, high = difference
    if not (math.isfinite(low) and math.isfinite(high)):
        return OPEN
    return HELD if low > 0 else FAILED if high < 0 else OPEN


def all_of(verdicts: Iterable[str]) -> str:
    """Judges a claim of several parts: held if all were, and not held if one was not."""
    parts = list(verdicts)
    if FAILED in parts:
        return FAILED
    return HELD if parts and set(parts) == {HELD} else OPEN


# --- paired differences over photographs ----------------------------------------------------------


def paired(
    system: np.ndarray, reference: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Interval:
    """Subtracts a statistic of a reference from that of a system, on the same photographs.

    Args:
      system: [n] one number a photograph.
      reference: [n] on the same photographs.
      statistic: Takes means over (resampled) photographs, of any shape.

    Returns:
      The difference and its 95 % interval by bootstrap.

    Raises:
      ValueError: the two are not of as many photographs.
    """
    if system.shape != reference.shape:
        raise ValueError(
            f"two systems on {len(system)} and {len(reference)} photographs do not compare"
        )
    table = np.stack([system, reference], axis=-1)
    drawn = statistic(metrics.resampled_means(table, seed=0))
    here = statistic(table.mean(axis=0))
    return _interval(here[0] - here[1], drawn[:, 0] - drawn[:, 1])


def gap_difference(test: np.ndarray, train: np.ndarray) -> Interval:
    """Subtracts the mean on training photographs, [m], from that on test photographs, [n]."""
    drawn = [
        metrics.resampled_means(rows[:, None], seed)[:, 0]
        for seed, rows in enumerate((test, train))
    ]
    return _interval(test.mean() - train.mean(), drawn[0] - drawn[1])


def _interval(figure: float, drawn: np.ndarray) -> Interval:
    low, high = np.percentile(drawn, metrics.INTERVAL)
    return float(figure), float(low), float(high)


def psnr_difference(system: np.ndarray, reference: np.ndarray) -> Interval:
    """Subtracts the reference's pooled PSNR from the system's, dB; of squared errors, [n] each."""
    return paired(system, reference, metrics.psnr)


def rmse_difference(system: np.ndarray, reference: np.ndarray) -> Interval:
    """Subtracts the reference's root mean square from the system's; of squared errors, [n] each."""
    return paired(system, reference, np.sqrt)


def mean_difference(system: np.ndarray, reference: np.ndarray) -> Interval:
    """Subtracts the reference's mean from the system's. [n] each."""
    return paired(system, reference, lambda means: means)


def show(difference: Interval, digits: int = 2, unit: str = "") -> str:
    """Formats a difference: 0.31 [0.12, 0.50] dB."""
    figure, low, high = (f"{value:.{digits}f}" for value in difference)
    return f"{figure} [{low}, {high}]{unit and ' ' + unit}"
