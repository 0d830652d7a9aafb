"""The sheet of photographs that may be shown."""

import sys

import numpy as np
import pytest

from residual_encoder.data import sample_images
from residual_encoder.evaluation import gallery, image_grids
from residual_encoder.inference.colorizer import Colorizer


def test_sheet_holds_gray_output_and_truth(soft_weights):
    names, photographs = zip(*sample_images.photographs(), strict=True)
    sheet = image_grids.sheet(Colorizer(soft_weights).colorize, photographs)
    assert names == sample_images.PHOTOGRAPHS
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
    np.testing.assert_array_equal(sample_images.luma_u8(rgb), [[76, 124]])


def test_gallery_holds_gray_above_colored(rng):
    pictures = [
        ("gray", rng.integers(0, 256, (300, 240), np.uint8)),
        ("color", rng.integers(0, 256, (230, 500, 3), np.uint8)),
    ]
    red = np.array([255, 0, 0], np.uint8)
    drawn = gallery.gallery(lambda gray: np.broadcast_to(red, (*gray.shape, 3)), pictures)
    step = gallery.CELL + gallery.SEAM
    margin = gallery.SEAM + gallery.LABELS
    assert drawn.shape == (2 * step + margin, 2 * step + margin, 3)
    top, left = gallery.SEAM, gallery.LABELS + gallery.SEAM
    for column in range(2):
        across = slice(left + column * step, left + column * step + gallery.CELL)
        gray = drawn[top : top + gallery.CELL, across]
        assert np.ptp(gray, axis=-1).max() == 0 and np.ptp(gray) > 50
        np.testing.assert_array_equal(drawn[top + step, across], np.tile(red, (gallery.CELL, 1)))
    assert (drawn[-gallery.LABELS :, left:] == 255).any()  # names
    assert (drawn[: 2 * step, : gallery.LABELS] == 255).any()  # labels of the rows


def test_gallery_cells_are_center_squares():
    gray = np.zeros((100, 300), np.uint8)
    gray[:, 100:200] = 200
    drawn = gallery.gallery(lambda gray: np.stack([gray] * 3, axis=-1), [("center", gray)])
    left = gallery.LABELS + gallery.SEAM
    cell = drawn[gallery.SEAM : gallery.SEAM + gallery.CELL, left : left + gallery.CELL]
    np.testing.assert_array_equal(cell, np.full_like(cell, 200))


def test_gallery_needs_a_picture():
    with pytest.raises(ValueError, match="at least one picture"):
        gallery.gallery(lambda gray: gray, [])


def test_gallery_photographs_are_eight():
    pytest.importorskip("sklearn")
    photographs = dict(sample_images.gallery_photographs())
    assert len(photographs) == 8
    assert {"astronaut", "china", "flower", "grace_hopper", "camera"} < set(photographs)
    assert all(picture.dtype == np.uint8 for picture in photographs.values())
    assert [name for name, picture in photographs.items() if picture.ndim == 2] == ["camera"]


def test_gallery_photographs_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r'pip install "\.\[dev\]"'):
        next(sample_images.gallery_photographs())
