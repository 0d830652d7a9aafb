"""Resizing in stripes against TensorFlow's of the whole."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder.imaging import resizing

SIZES = [
    ((86, 115), (22, 30)),
    ((1, 500), (8, 32)),  # one side grows
    ((50, 60), (56, 64)),
    ((40, 40), (40, 40)),
    ((97, 1), (13, 8)),
]


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_shrunk_is_tensorflows_antialiased_resize(
    size: tuple, target: tuple, rows: int, rng: np.random.Generator
) -> None:
    x = rng.random(size, np.float32)
    stripes = (x[top : top + rows] for top in range(0, size[0], rows))
    wanted = tf.image.resize(x[..., None], target, antialias=True)[..., 0]
    np.testing.assert_allclose(resizing.shrunk(stripes, size, target), wanted, atol=1e-5)


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_resized_is_tensorflows_too(size: tuple, target: tuple, rng: np.random.Generator) -> None:
    x = rng.random((*size, 3), np.float32)
    wanted = tf.image.resize(x, target, antialias=True)
    np.testing.assert_allclose(resizing.resized(x, *target), wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(22, 30), (1, 30), (22, 1), (1, 1), (86, 115)])
@pytest.mark.parametrize("channels", [2, 4])
def test_enlarged_rows_are_those_of_the_whole(
    size: tuple, channels: int, rng: np.random.Generator
) -> None:
    small = rng.random((*size, channels), np.float32)
    whole = resizing.enlarged_rows(small, slice(0, 86), 86, 115)
    np.testing.assert_allclose(whole, tf.image.resize(small, (86, 115)), atol=2e-5)
    for rows in (1, 5, 85):
        stripes = [
            resizing.enlarged_rows(small, slice(top, min(top + rows, 86)), 86, 115)
            for top in range(0, 86, rows)
        ]
        np.testing.assert_array_equal(np.concatenate(stripes), whole)  # no seams, to the bit


def test_rows_of_weights_sum_to_one_and_reach_no_further_than_needed() -> None:
    for inside, outside in ((100, 7), (7, 100), (5, 5), (1, 3), (3, 1)):
        weights = resizing.weights(inside, outside)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
        assert (weights >= 0).all()
    np.testing.assert_array_equal(resizing.weights(5, 5), np.eye(5))
    # Pixel 0 of 2 lies at 0.5 among 4; a triangle of half width 2 weighs 0..3 with 3, 3, 1, 0.
    wanted = np.array([3, 3, 1, 0]) / 7
    np.testing.assert_allclose(resizing.weights(4, 2)[0], wanted, rtol=1e-6)


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    """OpenBLAS rounds otherwise in several: a 16-bit picture with hints differed by 1 of 65535."""
    code = """
import hashlib, numpy
from residual_encoder.imaging import resizing
random = numpy.random.default_rng(0)
made = [resizing.resized(random.random((160, 213, 2), numpy.float32), 240, 320)]
made.append(resizing.product(random.random((2, 32)), random.random((76800, 32)).T))
print(hashlib.sha256(b"".join(array.tobytes() for array in made)).hexdigest())
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    hashes = {
        subprocess.check_output(
            [sys.executable, "-c", code], env=environment | {"OPENBLAS_NUM_THREADS": number}
        )
        for number in ("1", "2")
    }
    assert len(hashes) == 1


def test_product_is_that_of_the_whole(rng: np.random.Generator) -> None:
    """Whole numbers, of which all sums are exact, in one part and in several."""
    left = rng.integers(-9, 9, (3, 17)).astype(float)
    for width in (1, 2, 5140, 5141, 20_000):
        right = rng.integers(-9, 9, (17, width)).astype(float)
        wanted = np.einsum("mk,kn->mn", left, right)
        np.testing.assert_array_equal(resizing.product(left, right), wanted)
