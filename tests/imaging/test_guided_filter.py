"""Edge-aware enlargement of chroma, against the filter written out and edges made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from residual_encoder.imaging import guided_filter, resizing


def written_out(gray: np.ndarray, chroma: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """The slopes of He et al. 2010, equations 5 and 8, window by window."""
    height, width = gray.shape
    g = np.pad(gray.astype(np.float64), 2 * radius, mode="symmetric")
    p = np.pad(chroma.astype(np.float64), 2 * radius, mode="symmetric")
    slope = np.empty((height + 2 * radius, width + 2 * radius))
    side = 2 * radius + 1
    for y, x in np.ndindex(slope.shape):
        a, b = g[y : y + side, x : x + side], p[y : y + side, x : x + side]
        slope[y, x] = ((a * b).mean() - a.mean() * b.mean()) / (a.var() + epsilon)
    means = [slope[y : y + side, x : x + side].mean() for y, x in np.ndindex((height, width))]
    return np.reshape(means, (height, width))


@pytest.mark.parametrize("radius", [1, 2])
def test_slopes_are_the_papers(radius: int, rng: np.random.Generator) -> None:
    gray, chroma = rng.random((9, 11, 1), np.float32), rng.random((9, 11, 2), np.float32)
    ours = guided_filter.coefficients(gray, chroma, radius, 0.05)
    for channel in range(2):
        wanted = written_out(gray[..., 0], chroma[..., channel], radius, 0.05)
        inner = (slice(radius, -radius),) * 2  # at the border means of slopes are mirrored again
        np.testing.assert_allclose(ours[inner][..., channel], wanted[inner], atol=1e-5)


def test_at_its_own_size_the_chroma_is_given_back(rng: np.random.Generator) -> None:
    gray, chroma = rng.random((9, 11, 1), np.float32), rng.random((9, 11, 2), np.float32)
    both = guided_filter.coefficients(gray, chroma)
    np.testing.assert_allclose(both[..., :2] * gray + both[..., 2:], chroma, atol=1e-6)


def test_flat_gray_gives_bilinear(rng: np.random.Generator) -> None:
    chroma = rng.random((9, 11, 2), np.float32)
    both = guided_filter.coefficients(np.full((9, 11, 1), 0.4, np.float32), chroma)
    np.testing.assert_allclose(both[..., :2], 0, atol=1e-5)
    np.testing.assert_allclose(both[..., 2:], chroma, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_the_smallest_pictures(shape: tuple, rng: np.random.Generator) -> None:
    both = guided_filter.coefficients(
        rng.random((*shape, 1), np.float32), np.ones((*shape, 2), np.float32)
    )
    assert both.shape == (*shape, 4) and np.isfinite(both).all()


def edge(scale: int, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark and blue on the left, light and red on the right, sharp at `column` of 16."""
    right = np.arange(16 * scale) >= column * scale
    gray = np.where(right, 0.8, 0.2).astype(np.float32)
    chroma = np.where(right[:, None], [0.4, 0.6], [0.6, 0.4]).astype(np.float32)
    return np.tile(gray[None, :, None], (16 * scale, 1, 1)), np.tile(chroma, (16 * scale, 1, 1))


def test_color_stays_on_its_side_of_an_edge() -> None:
    gray, truth = edge(4, 8)
    small_gray, small = resizing.resized(gray, 16, 16), resizing.resized(truth, 16, 16)
    rows = slice(0, 64)
    bilinear = resizing.enlarged_rows(small, rows, 64, 64)
    large = resizing.enlarged_rows(guided_filter.coefficients(small_gray, small), rows, 64, 64)
    ours = large[..., :2] * gray + large[..., 2:]
    near = (rows, slice(28, 36))
    error = [np.abs(x[near] - truth[near]).mean() for x in (ours, bilinear)]
    assert error[0] < 0.6 * error[1]
    np.testing.assert_allclose(ours[:, :16], bilinear[:, :16], atol=1e-3)  # and far away: the same
