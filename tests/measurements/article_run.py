"""Tells and draws how a run of `tinyclouds2016` went: validation figures against images seen.

python tests/measurements/article_run.py WORKDIR FIGURE.png [WEIGHTS]

The run needs `--eval_losses=tinyclouds_code`, the loss that the article's curve is of. WEIGHTS, as
the released model's, are measured on the same squares of the same photographs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import numpy as np
from matplotlib.figure import Figure

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import metrics, plots
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.reproduction import article_curve
from residual_encoder.training.losses import LOSS_FUNCTIONS

LOSS = "tinyclouds_code"
# The article's axis is in seconds; images by its 936,000 in three days.
ARTICLE_IMAGES = np.multiply(article_curve.SECONDS, article_curve.ARTICLE_IMAGES_PER_SECOND)


def evaluations(workdir: Path) -> dict[int, Mapping[str, Any]]:
    """The evaluations of a run by images seen."""
    batch = json.loads((workdir / "config.json").read_text())["recipe"]["batch_size"]
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return {row["step"] * batch: row["eval"] for row in rows if "eval" in row}


def measured(weights: str, size: int) -> Mapping[str, Any]:
    """A weights file on the validation photographs, as the run measures itself."""
    colorizer = Colorizer(weights, size=size, precision="float32")
    data = DataConfig(kind="tfrecord", data_dir=str(conftest.SHARED / "data"))
    return metrics.evaluate(
        colorizer.chroma,
        input_pipeline.eval_batches(data, batch_size=16, image_size=size),
        space=colorizer.recipe.space,
        gray=colorizer.recipe.gray,
        losses={LOSS: LOSS_FUNCTIONS[LOSS]},
    )


def row(name: str, result: Mapping[str, Any]) -> str:
    """One line of a Markdown table."""
    auc, psnr = result["auc_gain"], result["psnr_pooled_gain"]
    low, high = (100 * bound for bound in auc["ci95"])
    share = result["colorfulness"]["mean"] / result["colorfulness_truth"]["mean"]
    return (
        f"| {name} | {result[f'loss_{LOSS}']['mean']:.4f} "
        f"| {100 * auc['mean']:.2f} [{low:.2f}, {high:.2f}] "
        f"| {psnr['mean']:.2f} [{psnr['ci95'][0]:.2f}, {psnr['ci95'][1]:.2f}] | {share:.0%} |"
    )


def means(run: Mapping[int, Mapping[str, Any]], key: str) -> list[float]:
    """A figure of each evaluation, over the photographs."""
    return [result[key]["mean"] for result in run.values()]


def figure(run: Mapping[int, Mapping[str, Any]], other: Mapping[str, Any] | None) -> bytes:
    """Draws the loss and both gains against images seen, a PNG file."""
    drawing = Figure(figsize=(7.5, 6.2), dpi=120, layout="constrained")
    above, below = drawing.subplots(2, 1, sharex=True)
    article = article_curve.LOSSES["residual encoder"]
    above.plot(ARTICLE_IMAGES, article, "o", color="C2", label="the article, training loss")
    lines = (
        (above, f"loss_{LOSS}", 1, "C2", "here, 500 validation photographs"),
        (below, "auc_gain", 100, "C0", "AuC, points"),
        (below, "psnr_pooled_gain", 1, "C3", "pooled PSNR, dB"),
    )
    for axes, key, scale, color, label in lines:
        axes.plot(list(run), np.multiply(means(run, key), scale), ".-", color=color, label=label)
        if other:
            axes.axhline(scale * other[key]["mean"], color=color, linestyle="--")
    above.set(ylabel=f"loss ({LOSS})", xscale="log")
    below.set(xlabel="images seen; dashed: the released model", ylabel="gain over luma gray")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return plots.png(drawing)


def main(workdir: str, path: str, weights: str | None = None) -> None:
    """Prints the table and writes the figure."""
    run = evaluations(Path(workdir))
    size = json.loads((Path(workdir) / "config.json").read_text())["recipe"]["image_size"]
    other = measured(weights, size) if weights else None
    for images, result in run.items():
        print(row(f"{images:,}", result))
    if other:
        print(row("released model", other))
    Path(path).write_bytes(figure(run, other))


if __name__ == "__main__":
    main(*sys.argv[1:])
