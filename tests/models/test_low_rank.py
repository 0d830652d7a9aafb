"""A trunk with its deep convolutions split in two: the same function at full rank, close below."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.models import low_rank, vgg16

TAPS = (*vgg16.TAPS, "block5_conv3")


@pytest.fixture(scope="module")
def vgg():
    keras.utils.set_random_seed(3)
    model = vgg16.whole("none")
    rng = np.random.default_rng(0)
    for layer in vgg16.deep_convolutions(model):  # random biases, so that a lost bias shows
        layer.bias.assign(rng.normal(0, 5, layer.bias.shape))
    return model


def pictures(rng, count=2):
    return [rng.uniform(size=(2, 48, 64, 3)).astype(np.float32) for _ in range(count)]


def trunk_of_rank(vgg, rank, rng):
    trunk = vgg16.build_trunk("none", taps=TAPS, rank=rank)
    arrays = low_rank.split_weights(vgg, pictures(rng), rank)
    shallow = {v.path: v.numpy() for v in vgg.weights if v.path[5] in "123"}
    assert {v.path for v in trunk.weights} == {*arrays, *shallow}
    for variable in trunk.weights:
        variable.assign({**shallow, **arrays}[variable.path])
    return trunk


def whole_taps(vgg, rgb):
    return keras.Model(vgg.input, [vgg.get_layer(tap).output for tap in TAPS])(rgb)


def test_full_rank_is_the_whole_network(vgg, rng):
    rgb = pictures(rng, 1)[0]
    found = trunk_of_rank(vgg, 512, rng)(rgb)
    for tap, expected in zip(found, whole_taps(vgg, rgb), strict=True):
        np.testing.assert_allclose(tap, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_one_layer_is_the_best_linear_approximation_of_its_responses(vgg, rng):
    """The error of one layer is what a principal component analysis by SVD leaves over."""
    layer, rank = vgg.get_layer("block4_conv1"), 32
    rgb = pictures(rng)
    x = np.concatenate([keras.Model(vgg.input, layer.input)(batch) for batch in rgb])
    y = tf.nn.conv2d(x, layer.kernel, 1, "SAME") + layer.bias
    y = y.numpy().reshape(-1, 512).astype(np.float64)
    left_over = np.linalg.svd(y - y.mean(0), compute_uv=False)[rank:]
    weights = low_rank.split_weights(vgg, rgb, rank)
    z = tf.nn.conv2d(x, weights["block4_conv1_basis/kernel"], 1, "SAME")
    z = tf.nn.conv2d(z, weights["block4_conv1/kernel"], 1, "SAME") + weights["block4_conv1/bias"]
    error = np.sum((z.numpy().reshape(-1, 512) - y) ** 2)
    assert error == pytest.approx(np.sum(left_over**2), rel=1e-3)


def test_more_rank_is_closer(vgg, rng):
    rgb = pictures(rng, 1)[0]
    fourth = whole_taps(vgg, rgb)[3]
    errors = [
        float(tf.reduce_mean(tf.square(trunk_of_rank(vgg, rank, rng)(rgb)[3] - fourth)))
        for rank in (32, 128, 384)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_no_photograph_is_refused(vgg):
    with pytest.raises(ValueError, match="needs photographs"):
        low_rank.split_weights(vgg, [], 8)


def test_blocks_1_to_3_keep_their_weights_and_4_and_5_train():
    trunk = vgg16.build_trunk(taps=TAPS, trainable=True, frozen_blocks=3, rank=16)
    assert {v.path.split("_")[0] for v in trunk.trainable_variables} == {"block4", "block5"}
    assert len(trunk.trainable_variables) == 18
    assert trunk.get_layer("block5_conv3_basis").kernel.shape == (3, 3, 512, 16)
    # Blocks 1 to 3, conv4_1's halves, and five times 512 -> 16 -> 512.
    whole = 1_735_488
    assert trunk.count_params() == whole + 6 * (16 * 512 + 512) + 9 * 16 * (256 + 5 * 512)
