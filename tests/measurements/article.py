"""Measures a model on the article's own 12 pictures, next to the 2016 model and gray.

python tests/measurements/article.py MODEL [SHEET.png]    # the sheet: gray | 2016 | model | truth
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import numpy as np

from residual_encoder.evaluation import image_grids, metrics
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer

PANEL = 224  # the article's strips are three squares: gray, output of the 2016 model, truth
EDGE = 0.2  # of luma between neighbors, in [0, 1]: a hard edge
JUMP = 10.0  # Lab units of ab between neighbors


def panels(shared: Path) -> Iterator[list[np.ndarray]]:
    """Gray, 2016 and truth of each strip, uint8 [224, 224, 3]."""
    for path in sorted((shared / "tinyclouds" / "best").iterdir()):
        yield np.split(image_io.read(path).pixels, 3, axis=1)


def figures(output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Means over the pictures; colorfulness as a share of the truth's. uint8 [B, 224, 224, 3]."""
    rows = metrics.measure(output, truth)
    return {
        "auc": rows["auc"].mean(),
        "psnr": metrics.psnr(rows["square"]).mean(),
        "psnr_pooled": float(metrics.psnr(rows["square"].mean())),
        "colorfulness": rows["colorfulness"].mean() / rows["colorfulness_truth"].mean(),
        "fringe": fringe(output),
    }


def fringe(rgb_u8: np.ndarray) -> float:
    """Share of hard luma edges, right and down, over which ab jumps too."""
    from skimage.color import rgb2lab

    edges = jumps = 0
    lab = rgb2lab(rgb_u8)
    for axis in (1, 2):
        step = np.abs(np.diff(lab, axis=axis))
        hard = step[..., 0] > 100 * EDGE
        edges += hard.sum()
        jumps += (hard & (np.hypot(step[..., 1], step[..., 2]) > JUMP)).sum()
    return jumps / max(edges, 1)


def main(model: str, sheet: str | None = None) -> None:
    """Prints a line for gray, the 2016 model, this one and the truth."""
    colorizer = Colorizer(model)
    gray, dahl, truth = map(np.stack, zip(*panels(conftest.SHARED), strict=True))
    colored = np.stack([colorizer.colorize(np.rint(g.mean(-1)).astype(np.uint8)) for g in gray])
    for name, output in {"gray": gray, "2016": dahl, "model": colored, "truth": truth}.items():
        print(name, *(f"{key} {value:.4f}" for key, value in figures(output, truth).items()))
    if sheet:
        strips = [
            np.concatenate(row, axis=1) for row in zip(gray, dahl, colored, truth, strict=True)
        ]
        image_io.write(sheet, image_grids.contact_sheet(strips, columns=2))


if __name__ == "__main__":
    main(*sys.argv[1:3])
