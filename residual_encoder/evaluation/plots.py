"""Curves over training, drawn by matplotlib into PNG files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

SMOOTHING = 20  # part of a curve's points that the line over a noisy loss averages


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Computes the centered running mean over 1/`SMOOTHING` of the points; fewer at the ends."""
    window = np.ones(2 * (len(values) // (2 * SMOOTHING)) + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")


def _points(rows: Iterable[Mapping[str, Any]], x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """Collects the points whose numbers are both finite; "eval/auc" reaches into an evaluation."""
    found = []
    for row in rows:
        value: Any = row
        for part in y.split("/"):
            value = value.get(part) if isinstance(value, Mapping) else None
        value = value.get("mean") if isinstance(value, Mapping) else value
        if row.get(x) is not None and value is not None and np.isfinite(value):
            found.append((row[x], value))
    pairs = np.array(found, np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def curve(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], *, x: str = "step", y: str = "loss"
) -> bytes:
    """Draws training curves: pale as logged, and a smoothed line over it.

    Args:
      runs: Rows of metrics.jsonl by the name of the run.
      x: "step" or "seconds".
      y: A number of the rows; "eval/NAME" is the mean of a metric of the evaluations.

    Returns:
      A PNG file.

    Raises:
      ValueError: no row of any run has both numbers.
    """
    from matplotlib.figure import Figure

    series = {name: _points(rows, x, y) for name, rows in runs.items()}
    if not any(len(steps) for steps, _ in series.values()):
        raise ValueError(f"no row has both {x!r} and {y!r}; runs: {', '.join(runs) or 'none'}")
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for index, (name, (steps, values)) in enumerate(series.items()):
        color = f"C{index}"
        few = len(values) < 20  # nothing to smooth
        axes.plot(steps, values, color=color, alpha=1 if few else 0.25, marker="." if few else None)
        axes.plot(steps, values if few else _smoothed(values), color=color, label=name)
    axes.set(xlabel=x, ylabel=y.removeprefix("eval/"))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return png(figure)


def smooth_points(
    rows: Iterable[Mapping[str, Any]], x: str, y: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smoothed line of a curve: x and y where rows have both, see `curve`."""
    places, values = _points(rows, x, y)
    return places, _smoothed(values) if len(values) else values


def png(figure: Any) -> bytes:
    """Draws a matplotlib figure into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with io.BytesIO() as file:
        FigureCanvasAgg(figure).print_png(file)
        return file.getvalue()
