"""Counts speckles: small patches of another color that no edge of the gray explains.

python tests/measurements/speckles.py MODEL [LIMIT]    # over validation photographs, of all 500
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import cv2
import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab

from residual_encoder.data import input_pipeline, sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.inference.colorizer import Colorizer

SIZE = 224  # side of the center squares that are colored
LARGEST = 0.001  # of the picture's pixels
RING = 5  # pixels around a region that it is compared with
COLOR = 12.0  # Lab units of ab between the means of region and ring, from where on it shows
LIGHT = 5.0  # Lab units of L between them, from where on an edge of the gray explains it
EIGHT = np.ones((3, 3), bool)  # neighbors that belong to one region
AROUND = np.ones((2 * RING + 1, 2 * RING + 1), bool)


def count(rgb_u8: np.ndarray, largest: float = LARGEST) -> int:
    """Counts the speckles of a picture.

    Candidates are connected regions of pixels that lie more than `COLOR` off the median color of
    their surroundings.

    Args:
      rgb_u8: [H, W, 3] uint8.
      largest: Share of the picture that a speckle stays below.
    """
    lab = rgb2lab(rgb_u8)
    largest *= lab[..., 0].size
    regions, _ = ndimage.label(_apart(lab[..., 1:], largest), EIGHT)
    found = 0
    for number, place in enumerate(ndimage.find_objects(regions), start=1):
        place = tuple(slice(max(0, part.start - RING), part.stop + RING) for part in place)
        region = regions[place] == number
        found += region.sum() < largest and _is_speckle(lab[place], region)
    return int(found)


def _apart(ab: np.ndarray, largest: float) -> np.ndarray:
    """Returns where ab is off the median of a window that a speckle fills less than a half of."""
    side = 2 * RING + 2 * int(np.ceil(np.sqrt(largest))) + 1
    rounded = np.rint(ab + 128).clip(0, 255).astype(np.uint8)
    median = [cv2.medianBlur(np.ascontiguousarray(rounded[..., k]), side) for k in (0, 1)]
    return np.linalg.norm(ab + 128 - np.stack(median, -1), axis=-1) > COLOR


def _is_speckle(lab: np.ndarray, region: np.ndarray) -> bool:
    """Compares the means of a region and of the ring around it."""
    ring = ndimage.binary_dilation(region, AROUND) & ~region
    if not ring.any():
        return False
    light, *ab = lab[region].mean(0) - lab[ring].mean(0)
    return bool(np.hypot(*ab) > COLOR and abs(light) < LIGHT)


def mean_counts(colorizer: Colorizer, limit: int | None) -> tuple[float, float]:
    """Returns the mean counts of the colored photographs and of the true ones."""
    data = DataConfig("tfrecord", data_dir=str(conftest.ROOT.parent / "shared" / "data"))
    counts = []
    for batch in input_pipeline.eval_batches(data, batch_size=1, image_size=SIZE, limit=limit):
        truth = batch.rgb.numpy()[0]
        output = colorizer.colorize(sample_images.luma_u8(truth))
        counts.append((count(output), count(truth)))
    output, truth = np.mean(counts, axis=0)
    return float(output), float(truth)


if __name__ == "__main__":
    found = mean_counts(Colorizer(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
    print("speckles a photograph: {:.2f}, of the truth {:.2f}".format(*found))
