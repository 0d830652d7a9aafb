"""The fast form of the residual encoder predicts what the network predicts."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL

from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import load_network, shipped_weights
from residual_encoder.models import any_size, factory
from residual_encoder.models.factory import CnnConfig, FoldedResidualEncoder, ResidualEncoderConfig
from residual_encoder.recipes import RECIPES
from residual_encoder.utils import devices

WIDE = RECIPES["modern"].network
CONFIGS = {
    "2016": ResidualEncoderConfig(),
    "modern": WIDE,
    "few_concatenated": dataclasses.replace(WIDE, widths=(256, 128, 64, 4, 8)),
    "half_pixel_elu": dataclasses.replace(WIDE, upsampling="half_pixel", activation="elu"),
    "five_leaky": dataclasses.replace(WIDE, taps=5, activation="leaky_relu", dropout=0.5),
}


def as_trained(config: ResidualEncoderConfig, rng: np.random.Generator):
    """A network whose every weight matters: norms and biases are not those of the start."""
    model = factory.build(config)
    ranges = {"gamma": (-1.5, 1.5), "beta": (-0.5, 0.5), "moving_mean": (-0.5, 0.5),
              "moving_variance": (0.5, 2), "bias": (-0.2, 0.2)}  # fmt: skip
    for variable in model.weights:
        part = variable.path.rsplit("/")[-1]
        if part in ranges:
            variable.assign(rng.uniform(*ranges[part], variable.shape))
        else:  # He 2015
            sigma = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(rng.normal(0, sigma, variable.shape))
    model.get_layer("uv_bn").gamma.assign([0.05, -0.05])  # keeps the sigmoid off its ends
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_is_the_network(name, rng):
    config = CONFIGS[name]
    model = as_trained(config, rng)
    gamma = model.get_layer("pool1_bn").gamma
    gamma.assign(tf.tensor_scatter_nd_update(gamma, [[3]], [0.0]))  # a tap that is shut
    spec = tf.TensorSpec([None, None, None, 1], tf.float32)
    folded = tf.function(FoldedResidualEncoder(model, config), input_signature=[spec])
    for shape in ((2, 32, 48, 1), (1, config.multiple, 64, 1)):  # one trace, any size
        gray = rng.random(shape, np.float32)
        wanted = model(gray).numpy()
        assert wanted.std() > 0.005
        np.testing.assert_allclose(folded(gray), wanted, atol=2e-5)
    assert folded.experimental_get_tracing_count() == 1


def test_bfloat16_is_near(rng):
    """What 8 bits of mantissa leave: a share of the spread of the predictions."""
    model = as_trained(WIDE, rng)
    gray = tf.image.resize(rng.random((2, 8, 8, 1), np.float32), [64, 64])
    wanted = model(gray).numpy()
    error = np.abs(tf.function(FoldedResidualEncoder(model, WIDE, "bfloat16"))(gray) - wanted)
    assert error.mean() < 0.02 * wanted.std()
    assert error.max() < 0.5 * wanted.std()


def test_shipped_weights_in_bfloat16(shared):
    """On photographs: 1 / 255 is one step of an 8-bit picture."""
    photographs = next(iter(_photographs(shared)))
    exact, quick = (Colorizer(precision=name) for name in ("float32", "bfloat16"))
    loaded = load_network(shipped_weights())
    wanted = any_size.with_margin(loaded.network, loaded.recipe.margin)(photographs)
    np.testing.assert_allclose(exact.predict(photographs), wanted, atol=1e-5)
    error = 255 * np.abs(quick.predict(photographs) - wanted)
    assert error.mean() < 0.1
    assert np.quantile(error, 0.999) < 1


def _photographs(shared):
    from residual_encoder.data import input_pipeline
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.imaging import colorspace

    data = DataConfig("tfrecord", data_dir=str(shared / "data"))
    for batch in input_pipeline.eval_batches(data, batch_size=4, image_size=96, limit=4):
        yield colorspace.luma_gray(tf.cast(batch.rgb, tf.float32) / 255)


def test_colorizer_takes_the_fast_form(soft_weights, monkeypatch):
    made = []
    entry = factory.NETWORKS["residual_encoder"]
    watched = entry._replace(folded=lambda *args: made.append(args[2]) or entry.folded(*args))
    monkeypatch.setitem(factory.NETWORKS, "residual_encoder", watched)
    monkeypatch.setattr(devices, "precision", lambda asked: {"auto": "bfloat16"}[asked])
    assert Colorizer(soft_weights, engine="tensorflow").precision == "bfloat16"
    assert made == ["bfloat16"]
    with pytest.raises(ValueError, match="precision must be one of"):
        Colorizer(soft_weights, precision="float16")


def test_other_networks_stay_as_they_are():
    config = CnnConfig((2, 2))
    model = factory.build(config)
    assert factory.for_inference(model, config, "bfloat16") is model
    assert not factory.foldable(lambda gray: gray, SMALL.network)  # a SavedModel's function
