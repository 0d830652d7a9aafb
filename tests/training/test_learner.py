"""One training step: what moves, at which rate, by how much; the average of the weights."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL
from helpers.training_runs import ONE, TINY, small_square

from residual_encoder import models
from residual_encoder.data import sample_images
from residual_encoder.imaging import colorspace
from residual_encoder.training import learner
from residual_encoder.training.learner_factory import make_learner
from residual_encoder.training.optimizers import make_optimizer


def one_step(recipe, rgb, build=models.build):
    model = build(
        recipe.network, train_trunk=recipe.train_trunk, frozen_blocks=recipe.frozen_blocks
    )
    optimizer = make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    return model, optimizer, learner.make_step(model, optimizer, recipe, ONE)


def test_frozen_is_frozen_and_everything_else_moves(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    model, _, step = one_step(TINY, rgb)
    before = {v.path: v.numpy() for v in model.weights}
    for _ in range(2):
        step(rgb)
    for variable in model.weights:
        moved = np.any(variable.numpy() != before[variable.path])
        assert moved != variable.path.startswith("block"), variable.path


def test_fine_tuning_moves_the_blocks_that_are_not_frozen(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    recipe = dataclasses.replace(TINY, train_trunk=True, frozen_blocks=3)
    model, _, step = one_step(recipe, rgb)
    before = {v.path: v.numpy() for v in model.get_layer("vgg16").weights}
    step(rgb)
    for variable in model.get_layer("vgg16").weights:
        moved = np.any(variable.numpy() != before[variable.path])
        assert moved == variable.path.startswith("block4"), variable.path


def test_the_step_is_plain_gradient_descent(rng):
    """One SGD step against a gradient taken by hand: w - 0.1 g."""
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    model, _, step = one_step(TINY, rgb)
    kernel = model.get_layer("color2").kernel
    truth = colorspace.split(rgb, colorspace.YUV, "mean")
    with tf.GradientTape() as tape:
        loss = learner.LOSS_FUNCTIONS[TINY.loss](truth, model(truth.gray, training=True))
    expected = kernel.numpy() - 0.1 * tape.gradient(loss, kernel.value).numpy()
    assert float(step(rgb)) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_overfits_four_photographs():
    """With the article's own optimizer. Gray would be at 60 % of the first loss."""
    rgb = np.stack([small_square(rgb, 32) for _, rgb in sample_images.photographs()])
    _, _, step = one_step(dataclasses.replace(TINY, image_size=32), rgb)
    first = float(step(rgb))
    losses = [float(step(rgb)) for _ in range(250)]
    assert max(losses[-10:]) < 0.2 * first


def test_the_step_traces_once(rng):
    _, _, step = one_step(TINY, None)
    for _ in range(3):
        step(tf.constant(rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)))
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lamb"])
def test_every_optimizer_descends(optimizer, rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    recipe = dataclasses.replace(TINY, optimizer=optimizer, learning_rate=0.003)
    _, _, step = one_step(recipe, rgb)
    losses = [float(step(rgb)) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_trunk_steps_at_its_own_rate(optimizer, rng):
    rgb = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    moved = {}
    for rate in (1.0, 0.25):
        recipe = dataclasses.replace(
            SMALL, optimizer=optimizer, learning_rate=1e-3, train_trunk=True, trunk_rate=rate
        )
        keras.utils.set_random_seed(0)
        one = make_learner(recipe, ONE, precision="float32", jit=False)
        before = {v.path: v.numpy() for v in one.model.trainable_variables}
        one.step(rgb)
        moved[rate] = {v.path: v.numpy() - before[v.path] for v in one.model.trainable_variables}
    for path, step in moved[1.0].items():
        factor = 0.25 if path.startswith("block") else 1.0
        np.testing.assert_allclose(moved[0.25][path], factor * step, rtol=1e-3, atol=2e-7)


def test_the_average_of_the_weights_by_hand(rng):
    recipe = dataclasses.replace(SMALL, ema=0.75)
    one = make_learner(recipe, ONE, precision="float32", jit=False)
    variable = one.model.get_layer("color4").kernel
    average = None
    for _ in range(3):
        one.step(rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
        value = variable.numpy()
        average = value if average is None else 0.75 * average + 0.25 * value
    with learner.averaged(one):
        np.testing.assert_allclose(variable, average, rtol=1e-5)
    np.testing.assert_array_equal(variable, value)
    assert np.any(average != value)


def test_several_replicas_keep_an_average(rng):
    """Where variables are mirrored, as they are from two devices on."""
    mirrored = tf.distribute.MirroredStrategy(["CPU:0"])
    recipe = dataclasses.replace(TINY, ema=0.5)
    one = make_learner(recipe, mirrored, precision="float32", jit=False)
    kernel = one.model.get_layer("color4").kernel
    values = [kernel.numpy()]
    for _ in range(2):
        one.step(rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8))
        values.append(kernel.numpy())
    with learner.averaged(one):
        np.testing.assert_allclose(kernel, (values[1] + values[2]) / 2, atol=1e-7)
    np.testing.assert_array_equal(kernel, values[2])
    assert np.any(values[1] != values[2])


def test_before_the_first_step_there_is_no_average():
    one = make_learner(dataclasses.replace(SMALL, ema=0.75), ONE, precision="float32", jit=False)
    value = one.model.get_layer("color4").kernel.numpy()
    with learner.averaged(one):
        np.testing.assert_array_equal(one.model.get_layer("color4").kernel, value)


def test_cosine_schedule_by_hand():
    recipe = dataclasses.replace(
        TINY, schedule="cosine", learning_rate=0.4, steps=110, warmup_steps=10
    )
    rate = make_optimizer(recipe)._learning_rate
    assert float(rate(0)) == 0
    assert float(rate(5)) == pytest.approx(0.2)
    assert float(rate(10)) == pytest.approx(0.4)
    assert float(rate(60)) == pytest.approx(0.2)  # half-way down
    assert float(rate(110)) == pytest.approx(0, abs=1e-7)


def test_xla_step_equals_the_plain_one(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    results = []
    for jit in (False, True):
        keras.utils.set_random_seed(3)
        model = models.build(TINY.network)
        optimizer = make_optimizer(TINY)
        optimizer.build(model.trainable_variables)
        loss = learner.make_step(model, optimizer, TINY, ONE, jit)(rgb)
        results.append((float(loss), model.get_layer("uv").kernel.numpy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-5)
