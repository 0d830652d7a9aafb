"""The counter of speckles, on pictures with known ones."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from measurements import speckles
from skimage.color import lab2rgb

from residual_encoder.imaging import ab_quantization, logit_smoothing


def picture(*patches: tuple[slice, slice, tuple[float, float, float]]) -> np.ndarray:
    """A picture of 200 by 200 in one color, with patches of others, in Lab: speckles have < 40."""
    lab = np.zeros((200, 200, 3)) + np.array([60.0, 5.0, 10.0])
    for rows, columns, color in patches:
        lab[rows, columns] = color
    return np.rint(255 * lab2rgb(lab)).astype(np.uint8)


def at(top: int, left: int, height: int, width: int) -> tuple[slice, slice]:
    return slice(top, top + height), slice(left, left + width)


GREEN, NEAR, DARK = (60.0, -15.0, 10.0), (60.0, 5.0, 19.0), (50.0, -15.0, 10.0)


@pytest.mark.parametrize(
    ("patches", "wanted"),
    [
        ([], 0),
        ([(*at(50, 50, 5, 5), GREEN)], 1),
        ([(*at(50, 50, 5, 5), GREEN), (*at(120, 80, 2, 10), GREEN)], 2),
        ([(*at(0, 0, 4, 4), GREEN)], 1),  # in a corner
        ([(*at(50, 50, 3, 13), GREEN)], 1),  # 39 pixels
        ([(*at(50, 50, 8, 5), GREEN)], 0),  # 40 pixels, a thousandth
        ([(*at(50, 50, 5, 5), NEAR)], 0),  # 9 units off
        ([(*at(50, 50, 5, 5), DARK)], 0),  # a thing of its own: the gray has an edge, too
        ([(*at(0, 100, 200, 100), GREEN)], 0),  # two halves
    ],
)
def test_counts(patches: list, wanted: int) -> None:
    assert speckles.count(picture(*patches)) == wanted


def test_smoothing_removes_a_place_that_disagrees() -> None:
    """One place of the logits, 16 pixels, has another color than all others on even gray."""
    ab = ab_quantization.classes().ab
    common, odd = (np.flatnonzero((ab == color).all(1))[0] for color in ((10, 20), (-30, 20)))
    logits = np.zeros((1, 50, 50, len(ab)), np.float32)
    logits[..., common] = 12
    logits[0, 20, 30, [common, odd]] = 0, 12
    gray = np.full((1, 200, 200, 1), 0.6, np.float32)
    counts = []
    for radius in (0, 1):
        smooth = logit_smoothing.smoothed(tf.constant(logits), tf.constant(gray), radius)
        color = ab_quantization.annealed_mean(smooth, 0.6).numpy()[0]
        lab = np.dstack([np.full((200, 200), 60.0), color.repeat(4, 0).repeat(4, 1)])
        counts.append(speckles.count(np.rint(255 * lab2rgb(lab)).astype(np.uint8)))
    assert counts == [1, 0]


def test_a_larger_share_finds_larger_ones() -> None:
    rgb = picture((*at(50, 50, 12, 12), GREEN))
    assert speckles.count(rgb) == 0
    assert speckles.count(rgb, 0.01) == 1
