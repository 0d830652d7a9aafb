"""The sheet of photographs that may be shown."""

import numpy as np

from residual_encoder.evaluation import image_grids, showcase
from residual_encoder.inference.colorizer import Colorizer


def test_sheet_holds_gray_output_and_truth(soft_weights):
    names, photographs = zip(*showcase.photographs(), strict=True)
    sheet = image_grids.sheet(Colorizer(soft_weights).colorize, photographs)
    assert names == showcase.PHOTOGRAPHS
    height, width = photographs[0].shape[:2]
    panel = round(3 * width * image_grids.HEIGHT / height) // 3
    # Panels without the seams, where shrinking mixes neighbors.
    gray = sheet[: image_grids.HEIGHT, : panel - 3].astype(int)
    truth = sheet[: image_grids.HEIGHT, 2 * panel + 3 : 3 * panel - 3].astype(int)
    assert np.ptp(gray, axis=-1).max() <= 1
    assert np.ptp(truth, axis=-1).max() > 100


def test_luma_by_hand():
    rgb = np.array([[[255, 0, 0], [10, 200, 30]]], np.uint8)
    # .299 * 255 = 76.2; .299 * 10 + .587 * 200 + .114 * 30 = 123.8
    np.testing.assert_array_equal(showcase.luma_u8(rgb), [[76, 124]])
