"""Fractions of non-zero activations, against NumPy."""

import keras
import numpy as np

from residual_encoder import models
from residual_encoder.recipes import RECIPES
from residual_encoder.training.snapshots import active_fractions


def test_shares_are_those_of_numpy(rng):
    gray = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(2, 1, name="mix")(gray)
    model = keras.Model(gray, keras.layers.ReLU(name="only_relu")(x))
    model.get_layer("mix").set_weights([np.array([[[[1.0, -1.0]]]]), np.array([-0.25, 0.5])])
    batch = rng.random((2, 8, 8, 1), np.float32)
    wanted = (np.mean(batch > 0.25) + np.mean(batch < 0.5)) / 2
    assert active_fractions(model, batch) == {"only_relu": wanted}


def test_every_color_layer_is_named_from_deep_to_full_size(rng):
    model = models.build(RECIPES["tinyclouds2016"].network)
    batch = rng.random((1, 16, 16, 1), np.float32)
    dead = model.get_layer("color0_bn")
    dead.beta.assign([-1e3] * 3)
    fractions = active_fractions(model, batch)
    assert list(fractions) == [f"color{k}_relu" for k in (4, 3, 2, 1, 0)]
    assert fractions["color0_relu"] == 0
    assert 0.2 < fractions["color3_relu"] < 0.8


def test_a_network_without_relu_has_none(rng):
    model = models.build(RECIPES["tinyclouds2016_pixelwise"].network)
    assert active_fractions(model, rng.random((1, 16, 16, 1), np.float32)) == {}
