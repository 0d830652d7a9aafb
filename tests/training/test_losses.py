"""Each loss against an independent NumPy computation, and what it must not do."""

import math

import cv2
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.imaging import colorspace
from residual_encoder.imaging.colorspace import YUV, Truth
from residual_encoder.recipes import LOSSES
from residual_encoder.training import losses

# The loss of logits is in models/test_ab_classifier.py and imaging/test_ab_quantization.py.
CHROMA_LOSSES = [name for name, info in LOSSES.items() if not info.reads_logits]


def test_recipes_name_the_losses_there_are():
    assert LOSSES.keys() == losses.LOSS_FUNCTIONS.keys()


def numpy_kernel(size):
    r = np.arange(size) - size // 2
    return np.exp(-4 * math.log(2) * (r[:, None] ** 2 + r[None] ** 2) / 9.0)


def numpy_blur(x, kernel, mode):
    """A plain loop over the kernel, one channel at a time."""
    half = len(kernel) // 2
    padded = np.pad(x, [(0, 0), (half, half), (half, half), (0, 0)], mode=mode)
    out = np.zeros(x.shape)
    for i in range(len(kernel)):
        for j in range(len(kernel)):
            out += kernel[i, j] * padded[:, i : i + x.shape[1], j : j + x.shape[2]]
    return out


def numpy_uv(rgb):
    r, g, b = np.moveaxis(rgb * 255, -1, 0)
    u = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b
    v = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b
    return np.clip(np.stack([u, v], -1) / 255, 0, 1)


def numpy_rgb(gray, uv):
    y, u, v = gray[..., 0] * 255, uv[..., 0] * 255 - 128, uv[..., 1] * 255 - 128
    rgb = np.stack([y + 1.402 * v, y - 0.34414 * u - 0.71414 * v, y + 1.772 * u], -1)
    return np.clip(rgb / 255, 0, 1)


def numpy_loss(name, truth, uv):
    rgb, gray, target = (np.asarray(x, np.float64) for x in truth)
    if name == "euclidean":
        return np.mean((uv - target) ** 2)
    if name == "tanh_l1":
        return 2 * np.mean(np.abs(uv - target))
    if name == "lab_mse":
        return 65536 * np.mean((uv - target) ** 2)
    if name == "rgb_euclidean":
        return np.mean((numpy_rgb(gray, uv) - rgb) ** 2)
    if name == "blurred_euclidean":
        terms = [np.mean((uv - target) ** 2)]
        for size in (3, 5):
            kernel = numpy_kernel(size) / numpy_kernel(size).sum()
            a, b = (numpy_blur(x, kernel, "symmetric") for x in (uv, target))
            terms.append(np.mean((a - b) ** 2))
        return np.mean(terms)
    if name == "blurred_distance":
        kernels = [numpy_kernel(size) / numpy_kernel(size).sum() for size in (3, 5)]
        differences = [uv - target, *(numpy_blur(uv - target, k, "symmetric") for k in kernels)]
        half = 0.5 / 255
        return np.mean([np.hypot(np.linalg.norm(d, axis=-1), half) - half for d in differences])
    terms = [np.mean(np.abs(uv - target))]
    for size in (3, 5):
        blurred = [
            numpy_blur(x, numpy_kernel(size), "constant") for x in (numpy_rgb(gray, uv), rgb)
        ]
        terms.append(np.mean(np.abs(numpy_uv(blurred[0]) - numpy_uv(blurred[1]))))
    return np.mean(terms)


@pytest.fixture
def truth(rng):
    # Smooth pictures, so that blurring does not leave everything saturated.
    rgb = rng.uniform(0, 0.3, (2, 16, 24, 3)).astype(np.float32)
    return colorspace.split((rgb * 255).astype(np.uint8), YUV, "mean")


@pytest.fixture
def chroma(rng):
    return rng.uniform(0.3, 0.7, (2, 16, 24, 2)).astype(np.float32)


@pytest.mark.parametrize("name", CHROMA_LOSSES)
def test_equals_numpy(name, truth, chroma, run_mode):
    ours = float(run_mode(losses.LOSS_FUNCTIONS[name])(truth, tf.constant(chroma)))
    assert ours == pytest.approx(numpy_loss(name, truth, chroma.astype(np.float64)), rel=1e-5)


def test_two_by_two_by_hand():
    # One pixel off by 0.4 in U: 0.16 over 2 x 2 pixels and 2 channels is 0.02.
    target = np.zeros((1, 2, 2, 2), np.float32)
    prediction = target.copy()
    prediction[0, 0, 0, 0] = 0.4
    truth = Truth(None, None, tf.constant(target))
    assert float(losses.euclidean(truth, prediction)) == pytest.approx(0.02)


def test_kernel_sums_are_the_scripts():
    assert losses.gaussian(3).sum() ** 2 == pytest.approx(6.0996, abs=1e-4)
    assert losses.gaussian(5).sum() ** 2 == pytest.approx(9.3208, abs=1e-4)


@pytest.mark.parametrize("size", [3, 5])
def test_blur_agrees_with_opencv(size, rng):
    x = rng.uniform(size=(1, 20, 30, 2)).astype(np.float32)
    sigma = 3 / math.sqrt(8 * math.log(2))
    theirs = cv2.GaussianBlur(
        x[0], (size, size), sigmaX=sigma, sigmaY=sigma, borderType=cv2.BORDER_REFLECT
    )
    np.testing.assert_allclose(losses.blur(tf.constant(x), size)[0], theirs, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5])
def test_channels_do_not_mix(size):
    x = np.zeros((1, 9, 9, 2), np.float32)
    x[0, 4, 4, 0] = 1
    for blur in (losses.blur, losses.script_blur):
        blurred = blur(tf.constant(x), size).numpy()
        assert blurred[..., 0].max() > 0.1
        assert np.all(blurred[..., 1] == 0)


def test_changing_u_leaves_the_gradient_of_v_alone(truth, chroma):
    def gradient_of_v(uv):
        uv = tf.constant(uv)
        with tf.GradientTape() as tape:
            tape.watch(uv)
            loss = losses.blurred_euclidean(truth, uv)
        return tape.gradient(loss, uv).numpy()[..., 1]

    moved = chroma.copy()
    moved[..., 0] += 0.1
    np.testing.assert_array_equal(gradient_of_v(moved), gradient_of_v(chroma))


def test_constant_difference_is_the_same_blurred_also_at_the_border():
    # All three terms are 0.1 squared if a constant stays constant under both blurs.
    target = tf.fill([1, 12, 12, 2], 0.4)
    truth = Truth(None, None, target)
    assert float(losses.blurred_euclidean(truth, target + 0.1)) == pytest.approx(0.01, rel=1e-5)
    for size in (3, 5):
        np.testing.assert_allclose(losses.blur(target, size), target, atol=1e-6)


@pytest.mark.parametrize("name", CHROMA_LOSSES)
def test_truth_has_no_loss(name, rng):
    # Mid-range colors and luma gray: merging gives the picture back, so every term is zero.
    rgb = rng.integers(90, 160, (1, 8, 8, 3), dtype=np.uint8)
    truth = colorspace.split(rgb, YUV, "luma")
    assert float(losses.LOSS_FUNCTIONS[name](truth, truth.chroma)) < 2e-5


def test_size_may_be_unknown(truth, chroma):
    spec = tf.TensorSpec([None, None, None, 2])
    loss = tf.function(
        lambda target, uv: losses.blurred_euclidean(Truth(None, None, target), uv),
        input_signature=[spec, spec],
    )
    expected = losses.blurred_euclidean(truth, tf.constant(chroma))
    np.testing.assert_allclose(loss(truth.chroma, chroma), expected, rtol=1e-6)
