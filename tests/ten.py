"""A sheet of ten validation photographs that nobody chose: every 50th, gray | output | truth.

python tests/ten.py MODEL SHEET.png
"""

from __future__ import annotations

import sys

import conftest
import numpy as np

from residual_encoder import datasets, images, report, showcase
from residual_encoder.datasets import DataConfig, Tally
from residual_encoder.inference import Colorizer

EVERY = 50


def main(model: str, sheet: str) -> None:
    """Writes the sheet, two strips a row."""
    colorizer = Colorizer(model)
    data = DataConfig("tfrecord", data_dir=str(conftest.ROOT / "../shared/data"))
    batches = datasets.eval_batches(data, batch_size=1, image_size=224, tally=Tally())
    strips = []
    for index, batch in enumerate(batches):
        if index % EVERY == 0:
            truth = np.asarray(batch.rgb[0])
            gray = showcase.luma_u8(truth)
            strips.append(report.strip(gray, colorizer.colorize(gray), truth))
    images.write(sheet, report.contact_sheet(strips, columns=2))


if __name__ == "__main__":
    main(*sys.argv[1:3])
