"""Classes of color against independent NumPy computations, from the file of the prior up."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers.training_runs import ONE, SCENES

from residual_encoder.data import color_prior
from residual_encoder.imaging import (
    ab_classes,
    ab_quantization,
    colorspace,
    image_io,
    logit_smoothing,
)
from residual_encoder.models import factory
from residual_encoder.models.factory import AbClassesConfig
from residual_encoder.recipes import RECIPES, Recipe
from residual_encoder.training import learner, losses
from residual_encoder.training.optimizers import make_optimizer

AB = ab_quantization.classes().ab.astype(np.float64)
WEIGHTS = ab_quantization.class_weights(ab_quantization.classes().prior)
Q = len(AB)
RECIPE = dataclasses.replace(RECIPES["modern_classes"], image_size=32, batch_size=2)


def colors(rng, *shape):
    """Random ab that sRGB reaches, [..., 2]."""
    return colorspace.rgb_to_lab(rng.random((*shape, 3), np.float32))[..., 1:].numpy()


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def numpy_encoding(ab):
    """[n, 2] -> dense [n, Q], a pixel at a time."""
    dense = np.zeros((len(ab), Q))
    for row, point in zip(dense, ab.astype(np.float64), strict=True):
        distance = np.hypot(*(AB - point).T)
        nearest = np.argsort(distance, kind="stable")[:5]
        share = np.exp(-(distance[nearest] ** 2) / (2 * 5.0**2))
        row[nearest] = share / share.sum()
    return dense


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


def test_a_color_outside_the_gamut_counts_for_the_nearest_class():
    by_cell = np.zeros(23 * 23, np.int64)
    by_cell[ab_quantization.ab_cell(tf.constant([[0.0, 0.0]])).numpy()] = 4
    by_cell[ab_quantization.ab_cell(tf.constant([[-110.0, 110.0]])).numpy()] = (
        1  # no sRGB is so green
    )
    counts = color_prior._in_gamut(by_cell)
    assert counts.sum() == 5
    assert counts[np.flatnonzero((AB == 0).all(1))] == 4
    nearest = np.argmin(((AB - [-110, 110]) ** 2).sum(1))
    assert counts[nearest] == 1


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


def numpy_loss(rgb, logits):
    """The whole loss, with dense targets."""
    lab = colorspace.rgb_to_lab(rgb).numpy()[..., 1:]
    batch, height, width, _ = lab.shape
    pooled = lab.reshape(batch, height // 4, 4, width // 4, 4, 2).mean((2, 4)).reshape(-1, 2)
    target = numpy_encoding(pooled)
    nearest = [np.argmin(((AB - point) ** 2).sum(1)) for point in pooled]
    p = softmax(logits.reshape(-1, Q).astype(np.float64))
    return np.mean(WEIGHTS[nearest] * -(target * np.log(p)).sum(1)), p, target, nearest


def truth_and_logits(rng):
    rgb = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    truth = colorspace.split(rgb, colorspace.LAB, "lightness")
    return truth, rng.normal(0, 3, (2, 2, 3, Q)).astype(np.float32)


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


# --- the network ----------------------------------------------------------------------------------


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
        ({"temperature": 0.0}, "must be above zero"),
        ({"taps": 3}, "taps must be 4 or 5. Received 3"),
        ({"prior_correction": 1.5}, "prior_correction must be 0 to 1. Received 1.5"),
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
    model = factory.build(AbClassesConfig(context=(2,)), vgg16_weights="none")
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


# --- measuring the prior --------------------------------------------------------------------------


def test_prior_counts_every_pixel(tmp_path):
    path = tmp_path / "prior.txt"
    assert color_prior.measure_prior(color_prior.PriorConfig(SCENES, path, limit=3)) == 3
    rows = np.loadtxt(path, dtype=int)
    np.testing.assert_array_equal(rows[:, :2], AB)
    assert rows[:, 2].sum() == 3 * 64 * 64
    assert "12,288 pixels of 3\n" in path.read_text()
    with pytest.raises(FileExistsError):
        color_prior.measure_prior(color_prior.PriorConfig(SCENES, path, limit=3))


def test_prior_counts_a_picture_of_one_color(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        image_io.write(tmp_path / "pictures" / name, np.full((70, 80, 3), (255, 0, 0), np.uint8))
    command = [sys.executable, ROOT / "tools" / "measure_color_prior.py", "--data=folder"]
    command += [f"--data_dir={tmp_path / 'pictures'}", f"--output={tmp_path / 'prior.txt'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 photographs" in done.stdout
    counts = np.loadtxt(tmp_path / "prior.txt")[:, 2]
    assert counts[np.flatnonzero((AB == [80, 70]).all(1))] == counts.sum() == 2 * 64 * 64


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
    assert Recipe.from_json(fields) == recipe
