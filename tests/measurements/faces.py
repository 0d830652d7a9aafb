"""Measures whether small faces get the color of skin: two faces of 40 pixels in large photographs.

The heads of scikit-image's astronaut and matplotlib's grace_hopper are pasted, each at six places,
on five validation photographs that are enlarged to a megapixel. A face counts as right where the
mean ab of its skin is within 12 of the truth's and its chroma at least half of the truth's.

python tests/measurements/faces.py MODEL [SHEET.png]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import cv2
import matplotlib.cbook
import numpy as np
import skimage.data
from PIL import Image
from skimage.color import rgb2lab

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import RecordStats
from residual_encoder.evaluation import image_grids
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer

FACE = 40  # pixels from chin to hair
SIDE = 1000  # pixels of the square photographs
BACKGROUNDS = 5
PLACES = [(x, y) for y in (0.25, 0.65) for x in (0.2, 0.5, 0.8)]  # of the middle of the face
# Boxes around the head and, within the face, its skin: left, top, right, bottom, drawn by hand.
HEADS = {"astronaut": (150, 0, 300, 190), "grace_hopper": (120, 10, 400, 400)}
FACES = {"astronaut": (190, 60, 262, 160), "grace_hopper": (190, 95, 330, 330)}
NEAR, SHARE = 12.0, 0.5


def heads() -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """Yields the heads at their small size, and the box of the face's skin in each."""
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    pictures = {
        "astronaut": skimage.data.astronaut(),
        "grace_hopper": np.asarray(Image.open(path).convert("RGB")),
    }
    for name, picture in pictures.items():
        left, top, right, bottom = HEADS[name]
        box = np.array(FACES[name]) - [left, top, left, top]
        scale = FACE / (box[3] - box[1])
        size = round((right - left) * scale), round((bottom - top) * scale)
        head = cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        yield head, tuple((box * scale).round().astype(int))


def scenes() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields photographs of SIDE x SIDE with a face, uint8 RGB, and the mask of its skin."""
    data = DataConfig("tfrecord", data_dir=str(conftest.SHARED / "data"))
    batches = input_pipeline.eval_batches(
        data, batch_size=BACKGROUNDS, image_size=224, stats=RecordStats()
    )
    for background in np.asarray(next(iter(batches)).rgb):
        large = cv2.resize(background, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for head, (left, top, right, bottom) in heads():
            height, width = head.shape[:2]
            for x, y in PLACES:
                at_x, at_y = int(x * SIDE - width / 2), int(y * SIDE - height / 2)
                scene, mask = large.copy(), np.zeros((SIDE, SIDE), bool)
                scene[at_y : at_y + height, at_x : at_x + width] = head
                mask[at_y + top : at_y + bottom, at_x + left : at_x + right] = True
                yield scene, mask


def main(model: str, sheet: str = "") -> None:
    """Prints the share of faces that are right, without and with --faces."""
    for faces in (False, True):
        measure(Colorizer(model, faces=faces), sheet if faces else "")


def measure(colorizer: Colorizer, sheet: str) -> None:
    """Prints the share of faces that are right, and mean distance and chroma."""
    rows, strips = [], []
    for number, (scene, mask) in enumerate(scenes()):
        gray = np.asarray(Image.fromarray(scene).convert("L"))
        output = colorizer.colorize(gray)
        true, ours = (rgb2lab(picture)[mask][:, 1:].mean(0) for picture in (scene, output))
        rows.append((np.linalg.norm(true - ours), np.linalg.norm(ours) / np.linalg.norm(true)))
        if number % 13 == 0:
            strips.append(image_grids.strip(np.repeat(gray[..., None], 3, 2), output, scene))
    distance, share = np.array(rows).T
    right = (distance <= NEAR) & (share >= SHARE)
    print(
        f"faces={colorizer.faces}: {right.mean():.0%} of {len(rows)} right; distance in ab "
        f"{distance.mean():.1f}, chroma {share.mean():.0%} of the truth's"
    )
    if sheet:
        image_io.write(sheet, image_grids.contact_sheet(strips))


if __name__ == "__main__":
    main(*sys.argv[1:])
