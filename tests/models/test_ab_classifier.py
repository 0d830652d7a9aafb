"""The network of color classes: shapes, gradients, reach, refused settings, smoothing."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.ab_classes import AB, Q, numpy_loss
from helpers.training_runs import ONE

from residual_encoder.imaging import ab_quantization, colorspace, logit_smoothing
from residual_encoder.models import factory
from residual_encoder.models.factory import AbClassesConfig
from residual_encoder.recipes import RECIPES, Recipe
from residual_encoder.training import learner
from residual_encoder.training.optimizers import make_optimizer

RECIPE = dataclasses.replace(RECIPES["modern_classes"], image_size=32, batch_size=2)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return factory.build(AbClassesConfig(width=16), train_trunk=True)


def test_shapes_and_the_way_from_logits_to_chroma(network, rng):
    gray = rng.uniform(size=(2, 16, 24, 1)).astype(np.float32)
    logits = factory.training_function(network, AbClassesConfig(width=16))(gray)
    assert logits.shape == (2, 4, 6, Q)
    ab = ab_quantization.annealed_mean(logits, 0.38) / 256 + 0.5
    expected = tf.image.resize(tf.image.resize(ab, [8, 12]), [16, 24])
    np.testing.assert_allclose(network(gray), expected, atol=1e-5)


def test_training_function_of_the_other_networks_is_the_network_itself():
    config = RECIPES["cnn1"].network
    model = factory.build(config)
    assert factory.training_function(model, config) is model


def test_chroma_is_a_color_of_the_plane_whatever_the_logits(network):
    layer = network.get_layer("logits")
    kernel = np.zeros(layer.kernel.shape, np.float32)
    bias = np.full(Q, -50, np.float32)
    bias[np.flatnonzero((AB == [80, 70]).all(1))] = 50  # red
    before = layer.get_weights()
    layer.set_weights([kernel, bias])
    chroma = network(np.full((1, 8, 8, 1), 0.5, np.float32))
    layer.set_weights(before)
    np.testing.assert_allclose(chroma[0, 4, 4], [80 / 256 + 0.5, 70 / 256 + 0.5], atol=1e-5)


def test_temperature_is_the_configs():
    model = factory.build(AbClassesConfig(temperature=1.0))
    logits = np.random.default_rng(0).normal(0, 3, (1, 2, 2, Q)).astype(np.float32)
    found = model.get_layer("annealed_mean")(logits)
    np.testing.assert_allclose(
        found * 256 - 128, ab_quantization.annealed_mean(logits, 1.0), atol=1e-4
    )


def test_bfloat16_stops_at_the_logits():
    model = factory.build(AbClassesConfig(), precision="bfloat16")
    assert model.get_layer("color3").compute_dtype == "bfloat16"
    assert {model.get_layer(n).compute_dtype for n in ("logits", "annealed_mean")} == {"float32"}
    assert model(np.zeros((1, 8, 8, 1), np.float32)).dtype == "float32"


def test_one_step_moves_every_variable_by_the_loss_of_the_logits(rng):
    rgb = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    model = factory.build(RECIPE.network, train_trunk=True)
    truth = colorspace.split(rgb, colorspace.LAB, "lightness")
    logits = factory.training_function(model, RECIPE.network)(truth.gray, training=True)
    optimizer = make_optimizer(dataclasses.replace(RECIPE, warmup_steps=0))
    optimizer.build(model.trainable_variables)
    before = [v.numpy() for v in model.trainable_variables]
    loss = learner.make_step(model, optimizer, RECIPE, ONE)(rgb)
    assert float(loss) == pytest.approx(numpy_loss(truth.rgb, logits.numpy())[0], rel=1e-4)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != value), variable.path


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"width": 0}, "must be above zero"),
        ({"temperature": 0.0}, "temperature must be 0.01 or more"),
        ({"taps": 3}, "taps must be 4 or 5. Received 3"),
        ({"prior_correction": 1.5}, "prior_correction must be 0 to 1. Received 1.5"),
        ({"dropout": (0.1, 0.1)}, "three shares"),
        ({"dropout": (0.1, 1.0, 0.1)}, "below 1"),
        ({"smoothing": -1}, "smoothing must be at least 0. Received -1"),
        ({"trunk_rank": -1}, "trunk_rank must be at least 0"),
        ({"context": (2, 0)}, "dilations at least 1"),
    ],
)
def test_impossible_configs_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        AbClassesConfig(**numbers)


DEEP = AbClassesConfig(taps=5, trunk_rank=8, context=(1, 2), refinements=(1,))


def test_the_deep_network_has_every_gradient_and_the_shapes_of_the_plain_one(rng):
    model = factory.build(DEEP, train_trunk=True)
    gray = rng.uniform(size=(2, 32, 48, 1)).astype(np.float32)
    assert model(gray).shape == (2, 32, 48, 2)
    assert factory.multiple_of(DEEP) == 16
    with tf.GradientTape() as tape:
        logits = factory.training_function(model, DEEP)(gray, training=True)
        loss = tf.reduce_mean(tf.square(logits - rng.normal(size=logits.shape)))
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None and np.any(gradient != 0), variable.path


def test_dilated_context_looks_as_far_as_it_should(rng):
    """One bottleneck of dilation 2 at an eighth: 2 places to each side, after color4's one."""
    model = factory.build(AbClassesConfig(context=(2,)))
    inner = keras.Model(
        model.get_layer("color4_relu").output, model.get_layer("color4_context1").output
    )
    x = np.abs(rng.normal(size=(1, 11, 11, 256))).astype(np.float32)
    changed = x.copy()
    changed[0, 5, 5] += 1
    moved = np.abs(np.asarray(inner(changed)) - np.asarray(inner(x))).max((0, -1)) > 0
    rows, columns = np.nonzero(moved)
    assert set(rows) == set(columns) == {3, 5, 7}
    assert inner(x).shape == x.shape


def test_shipping_size_of_the_distribution_recipe():
    """At most 17 MB of float16: the weights file that comes with the package."""
    count = factory.build(RECIPES["modern_distribution"].network, vgg16_weights="later")
    assert 2 * count.count_params() < 17e6


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("modern_classes", {"loss": "euclidean"}, "loss must be ab_classes for a network of cl"),
        ("vgg_autoencoder", {"loss": "ab_classes"}, "loss must be one of chroma"),
        ("modern_classes", {"color_space": "yuv"}, 'color_space must be "lab"'),
    ],
)
def test_classes_and_their_loss_belong_together(name, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPES[name], **change)


# --- smoothing ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoothing_pair():
    """The same weights, without and with smoothing."""
    pair = []
    for radius in (0, 1):
        keras.utils.set_random_seed(1)
        pair.append(factory.build(AbClassesConfig(width=16, smoothing=radius)))
    plain, smooth = pair
    for ours, theirs in zip(smooth.weights, plain.weights, strict=True):
        assert ours.path == theirs.path
        ours.assign(theirs)
    return plain, smooth


def test_smoothing_is_between_logits_and_colors(smoothing_pair, rng):
    plain, smooth = smoothing_pair
    gray = rng.uniform(size=(1, 16, 24, 1)).astype(np.float32)
    config = AbClassesConfig(width=16, smoothing=1)
    logits = factory.training_function(smooth, config)(gray)
    np.testing.assert_allclose(
        logits, factory.training_function(plain, AbClassesConfig(width=16))(gray), atol=1e-4
    )
    wanted = ab_quantization.annealed_mean(logit_smoothing.smoothed(logits, gray, 1), 0.38)
    wanted = tf.image.resize(tf.image.resize(wanted / 256 + 0.5, [8, 12]), [16, 24])
    for form in (smooth, factory.for_inference(smooth, config)):
        np.testing.assert_allclose(form(gray), wanted, atol=1e-5)
    assert np.abs(smooth(gray) - plain(gray)).max() > 1e-3


def test_two_steps_of_a_smoothed_network(smoothing_pair, rng):
    _, smooth = smoothing_pair
    config = AbClassesConfig(width=16, smoothing=1)
    gray = rng.uniform(size=(2, 16, 24, 1)).astype(np.float32)
    steps = factory.in_two_steps(smooth, config)
    found = steps.colors(steps.logits(gray), tf.constant(0.38), tf.constant(0.0))
    np.testing.assert_allclose(found, smooth(gray), atol=1e-5)
    assert factory.in_two_steps(lambda gray: gray, config) is None
    assert factory.in_two_steps(smooth, RECIPES["modern"].network) is None


def test_old_configs_are_not_smoothed():
    assert RECIPES["modern_classes"].network.smoothing == 0
    assert "smoothed_logits" not in [
        layer.name for layer in factory.build(AbClassesConfig(width=16)).layers
    ]
    recipe = RECIPES["modern_classes"]
    fields = recipe.to_json()
    del fields["network"]["smoothing"], fields["network"]["prior_correction"]
    del fields["network"]["dropout"]  # nor do they drop anything
    assert Recipe.from_json(fields) == recipe


# --- dropout --------------------------------------------------------------------------------------

RATES = 0.25, 0.5, 0.2
SHALLOW = AbClassesConfig(taps=5, trunk_rank=8, context=(1,), refinements=(1,), dropout=RATES)


@pytest.fixture(scope="module")
def dropping():
    return factory.build(SHALLOW)


def test_training_drops_whole_channels(dropping):
    x = np.ones((8, 4, 6, 256), np.float32)
    for name, rate in zip(("pool3", "pool4", "color3"), RATES, strict=True):
        layer = dropping.get_layer(f"{name}_dropout")
        np.testing.assert_array_equal(layer(x, training=False), x)
        dropped = layer(x, training=True).numpy()
        assert (dropped == dropped[:, :1, :1]).all()  # of a channel all or nothing
        assert set(np.unique(dropped)) == {0, np.float32(1 / (1 - rate))}
        # Of 2,048 channels; five standard deviations.
        assert (dropped == 0).mean() == pytest.approx(
            rate, abs=5 * (rate * (1 - rate) / 2048) ** 0.5
        )
    assert dropping.get_layer("pool5_dropout").rate == RATES[1]


def test_dropout_changes_training_alone(dropping, rng):
    plain = factory.build(dataclasses.replace(SHALLOW, dropout=(0, 0, 0)))
    states = {v.path for v in dropping.variables} - {v.path for v in plain.variables}
    assert states == {
        f"{name}_dropout/seed_generator_state" for name in ("pool3", "pool4", "pool5", "color3")
    }
    arrays = {v.path: v.numpy() for v in dropping.weights}
    for variable in plain.weights:
        variable.assign(arrays[variable.path])
    gray = rng.random((2, 32, 32, 1), np.float32)
    np.testing.assert_array_equal(dropping(gray, training=False), plain(gray, training=False))
    logits = factory.training_function(dropping, SHALLOW)
    assert not np.allclose(logits(gray, training=True), logits(gray, training=True), atol=1e-3)
