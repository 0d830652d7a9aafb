"""Two engines of one network: the noise that they color, and how closely they agree."""

from __future__ import annotations

import numpy as np
import pytest

from residual_encoder.inference.colorizer import Colorizer

SHAPES = pytest.mark.parametrize("shape", [(1, 1), (33, 47), (90, 61, 3), (40, 300, 4)])


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def assert_pictures_agree(pair: list[Colorizer], shape: tuple[int, ...]) -> None:
    """Both engines' pictures differ by at most a level, and in less than 1 % of all values."""
    one, other = (colorizer.colorize(noise(*shape)).astype(int) for colorizer in pair)
    assert np.abs(one - other).max() <= 1
    assert np.mean(one != other) < 0.01
