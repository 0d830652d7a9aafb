"""Convolutions of enlarged pictures that are never made, against those that are."""

import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.models import subpixel_conv
from residual_encoder.models.layers import HalfPixelUpsample2, Upsample2


def test_kernel_by_hand():
    """A kernel of its center alone keeps every pixel: four phases, each its own pixel."""
    center = np.zeros((3, 3, 1, 1), np.float32)
    center[1, 1] = 5
    picture = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    y = tf.nn.conv2d(picture, subpixel_conv.polyphase_kernel(center), 2, "SAME")
    np.testing.assert_array_equal(y[0, 0, 1], 5 * picture[0, [0, 0, 1, 1], [2, 3, 2, 3], 0])
    np.testing.assert_array_equal(tf.nn.depth_to_space(y, 2), 5 * picture)


def test_kernel_is_the_convolution(rng):
    x = rng.normal(size=(2, 6, 10, 3)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)
    y = tf.nn.depth_to_space(tf.nn.conv2d(x, subpixel_conv.polyphase_kernel(kernel), 2, "SAME"), 2)
    np.testing.assert_allclose(y, tf.nn.conv2d(x, kernel, 1, "SAME"), atol=1e-5)


@pytest.mark.parametrize("layer", [Upsample2, HalfPixelUpsample2])
@pytest.mark.parametrize("size", [(2, 2), (2, 5), (6, 3)])
def test_conv_of_upsampled(layer, size, rng):
    """Edges and corners too, where the convolution of the large picture sees zeros."""
    x = rng.normal(size=(2, *size, 4)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 4, 3)).astype(np.float32)
    wanted = tf.nn.conv2d(layer().resized(x), kernel, 1, "SAME")
    small = tf.function(
        lambda x: subpixel_conv.conv_of_upsampled(x, kernel, layer().interpolation_weights()),
        input_signature=[tf.TensorSpec([None, None, None, 4])],
    )
    np.testing.assert_allclose(tf.nn.depth_to_space(small(x), 2), wanted, atol=2e-5)


def test_conv_of_upsampled_in_bfloat16(rng):
    x = tf.cast(rng.normal(size=(1, 4, 4, 8)), tf.bfloat16)
    kernel = rng.normal(size=(3, 3, 8, 3)).astype(np.float32)
    y = subpixel_conv.conv_of_upsampled(x, kernel, Upsample2().interpolation_weights())
    assert y.dtype == tf.bfloat16
    exact = subpixel_conv.conv_of_upsampled(
        tf.cast(x, tf.float32), kernel, Upsample2().interpolation_weights()
    )
    error = np.abs(tf.cast(y, tf.float32) - exact)
    assert 0 < error.max() < 0.03 * np.abs(exact).max()  # some roundings of 2 ** -9
