"""Tables of metrics: numbers with their intervals, side by side, as lines of text cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The lines of the table: key in the evaluation, what to call it, factor, digits.
METRICS: tuple[tuple[str, str, float, int], ...] = (
    ("auc", "AuC, %", 100, 2),
    ("auc_rebalanced", "AuC rebalanced, %", 100, 2),
    ("auc_gain", "AuC over gray, points", 100, 2),
    ("psnr_pooled", "PSNR pooled, dB", 1, 2),
    ("psnr_pooled_gain", "PSNR pooled over gray, dB", 1, 2),
    ("psnr", "PSNR mean, dB", 1, 2),
    ("ssim", "SSIM", 1, 4),
    ("rmse_ab", "RMSE of ab", 1, 2),
    ("delta_e00", "Delta E 2000", 1, 2),
    ("colorfulness", "Colorfulness", 1, 1),
    ("colorfulness_truth", "Colorfulness of truth", 1, 1),
    ("top1", "Recognized, top 1, %", 100, 1),
    ("top5", "Recognized, top 5, %", 100, 1),
    ("frechet", "Frechet distance of features", 1, 1),
)

Table = list[list[str]]  # the first line is the heading


def interval(metric: Mapping[str, Any], factor: float, digits: int) -> str:
    """Formats a metric times a factor, with its 95 % interval if it has one: 0.31 [0.12, 0.50]."""
    if "ci95" not in metric:
        return f"{factor * metric['mean']:.{digits}f}"
    low, high = (f"{factor * bound:.{digits}f}" for bound in metric["ci95"])
    return f"{factor * metric['mean']:.{digits}f} [{low}, {high}]"


def metrics_table(evaluations: Mapping[str, Mapping[str, Any]]) -> Table:
    """Puts evaluations side by side, a metric a line, without metrics that one of them lacks.

    Args:
      evaluations: Results of `metrics.evaluate`, or of a baseline, by heading.
    """
    lines = [["", *evaluations]]
    for key, name, factor, digits in METRICS:
        if all(key in block for block in evaluations.values()):
            cells = [interval(block[key], factor, digits) for block in evaluations.values()]
            lines.append([name, *cells])
    return lines


def text_table(table: Table) -> str:
    """Formats a table for a terminal: columns aligned, no markup."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    aligned = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
    return "\n".join(aligned)
