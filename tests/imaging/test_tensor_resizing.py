"""Resizing inside graphs: TensorFlow's own antialiased resize, rounded as NumPy rounds."""

import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.imaging import resizing, tensor_resizing


@pytest.mark.parametrize("size", [(96, 96), (40, 300), (33, 70)])
def test_bytes_are_those_of_the_rounded_floats(rng, run_mode, size):
    rgb = rng.integers(0, 256, (33, 70, 3), np.uint8)
    wanted = np.rint(tf.image.resize(rgb, size, antialias=True)).astype(np.uint8)
    small = run_mode(tensor_resizing.resize_u8)(rgb, *size)
    assert small.dtype == tf.uint8
    np.testing.assert_array_equal(small, wanted)


def test_the_right_size_is_left_as_it_is(rng):
    rgb = rng.integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(tensor_resizing.resize_u8(rgb, 5, 7), rgb)
    batch = rng.random((2, 5, 7, 1), np.float32)
    np.testing.assert_array_equal(tensor_resizing.resize(batch, 5, 7), batch)


def test_graphs_and_arrays_are_resized_alike(rng):
    x = rng.random((40, 30, 2), np.float32)
    graph = tensor_resizing.resize(x[None], 13, 17)[0]
    np.testing.assert_allclose(resizing.resized(x, 13, 17), graph, atol=1e-6)


@pytest.mark.parametrize("size", [(9, 6), (6, 9)])
def test_the_center_square_is_cut_before_resizing(rng, size):
    middle = rng.integers(0, 256, (6, 6, 3), np.uint8)
    rgb = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - 6) // 2, (size[1] - 6) // 2
    rgb[top : top + 6, left : left + 6] = middle
    square = tensor_resizing.center_square_u8(rgb, 4)
    np.testing.assert_array_equal(square, tensor_resizing.resize_u8(middle, 4, 4))
