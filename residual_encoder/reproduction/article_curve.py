"""The article's own figure with these runs in it: training loss against seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from residual_encoder.evaluation import plots

# Read off the article's training curve, "hypercolumns vs residual encoder": loss after so many
# seconds on a GTX 750 Ti.
SECONDS = (500, 1000, 1500, 2000, 3000, 4000)
LOSSES = {
    "residual encoder": (0.250, 0.188, 0.186, 0.188, 0.173, 0.170),
    "hypercolumns": (0.275, 0.228, 0.223, 0.223, 0.225, 0.227),
}
# 936,000 images in about three days.
ARTICLE_IMAGES_PER_SECOND = 3.6
# What a gray picture scores under the script's loss, mean of 200 photographs of ImageNet at 224
# pixels, by this project's count.
GRAY_LOSS = 0.172
COLORS = {"residual encoder": "C2", "hypercolumns": "C0"}  # as in the article: green and blue

NOTE = (
    "Lines are from these runs, by the lower axis; dots are the article's, by the upper one. The "
    "machines differ, so the axes are laid upon each other where the residual encoder has seen as "
    "many images (3.6 a second there, from its 936,000 in three days). What may be compared is the "
    "lead of one network over the other. Sizes of pictures and batches differ, see the budget."
)

Log = Sequence[Mapping[str, Any]]


def figure(runs: Mapping[str, Sequence[Log]]) -> bytes | None:
    """Draws the figure.

    Args:
      runs: For each name in `LOSSES`, the rows of metrics.jsonl of its runs.

    Returns:
      A PNG file, or None where the residual encoder has no timed run.
    """
    from matplotlib.figure import Figure

    ratio = _ratio(runs.get("residual encoder", ()))
    if ratio is None:
        return None
    drawing = Figure(figsize=(7.5, 4.6), dpi=120, layout="constrained")
    axes = drawing.add_subplot()
    for name, points in LOSSES.items():
        color = COLORS[name]
        axes.plot(np.divide(SECONDS, ratio), points, "o", color=color, label=f"{name}, the article")
        for index, log in enumerate(runs.get(name, ())):
            axes.plot(
                *plots.smooth_points(log, "seconds", "loss"),
                color=color,
                alpha=0.7,
                label=None if index else f"{name}, here",
            )
    axes.axhline(GRAY_LOSS, color="gray", linestyle=":", label="a gray picture at 224 pixels")
    axes.set(xscale="log", xlabel="seconds of training, here", ylabel="loss (tinyclouds_code)")
    there = axes.secondary_xaxis("top", functions=(partial(mul, ratio), partial(mul, 1 / ratio)))
    there.set_xlabel("seconds of training, in the article (GTX 750 Ti)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return plots.png(drawing)


def _ratio(logs: Sequence[Log]) -> float | None:
    """Returns the article's seconds per second here, by the residual encoder's images a second."""
    speeds = [
        row["images_per_second"] for log in logs for row in log if row.get("images_per_second")
    ]
    return float(np.median(speeds)) / ARTICLE_IMAGES_PER_SECOND if speeds else None
