"""Arithmetic: the published networks' figures, and layers worked out by hand."""

import dataclasses

import keras
import pytest

from residual_encoder import models
from residual_encoder.models.flops import Flops, count
from residual_encoder.recipes import RECIPES

GIGA = 1e9


def operations(recipe, train_trunk=False):
    settings = {"train_trunk": train_trunk, "vgg16_weights": "later"}  # any values
    network = models.build(RECIPES[recipe].network, **settings)
    return network, count(network, 224)


@pytest.fixture(scope="module")
def encoder():
    return operations("tinyclouds2016")


def test_trunk_and_decoder_of_the_residual_encoder(encoder):
    network, whole = encoder
    trunk = count(models.trunk_of(network), 224)
    assert trunk.forward / GIGA == pytest.approx(27.919, abs=5e-4)
    assert (whole.forward - trunk.forward) / GIGA == pytest.approx(4.092, abs=5e-4)
    assert trunk.training == trunk.forward  # frozen: no gradients


def test_training_with_a_frozen_trunk(encoder):
    assert encoder[1].training / GIGA == pytest.approx(40.2, abs=0.05)


def test_training_with_the_trunk_costs_three_passes_but_for_the_first_layers_input():
    network, whole = operations("tinyclouds2016", train_trunk=True)
    first = 2 * 3 * 3 * 3 * 64 * 224 * 224
    assert whole.training == 3 * whole.forward - first
    assert whole.training / GIGA == pytest.approx(95.9, abs=0.05)
    network.get_layer("vgg16").trainable = False
    assert count(network, 224).training / GIGA == pytest.approx(40.2, abs=0.05)


def test_blocks_that_stay_frozen_have_no_gradients(encoder):
    """Of block 4 alone: its three kernels, and the inputs of all of it but conv4_1."""
    recipe = dataclasses.replace(RECIPES["tinyclouds2016"], train_trunk=True, frozen_blocks=3)
    trained = 2 * 28 * 28 * 9 * 512 * (256 + 512 + 512)
    passed_on = 2 * 28 * 28 * 9 * 512 * (512 + 512)
    found = count(models.build_recipe(recipe, vgg16_weights="later"), 224)
    assert found.training == encoder[1].training + trained + passed_on


def test_hypercolumn_head():
    network, whole = operations("tinyclouds2016_hypercolumn_code")
    trunk = count(models.trunk_of(network), 224)
    assert (whole.forward - trunk.forward) / GIGA == pytest.approx(118.9, abs=0.05)
    assert whole.training / GIGA == pytest.approx(273, abs=0.5)


def test_counting_leaves_the_network_as_it_is(encoder):
    network, before = encoder
    layers, weights = len(network.layers), network.count_params()
    assert count(network, 224) == before
    assert (len(network.layers), network.count_params()) == (layers, weights)


def test_layers_by_hand():
    """Stride, dilation, a transposed convolution and a dense layer on 8 x 8."""
    x = inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)  # 4 x 4
    x = keras.layers.Conv2D(4, 4, dilation_rate=2, padding="same")(x)  # 4 x 4
    x = keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same")(x)  # from 4 x 4 to 8 x 8
    x = keras.layers.Dense(5)(x)  # at each of 8 x 8
    by_layer = [9 * 2 * 4 * 16, 16 * 4 * 4 * 16, 16 * 4 * 3 * 16, 3 * 5 * 64]
    forward = 2 * sum(by_layer)
    assert count(keras.Model(inputs, x), 8) == Flops(forward, 3 * forward - 2 * by_layer[0])


def test_a_frozen_layer_above_a_trained_one_still_passes_gradients_on():
    inputs = keras.Input((None, None, 1))
    frozen = keras.layers.Conv2D(1, 1)
    frozen.trainable = False
    model = keras.Model(inputs, frozen(keras.layers.Conv2D(1, 1)(inputs)))
    # The trained one: pass and its own weights. The frozen one: pass and its input.
    assert count(model, 4) == Flops(2 * 32, 2 * 32 + 2 * 32)
