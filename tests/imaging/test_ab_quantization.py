"""Classes of ab, their loss and their colors against independent NumPy computations."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.ab_classes import (
    AB,
    WEIGHTS,
    Q,
    colors,
    numpy_encoding,
    numpy_loss,
    softmax,
    truth_and_logits,
)

from residual_encoder.imaging import ab_classes, ab_quantization
from residual_encoder.training import losses

# --- what the classes are -------------------------------------------------------------------------


def test_classes_are_the_grid_of_srgb():
    assert Q == 261
    np.testing.assert_array_equal(AB, ab_quantization.centers(ab_quantization.gamut_cells()))
    assert {(0, 0), (80, 70), (-80, 80), (80, -110)} <= set(
        map(tuple, AB)
    )  # gray, red, green, blue


def test_weights_against_numpy():
    counts = np.loadtxt(ab_classes.PRIOR)[:, 2]
    square = ((AB[:, None] - AB[None]) ** 2).sum(-1)
    spread = np.exp(-square / 50)
    smooth = np.zeros(Q)
    for column, share in zip(spread.T, counts / counts.sum(), strict=True):
        smooth += share * column / column.sum()
    expected = 1 / (0.5 * smooth + 0.5 / Q)
    expected /= np.sum(smooth * expected)
    np.testing.assert_allclose(WEIGHTS, expected, rtol=1e-5)
    assert np.sum(smooth * WEIGHTS) == pytest.approx(1, abs=1e-5)


def test_gray_weighs_least_and_rare_colors_most():
    assert tuple(AB[np.argmin(WEIGHTS)]) == (0, 0)
    assert np.hypot(*AB[np.argmax(WEIGHTS)]) > 80
    assert 20 < WEIGHTS.max() / WEIGHTS.min() < 100


# At 0.5: 1 / (0.125 + 0.25) and 1 / (0.375 + 0.25) over their mean, 28 / 15.
@pytest.mark.parametrize(
    ("rebalancing", "expected"), [(0.0, [1, 1]), (1.0, [2, 2 / 3]), (0.5, [10 / 7, 6 / 7])]
)
def test_rebalancing_by_hand(rebalancing, expected):
    weights = ab_quantization.class_weights(np.array([0.25, 0.75]), rebalancing)
    np.testing.assert_allclose(weights, expected)


def test_without_rebalancing_the_loss_is_the_plain_cross_entropy(rng):
    ab, logits = colors(rng, 6).reshape(1, 2, 3, 2), rng.normal(0, 2, (1, 2, 3, Q))
    p = softmax(logits)
    expected = -(numpy_encoding(ab.reshape(-1, 2)).reshape(p.shape) * np.log(p)).sum(-1).mean()
    found = ab_quantization.cross_entropy(
        tf.constant(ab, tf.float32), tf.constant(logits, tf.float32), 0.0
    )
    assert float(found) == pytest.approx(expected, rel=1e-4)
    assert float(found) != pytest.approx(
        float(
            ab_quantization.cross_entropy(
                tf.constant(ab, tf.float32), tf.constant(logits, tf.float32)
            )
        )
    )


# --- encoding, loss, decoding ---------------------------------------------------------------------


def test_soft_encoding_against_numpy(rng, run_mode):
    ab = colors(rng, 200)
    index, share = (x.numpy() for x in run_mode(ab_quantization.soft_encoding)(ab))
    dense = np.zeros((200, Q))
    np.put_along_axis(dense, index, share, axis=1)
    np.testing.assert_allclose(dense, numpy_encoding(ab), atol=1e-5)
    assert index.shape == share.shape == (200, 5)


def test_soft_encoding_by_hand():
    """Gray lies on a class: it and four neighbors at 10, whose shares are exp(-2) of its own."""
    index, share = ab_quantization.soft_encoding(tf.zeros([1, 2]))
    near = np.exp(-2.0)
    np.testing.assert_allclose(share[0], np.array([1, near, near, near, near]) / (1 + 4 * near))
    found = {tuple(AB[i]) for i in index[0].numpy()}
    assert found == {(0, 0), (10, 0), (-10, 0), (0, 10), (0, -10)}


def test_truth_is_averaged_down_to_the_classes(rng):
    chroma = rng.random((2, 8, 12, 2), np.float32)
    pooled = ab_quantization.pooled_ab(chroma)
    expected = chroma.reshape(2, 2, 4, 3, 4, 2).mean((2, 4)) * 256 - 128
    np.testing.assert_allclose(pooled, expected, atol=1e-4)


def test_loss_and_gradient_against_numpy(rng, run_mode):
    truth, logits = truth_and_logits(rng)
    with tf.GradientTape() as tape:
        x = tf.constant(logits)
        tape.watch(x)
        loss = run_mode(losses.LOSS_FUNCTIONS["ab_classes"])(truth, x)
    expected, p, target, nearest = numpy_loss(truth.rgb, logits)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    # Of cross-entropy: weight times (softmax - target), over the 12 pixels.
    slope = WEIGHTS[nearest][:, None] * (p - target) / 12
    np.testing.assert_allclose(tape.gradient(loss, x), slope.reshape(logits.shape), atol=1e-6)


def test_loss_under_xla_and_of_bfloat16(rng):
    truth, logits = truth_and_logits(rng)
    expected, *_ = numpy_loss(truth.rgb, logits)
    compiled = tf.function(losses.ab_classes, jit_compile=True)
    assert float(compiled(truth, logits)) == pytest.approx(expected, rel=1e-5)
    half = tf.cast(logits, tf.bfloat16)
    rounded, *_ = numpy_loss(truth.rgb, tf.cast(half, tf.float32).numpy())
    assert losses.ab_classes(truth, half).dtype == tf.float32
    assert float(losses.ab_classes(truth, half)) == pytest.approx(rounded, rel=1e-5)


def test_the_truth_itself_has_the_least_loss(rng):
    truth, logits = truth_and_logits(rng)
    _, _, target, _ = numpy_loss(truth.rgb, logits)
    best = np.log(target + 1e-9).reshape(logits.shape).astype(np.float32)
    entropy = float(losses.ab_classes(truth, best))
    assert entropy < 0.5 * float(losses.ab_classes(truth, np.zeros_like(logits)))
    for _ in range(3):
        other = best + rng.normal(0, 0.5, best.shape).astype(np.float32)
        assert entropy < float(losses.ab_classes(truth, other))


@pytest.mark.parametrize("temperature", [1.0, 0.38])
def test_annealed_mean_against_numpy(temperature, rng):
    logits = rng.normal(0, 4, (3, 5, Q)).astype(np.float32)
    p = softmax(logits.astype(np.float64))
    sharpened = p ** (1 / temperature)  # the paper's exp(log p / T) over its sum
    expected = sharpened / sharpened.sum(-1, keepdims=True) @ AB
    found = ab_quantization.annealed_mean(tf.constant(logits), temperature)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_prior_correction_against_numpy(rng):
    logits = rng.normal(0, 4, (3, 5, Q)).astype(np.float32)
    p = softmax(logits.astype(np.float64)) / ab_quantization.classes().prior ** 0.3
    sharpened = p ** (1 / 0.6)
    expected = sharpened / sharpened.sum(-1, keepdims=True) @ AB
    found = ab_quantization.annealed_mean(tf.constant(logits), 0.6, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_annealed_mean_is_the_mode_when_it_is_cold(rng):
    logits = rng.normal(0, 4, (50, Q)).astype(np.float32)
    cold = ab_quantization.annealed_mean(tf.constant(logits), 1e-3)
    np.testing.assert_allclose(cold, AB[logits.argmax(1)], atol=0.5)
