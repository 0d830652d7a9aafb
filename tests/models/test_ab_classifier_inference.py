"""The fast form of the network of classes predicts what the network predicts."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.export import saved_model
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import NETWORK_SIGNATURE
from residual_encoder.models import ab_classifier, any_size, factory, weights
from residual_encoder.models.factory import AbClassesConfig, FoldedAbClassifier
from residual_encoder.recipes import RECIPES

DEEP = dataclasses.replace(
    RECIPES["modern_distribution"].network, width=64, trunk_rank=16, context=(1, 4)
)
CONFIGS = {
    "modern_classes": RECIPES["modern_classes"].network,
    "five_taps": AbClassesConfig(32, taps=5),
    "rank": AbClassesConfig(32, trunk_rank=8, temperature=1.0),
    "context": AbClassesConfig(32, context=(1, 2, 4), refinements=(2,)),
    "prior": AbClassesConfig(32, prior_correction=0.3),
    "smoothing": AbClassesConfig(32, taps=5, smoothing=2),
    "all": DEEP,
}
# Standard deviation of a trained network's logits.
SPREAD = 3.0


def as_trained(config: AbClassesConfig, **settings) -> keras.Model:
    """A network whose every weight matters: norms and biases are not those of the start."""
    model = factory.build(config, vgg16_weights="later", **settings)
    rng = np.random.default_rng(0)
    ranges = {"gamma": (-1.5, 1.5), "beta": (-0.5, 0.5), "moving_mean": (-0.5, 0.5),
              "moving_variance": (0.5, 2), "bias": (-0.2, 0.2)}  # fmt: skip
    for variable in model.weights:
        part = variable.path.rsplit("/")[-1]
        if part in ranges:
            variable.assign(rng.uniform(*ranges[part], variable.shape))
        else:  # He 2015, and VGG16 reads -124 to 152
            bgr = 64 if "block1_conv1" in variable.path else 1
            sigma = np.sqrt(2 / np.prod(variable.shape[:-1])) / bgr
            variable.assign(rng.normal(0, sigma, variable.shape))
    logits = ab_classifier.logits_of(model)(rng.random((1, 32, 32, 1), np.float32))
    kernel = model.get_layer("logits").kernel
    kernel.assign(kernel * SPREAD / np.std(logits))
    return model


@pytest.fixture(scope="module")
def deep() -> keras.Model:
    return as_trained(DEEP)


def smooth(rng: np.random.Generator, batch: int, side: int) -> tf.Tensor:
    """Soft pictures [batch, side, side, 1]."""
    return tf.image.resize(rng.random((batch, 8, 8, 1), np.float32), [side, side])


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_is_the_network(name, rng):
    config = CONFIGS[name]
    model = as_trained(config)
    gamma = model.get_layer("pool3_bn").gamma
    gamma.assign(tf.tensor_scatter_nd_update(gamma, [[3]], [0.0]))  # a tap that is shut
    spec = tf.TensorSpec([None, None, None, 1], tf.float32)
    folded = tf.function(FoldedAbClassifier(model, config), input_signature=[spec])
    # One trace for all sizes, and the least that there is: a deepest tap of one row.
    for shape in ((3, 48, 80, 1), (1, config.multiple, 64, 1)):
        gray = rng.random(shape, np.float32)
        wanted = model(gray).numpy()
        assert wanted.std() > 0.005
        np.testing.assert_allclose(folded(gray), wanted, atol=1e-5)
    assert folded.experimental_get_tracing_count() == 1


def test_any_size_through_the_margin(deep, rng):
    """Odd sizes, mirrored and cut, as the Colorizer colors them."""
    gray = rng.random((2, 37, 51, 1), np.float32)
    folded = factory.for_inference(deep, DEEP)
    found, wanted = (
        any_size.chroma_at(any_size.with_margin(form, 16), gray, 40, DEEP.multiple)
        for form in (folded, deep)
    )
    assert found.shape == (2, 37, 51, 2)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_trunk_with_batch_norm(rng):
    config = AbClassesConfig(16, taps=5)
    model = as_trained(config, trunk_batch_norm=True)
    gray = rng.random((1, 32, 32, 1), np.float32)
    np.testing.assert_allclose(FoldedAbClassifier(model, config)(gray), model(gray), atol=1e-5)


def test_bfloat16_is_near(deep, rng):
    """What 8 bits of mantissa leave: a share of the spread of the predictions."""
    gray = smooth(rng, 2, 64)
    wanted = deep(gray).numpy()
    folded = FoldedAbClassifier(deep, DEEP, "bfloat16")
    assert folded.logits(gray).dtype == tf.float32
    error = np.abs(tf.function(folded)(gray) - wanted)
    assert 0 < error.mean() < 0.05 * wanted.std()
    assert error.max() < 0.5 * wanted.std()


def test_folding_copies_the_weights(rng):
    config = CONFIGS["five_taps"]
    model, gray = as_trained(config), rng.random((1, 32, 32, 1), np.float32)
    folded = FoldedAbClassifier(model, config)
    before = folded(gray).numpy()
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(folded(gray), before)


@pytest.fixture(scope="module")
def deep_weights(deep, tmp_path_factory):
    recipe = dataclasses.replace(RECIPES["modern_distribution"], network=DEEP, image_size=48)
    path = tmp_path_factory.mktemp("deep") / "deep.weights.h5"
    weights.save_weights(deep, path, recipe.to_json())
    return path


def test_colorizer_takes_the_fast_form(deep, deep_weights, monkeypatch, rng):
    entry, made = factory.NETWORKS["ab_classes"], []
    watched = entry._replace(folded=lambda *args: made.append(args[2]) or entry.folded(*args))
    monkeypatch.setitem(factory.NETWORKS, "ab_classes", watched)
    exact, quick = (
        Colorizer(deep_weights, precision=name, engine="tensorflow")
        for name in ("float32", "bfloat16")
    )
    assert made == ["float32", "bfloat16"] == [exact.precision, quick.precision]
    gray = smooth(rng, 1, 48)
    wanted = any_size.with_margin(deep, exact.recipe.margin)(gray).numpy()
    np.testing.assert_allclose(exact.predict(gray), wanted, atol=1e-5)
    assert np.abs(quick.predict(gray) - wanted).mean() < 0.05 * wanted.std()


def test_saved_model_gives_the_same_bytes(deep, deep_weights, tmp_path, rng):
    """The exported graph and the folded network agree to the byte, but for a tie in rounding."""
    folder = saved_model.export_saved_model(deep_weights, tmp_path / "exported")
    network = tf.saved_model.load(str(folder)).signatures[NETWORK_SIGNATURE]
    space = RECIPES["modern_distribution"].space
    gray = rng.random((3, 32, 48, 1), np.float32)
    folded = factory.for_inference(deep, DEEP)
    found, wanted = (
        tf.round(255 * space.merge(gray, chroma)).numpy()
        for chroma in (network(grayscale=gray)["chroma"], folded(gray))
    )
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 0.001


def test_what_is_folded():
    config = AbClassesConfig(8)
    model = factory.build(config, vgg16_weights="later")
    assert factory.foldable(model, config)
    assert isinstance(factory.for_inference(model, config), FoldedAbClassifier)
    served = lambda gray: gray  # noqa: E731  a SavedModel's function
    assert not factory.foldable(served, config)
    assert factory.for_inference(served, config, "bfloat16") is served
