"""pix2pix: its generator, its discriminator, its recipe."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.adversarial import TINY, rgb  # noqa: F401

from residual_encoder import models
from residual_encoder.data import preprocessing
from residual_encoder.imaging import colorspace
from residual_encoder.models.factory import Pix2PixConfig
from residual_encoder.models.pix2pix import PictureNorm
from residual_encoder.recipes import RECIPES, Adversarial, Recipe
from residual_encoder.training.adversarial import make_discriminator

# --- the generator --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generator():
    return models.build(Pix2PixConfig())


def test_levels_of_the_published_generator(generator):
    sizes = {"down1": (128, 64), "down4": (16, 512), "down8": (1, 512), "skip7": (2, 1024)}
    sizes |= {"skip4": (16, 1024), "skip1": (128, 128), "ab": (256, 2)}
    outputs = [generator.get_layer(name).output for name in sizes]
    found = keras.Model(generator.input, outputs)(np.zeros((1, 256, 256, 1), np.float32))
    assert [(x.shape[1], x.shape[3]) for x in found] == list(sizes.values())
    names = {layer.name for layer in generator.layers}
    assert {f"up{k}_dropout" for k in (5, 6, 7)} == {n for n in names if "dropout" in n}
    normed = {f"down{k}_norm" for k in range(2, 8)} | {f"up{k}_norm" for k in range(1, 8)}
    assert normed == {n for n in names if n.endswith("norm")}


def test_parameters_by_hand(generator):
    """Kernels of 16 values a pair of channels; gamma and beta where there is norm, else a bias."""
    e = (64, 128, 256, 512, 512, 512, 512, 512)
    pairs = [(1, 64), *zip(e[:-1], e[1:], strict=True), (512, 512), (128, 2)]
    pairs += [(2 * e[k], e[k - 1]) for k in range(6, 0, -1)]
    norms = 2 * (sum(e[1:7]) + sum(e[:7]))
    expected = 16 * sum(a * b for a, b in pairs) + norms + 64 + 512 + 2
    assert sum(np.prod(v.shape) for v in generator.trainable_variables) == expected


def test_initial_weights_are_the_published(rgb):
    for model in (
        models.build(Pix2PixConfig((64, 64))),
        make_discriminator(RECIPES["pix2pix"]).model,
    ):
        kernels = [v.numpy().ravel() for v in model.weights if v.path.endswith("kernel")]
        assert np.concatenate(kernels).std() == pytest.approx(0.02, rel=0.02)
        gammas = np.concatenate([v.numpy() for v in model.weights if v.path.endswith("gamma")])
        assert gammas.mean() == pytest.approx(1, abs=0.01) and 0.01 < gammas.std() < 0.03


@pytest.mark.parametrize("size", [(16, 32), (10, 13), (1, 50), (3, 2)])
def test_any_size_is_padded_at_its_border_and_cropped(size, rng):
    model = models.build(Pix2PixConfig((4, 8, 8, 8)))
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape) / 10)
    gray = rng.uniform(size=(2, *size, 1)).astype(np.float32)
    run = tf.function(model, input_signature=[tf.TensorSpec([None, None, None, 1])])
    added = [-side % 16 for side in size]
    around = [(0, 0), *((n // 2, n - n // 2) for n in added), (0, 0)]
    whole = model(np.pad(gray, around, "edge")).numpy()
    expected = whole[:, added[0] // 2 :][:, : size[0], added[1] // 2 :][:, :, : size[1]]
    np.testing.assert_allclose(run(gray), expected, atol=1e-6)
    np.testing.assert_allclose(model(gray), expected, atol=1e-6)
    assert np.ptp(expected) > 1e-3


def test_dropout_is_for_training_only(rng):
    model = models.build(Pix2PixConfig((4, 8, 8, 8)))
    gray = rng.uniform(size=(1, 16, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(gray), model(gray))
    assert np.any(model(gray, training=True).numpy() != model(gray, training=True))


def test_tanh_is_ab_over_128():
    model = models.build(Pix2PixConfig((4,)))
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    model.get_layer("ab").bias.assign(np.arctanh([0.5, -0.25]))
    color = colorspace.LAB.chroma(colorspace.lab_to_rgb([[60.0, 64, -32]]))  # in the gamut
    chroma = model(np.zeros((1, 2, 2, 1), np.float32))[0, 0]
    np.testing.assert_allclose(chroma[0], [64 / 256 + 0.5, -32 / 256 + 0.5], atol=1e-6)
    np.testing.assert_allclose(chroma[0], color[0], atol=2e-3)


# --- the discriminator ----------------------------------------------------------------------------


def test_patches_are_70_by_70(monkeypatch):
    """Which pixels one of the 30x30 outputs depends on, by gradient; norm would join all."""
    monkeypatch.setattr(PictureNorm, "call", lambda self, x: x)
    model = models.build_discriminator((64, 128, 256, 512))
    for variable in model.weights:
        variable.assign(tf.abs(variable))
    gray, chroma = tf.ones([1, 256, 256, 1]), tf.ones([1, 256, 256, 2])
    logits = keras.Model(model.inputs, model.get_layer("discriminator5").output)
    with tf.GradientTape() as tape:
        tape.watch([gray, chroma])
        outputs = logits([gray, chroma])
        middle = outputs[0, 15, 15, 0]
    assert outputs.shape == (1, 30, 30, 1)
    for gradient in tape.gradient(middle, [gray, chroma]):
        seen = np.argwhere(np.any(gradient[0] != 0, axis=-1))
        assert (np.ptp(seen, axis=0) + 1).tolist() == [70, 70]
        assert len(seen) == 70 * 70


def test_norm_is_that_of_a_batch_of_one(rng):
    x = rng.normal(3, 2, (2, 3, 4, 5)).astype(np.float32)
    layer = PictureNorm()
    values = layer(x)
    keras_norm = keras.layers.BatchNormalization(epsilon=1e-5)
    for each, value in zip(x, values, strict=True):
        alone = keras_norm(each[None], training=True)[0]
        expected = alone * layer.gamma.numpy() + layer.beta.numpy()
        np.testing.assert_allclose(value, expected, atol=1e-5)
    assert not layer.non_trainable_variables


# --- recipes --------------------------------------------------------------------------------------


def test_the_published_numbers():
    recipe = RECIPES["pix2pix"]
    assert (recipe.optimizer, recipe.learning_rate, recipe.beta1) == ("adam", 2e-4, 0.5)
    assert (recipe.batch_size, recipe.image_size, recipe.flip) == (1, 256, True)
    assert recipe.min_crop == recipe.max_crop == 256 / 286
    assert recipe.inference_size == 288  # 286 to a multiple of 8
    against = recipe.adversarial
    assert (against.loss_weight, against.weight, against.widths) == (100, 1, (64, 128, 256, 512))
    modern = RECIPES["modern_adversarial"]
    unchanged = dataclasses.replace(modern, name="modern", adversarial=None)
    assert unchanged == RECIPES["modern"]


def test_recipes_of_before_the_new_fields_load():
    fields = RECIPES["modern"].to_json()
    for name in ("adversarial", "beta1", "max_crop"):
        del fields[name]
    assert Recipe.from_json(fields) == RECIPES["modern"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 16, "adversarial": Adversarial()}, "image_size must be at least 24"),
        ({"max_crop": 0.5, "min_crop": 0.6}, "min_crop must be above 0 and at most max_crop, 0.5"),
        ({"max_crop": 1.1}, "max_crop must be above 0 and at most 1"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": ()}, "widths must be one or more positive numbers"),
        ({"weight": 0.0}, "weight must be above zero"),
        ({"beta1": 1.0}, "beta1 must be at least 0"),
    ],
)
def test_impossible_discriminators_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Adversarial(**change)


def test_crops_of_a_fixed_share_anywhere():
    share = 256 / 286
    windows = np.array(
        [
            preprocessing.square(
                tf.constant(286), tf.constant(300), share, tf.constant([1, n]), share
            )
            for n in range(60)
        ]
    )
    assert np.unique(windows[:, 2:]).tolist() == [256]
    assert windows[:, 0].min() <= 3 and windows[:, 0].max() >= 27  # of 0 to 30
    assert windows[:, 1].min() <= 4 and windows[:, 1].max() >= 40  # of 0 to 44
