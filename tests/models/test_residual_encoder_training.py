"""The residual encoder in training: values, gradients and moving averages of the plain form."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.data import scenes
from residual_encoder.imaging import colorspace
from residual_encoder.models import factory, residual_encoder_training
from residual_encoder.models.factory import ResidualEncoderConfig
from residual_encoder.models.layers import BatchNorm, moments
from residual_encoder.recipes import RECIPES
from residual_encoder.training.losses import blurred_euclidean

NARROW = ResidualEncoderConfig()
CONFIGS = {
    "2016": NARROW,
    "concat": dataclasses.replace(NARROW, widths=(256, 128, 64, 4, 8), gray_tap="concat"),
    "half_pixel_elu_five": dataclasses.replace(
        NARROW, upsampling="half_pixel", activation="elu", taps=5
    ),
}
# Behind it comes a batch norm, so that it moves nothing: its slope is rounding and no more.
IDLE = ("pool4_bn/beta", "pool5_bn/beta")


def _network(config, precision="float32", train_trunk=False):
    """The same weights every time: norms and biases are not those of the start."""
    model = factory.build(config, precision=precision, train_trunk=train_trunk)
    rng = np.random.default_rng(3)
    for variable in model.weights:
        part, shape = variable.path.rsplit("/")[-1], variable.shape
        if part == "kernel":  # He 2015
            variable.assign(rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape))
        elif part in ("gamma", "beta", "bias", "moving_mean"):
            variable.assign(variable + rng.normal(0, 0.1, shape))
    return model


def _learned(model, function):
    """Loss, its slope for every trainable variable, and what else has moved, of one pass."""
    rgb = tf.stack([scenes.render(0, k, 32) for k in range(2)])
    truth = colorspace.split(rgb, colorspace.YUV, "luma")

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            loss = blurred_euclidean(truth, function(truth.gray, training=True))
        return loss, tape.gradient(loss, model.trainable_variables)

    loss, slopes = run()
    paths = [variable.path for variable in model.trainable_variables]
    moved = {variable.path: variable.numpy() for variable in model.non_trainable_variables}
    return float(loss), dict(zip(paths, (slope.numpy() for slope in slopes), strict=True)), moved


def _off(ours, plain):
    """How far each slope is from the plain one, as a share of its length."""
    return {
        path: np.linalg.norm(ours[path] - plain[path]) / np.linalg.norm(plain[path])
        for path in plain
        if path not in IDLE
    }


@pytest.mark.parametrize("train_trunk", [False, True])
@pytest.mark.parametrize(
    "name", ["2016", "concat", pytest.param("half_pixel_elu_five", marks=pytest.mark.slow)]
)
def test_it_learns_what_the_network_learns(name, train_trunk):
    results = []
    for form in (lambda model: model, residual_encoder_training.training_function):
        model = _network(CONFIGS[name], train_trunk=train_trunk)
        results.append(_learned(model, form(model)))
    (loss, slopes, moved), (our_loss, our_slopes, our_moved) = results
    assert our_loss == pytest.approx(loss, rel=1e-5)
    assert our_slopes.keys() == slopes.keys()
    assert len(slopes) > (40 if train_trunk else 20)
    assert max(_off(our_slopes, slopes).values()) < 2e-3
    for path, value in moved.items():
        np.testing.assert_allclose(our_moved[path], value, rtol=1e-5, atol=1e-6)
    assert np.abs(moved["pool1_bn/moving_variance"] - 1).max() > 1e-3  # it did move


def test_bfloat16_is_as_near_as_the_network():
    exact = _network(NARROW)
    _, wanted, _ = _learned(exact, exact)
    errors = []
    for form in (lambda model: model, residual_encoder_training.training_function):
        model = _network(NARROW, "bfloat16")
        errors.append(_off(_learned(model, form(model))[1], wanted))
    plain, ours = (np.array(list(error.values())) for error in errors)
    assert np.median(ours) < 1.2 * np.median(plain)
    assert ours.max() < 1.3 * plain.max()


def test_steps_take_it_where_it_pays():
    """What was measured would be of no use otherwise."""
    for name, pays in (("tinyclouds2016", True), ("modern", False)):
        config = RECIPES[name].network
        model = factory.build(config)
        assert (factory.training_function(model, config) is not model) == pays


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_moments_and_their_gradient(dtype, rng):
    x = tf.cast(rng.normal(2, 3, (3, 4, 5, 6)), dtype)
    a, b = rng.normal(size=(2, 6)).astype(np.float32)

    def run(function):
        with tf.GradientTape() as tape:
            tape.watch(x)
            mean, variance = function(x)
            total = tf.reduce_sum(a * mean + b * variance)
        return mean, variance, tape.gradient(total, x)

    plain = run(lambda x: tf.nn.moments(tf.cast(x, tf.float32), [0, 1, 2]))
    for ours, wanted in zip(run(moments), plain, strict=True):
        ours, wanted = (tf.cast(value, tf.float32) for value in (ours, wanted))
        loose = 1e-5 if ours.shape.rank == 1 or dtype == "float32" else 2**-6
        np.testing.assert_allclose(ours, wanted, rtol=loose, atol=loose * np.abs(wanted).max())


def test_scale_and_offset_are_what_the_norm_does(rng):
    x = tf.constant(rng.normal(2, 3, (3, 4, 5, 20)), tf.float32)
    norms = [BatchNorm(momentum=0.9, epsilon=1e-3) for _ in range(2)]
    for norm in norms:
        norm.build(x.shape)
        norm.gamma.assign(np.linspace(-1, 1, 20))
        norm.beta.assign(np.linspace(0, 1, 20))
    for training in (True, False):
        wanted = norms[0](x, training=training)
        scale, offset = norms[1].scale_and_offset(x, training)
        np.testing.assert_allclose(x * scale + offset, wanted, atol=1e-5)
        np.testing.assert_allclose(norms[1].moving_mean, norms[0].moving_mean, rtol=1e-5)
        np.testing.assert_allclose(norms[1].moving_variance, norms[0].moving_variance, rtol=1e-5)
