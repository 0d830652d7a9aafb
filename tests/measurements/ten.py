"""Judges a model's colors of grass, leaves, blue sky, skin, water and wood on photographs.

From every 50th on, the first whose truth shows one of the first four: ten; and two before them of
wood and water. The truths alone were looked at, and boxes drawn. Where the truth is green, blue,
skin or wood there, the mean of the output must be, too. The sheet is gray | output | truth, two
strips a row.

python tests/measurements/ten.py MODEL SHEET.png
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import numpy as np
from skimage.color import lab2lch, rgb2lab

from residual_encoder.data import input_pipeline, sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import RecordStats
from residual_encoder.evaluation import image_grids
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer

SIZE = 224
# Number -> subjects and their boxes: left, top, right, bottom.
PICKED = {
    1: {"skin": (81, 40, 165, 124), "sky": (0, 0, 224, 40), "water": (0, 24, 224, 46)},
    51: {"skin": (80, 5, 144, 56)},
    100: {"skin": (106, 42, 154, 109)},
    151: {"wood": (59, 26, 164, 51)},
    153: {"green": (93, 0, 224, 42)},
    203: {"sky": (0, 0, 224, 110), "green": (0, 170, 224, 224)},
    250: {"water": (0, 0, 224, 224)},
    252: {"green": (0, 90, 224, 224)},
    302: {"green": (0, 110, 140, 224)},
    352: {"green": (0, 0, 224, 224)},
    400: {"green": (0, 0, 224, 170), "skin": (70, 39, 110, 101)},
    451: {"skin": (98, 28, 152, 58)},
}
# Degrees of hue in Lab: of the truth's pixels that count, and the range accepted of the output.
HUES = {
    "green": (95, 150),
    "sky": (200, 300),
    "skin": (20, 85),
    "water": (180, 290),
    "wood": (40, 95),
}
RIGHT = {
    "green": (92, 160),
    "sky": (190, 310),
    "skin": (10, 88),
    "water": (170, 300),
    "wood": (30, 100),
}
VIVID = 8.0  # Lab units of ab from where on the truth has a color
VISIBLE = 5.0  # the same of the mean of the output


def polar(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes chroma and hue, in degrees from 0 to below 360, of [..., 3]."""
    lch = lab2lch(lab)
    return lch[..., 1], np.degrees(lch[..., 2])


def verdict(subject: str, box: tuple[int, ...], output: np.ndarray, truth: np.ndarray) -> str:
    """Judges the output where the truth has the subject's color; begins with ok or WRONG."""
    left, top, right, bottom = box
    lab, colored = (rgb2lab(picture)[top:bottom, left:right] for picture in (truth, output))
    chroma, hue = polar(lab)
    mask = (chroma > VIVID) & (HUES[subject][0] < hue) & (hue < HUES[subject][1])
    if not mask.any():
        raise ValueError(f"no {subject} in {box}")
    chroma, hue = polar(colored[mask].mean(0))
    good = chroma > VISIBLE and RIGHT[subject][0] < hue < RIGHT[subject][1]
    share = mask.sum() / SIZE**2
    words = f"{subject} on {share:.0%}: hue {hue:.0f}, chroma {chroma:.0f}"
    return f"{'ok' if good else 'WRONG'} {words} (truth {polar(lab[mask].mean(0))[1]:.0f})"


def truths() -> Iterator[tuple[int, np.ndarray]]:
    """The photographs that were picked: uint8 [SIZE, SIZE, 3]."""
    data = DataConfig("tfrecord", data_dir=str(conftest.SHARED / "data"))
    batches = input_pipeline.eval_batches(data, batch_size=1, image_size=SIZE, stats=RecordStats())
    for index, batch in enumerate(batches):
        if index in PICKED:
            yield index, np.asarray(batch.rgb[0])


def main(model: str, sheet: str) -> None:
    """Writes the sheet and prints a line for each photograph."""
    colorizer = Colorizer(model)
    strips, right = [], 0
    for index, truth in truths():
        gray = sample_images.luma_u8(truth)
        output = colorizer.colorize(gray)
        found = [verdict(*subject, output, truth) for subject in PICKED[index].items()]
        right += all(words.startswith("ok") for words in found)
        print(index, *found, sep="  ")
        strips.append(image_grids.strip(gray, output, truth))
    print(f"{right} of {len(strips)} right")
    image_io.write(sheet, image_grids.contact_sheet(strips, columns=2))


if __name__ == "__main__":
    main(*sys.argv[1:3])
