"""Smoothing of logits along the edges of gray, against a guided filter in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.imaging.logit_smoothing import EPSILON, smoothed


def mean(x: np.ndarray, radius: int) -> np.ndarray:
    """Averages over the part of each window that lies inside, a place at a time. [h, w, C]"""
    out = np.empty_like(x)
    for row, column in np.ndindex(x.shape[:2]):
        window = x[max(0, row - radius) : row + radius + 1,
                   max(0, column - radius) : column + radius + 1]  # fmt: skip
        out[row, column] = window.mean((0, 1))
    return out


def reference(logits: np.ndarray, gray: np.ndarray, radius: int) -> np.ndarray:
    """He, Sun and Tang 2010, in float64. [h, w, Q] and [4h, 4w, 1]."""
    height, width, _ = logits.shape
    p = logits.astype(np.float64)
    i = gray.astype(np.float64).reshape(height, 4, width, 4, 1).mean((1, 3))
    slope = (mean(i * p, radius) - mean(i, radius) * mean(p, radius)) / (
        mean(i * i, radius) - mean(i, radius) ** 2 + EPSILON
    )
    offset = mean(p, radius) - slope * mean(i, radius)
    return mean(slope, radius) * i + mean(offset, radius)


@pytest.mark.parametrize("radius", [1, 2])
def test_against_numpy(radius: int, rng: np.random.Generator, run_mode) -> None:
    logits = rng.normal(0, 4, (2, 6, 9, 5)).astype(np.float32)
    gray = rng.random((2, 24, 36, 1), np.float32)
    found = run_mode(lambda *maps: smoothed(*maps, radius))(tf.constant(logits), tf.constant(gray))
    wanted = [reference(*pair, radius) for pair in zip(logits, gray, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_radius_zero_is_the_identity(rng: np.random.Generator) -> None:
    logits = tf.constant(rng.normal(size=(1, 3, 4, 5)).astype(np.float32))
    assert smoothed(logits, tf.zeros([1, 12, 16, 1]), 0) is logits


def test_neighbors_agree_where_gray_is_even(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(1, 12, 12, 3)).astype(np.float32)
    found = smoothed(tf.constant(logits), tf.fill([1, 48, 48, 1], 0.4), 1).numpy()
    wanted = mean(mean(logits[0], 1), 1)  # twice the mean over a window
    np.testing.assert_allclose(found[0], wanted, atol=1e-5)
    assert found.std() < 0.5 * logits.std()


def test_an_edge_of_gray_keeps_the_two_sides_apart() -> None:
    """A step of both by 0.5 of gray: its 4 blurred values are all but the ones before."""
    gray = np.zeros((1, 32, 32, 1), np.float32)
    gray[:, :, 16:] = 0.5
    logits = np.where(gray[:, ::4, ::4] > 0, 6.0, -2.0).astype(np.float32)
    kept = smoothed(tf.constant(logits), tf.constant(gray), 1).numpy()
    np.testing.assert_allclose(kept, logits, atol=0.1)
    blurred = smoothed(tf.constant(logits), tf.zeros_like(gray), 1).numpy()
    assert np.abs(blurred - logits).max() > 2


def test_a_map_that_even_gray_has_no_edge_for_keeps_its_sum_inside(
    rng: np.random.Generator,
) -> None:
    logits = np.zeros((1, 11, 11, 1), np.float32)
    logits[0, 5, 5, 0] = 9
    found = smoothed(tf.constant(logits), tf.fill([1, 44, 44, 1], 0.7), 1).numpy()[0, ..., 0]
    assert found[5, 5] == pytest.approx(1, abs=1e-5)  # 9 / 9 seen by nine windows, averaged
    assert found.sum() == pytest.approx(9, rel=1e-5)
    assert np.count_nonzero(np.abs(found) > 1e-5) == 25


def test_gradients_flow(rng: np.random.Generator) -> None:
    logits = tf.constant(rng.normal(size=(1, 4, 4, 2)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        out = smoothed(logits, tf.constant(rng.random((1, 16, 16, 1), np.float32)), 1)
    assert np.all(np.isfinite(tape.gradient(out, logits)))
