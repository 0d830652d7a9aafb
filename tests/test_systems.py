"""The systems that the residual encoder is compared to: their shapes, and their whole way."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_training import ONE, config, small_square

from residual_encoder import checkpoints, colorspace, networks, showcase, steps
from residual_encoder.export import export_saved_model
from residual_encoder.inference import Colorizer
from residual_encoder.networks import CnnConfig, HypercolumnConfig, VggAutoencoderConfig
from residual_encoder.recipes import RECIPES
from residual_encoder.training import train

# Recipe: Adam's learning rate, and the share of the first loss that four photographs may be left
# with after 150 steps. The networks without batch norm want the smaller rates.
HEART = {
    "tinyclouds2016_hypercolumn": (1e-2, 0.2),
    "tinyclouds2016_hypercolumn_code": (1e-2, 0.35),
    "tinyclouds2016_pixelwise": (1e-4, 0.25),
    "vgg_autoencoder": (1e-3, 0.05),
    "cnn1": (1e-2, 0.2),
    "cnn2": (1e-2, 0.2),
    "cnn3": (1e-2, 0.2),
    "cnn4": (1e-2, 0.2),
    "cnn5": (1e-2, 0.2),
    "cnn6": (1e-2, 0.2),
}


def small(name, **changes):
    return dataclasses.replace(RECIPES[name], image_size=32, batch_size=2, **changes)


# --- shapes ---------------------------------------------------------------------------------------


def test_hypercolumn_has_963_channels_of_raw_taps(rng):
    model = networks.build(HypercolumnConfig())
    gray = rng.uniform(size=(1, 16, 24, 1)).astype(np.float32)
    column = keras.Model(model.input, model.get_layer("hypercolumn").output)(gray)
    assert column.shape == (1, 16, 24, 963)
    np.testing.assert_allclose(column[..., :3], np.repeat(gray, 3, -1))
    taps = networks.trunk_of(model)(np.repeat(gray, 3, -1))
    at = 3
    for tap in taps:
        channels = tap.shape[-1]
        legacy = tf.compat.v1.image.resize_bilinear(tap, [16, 24])
        np.testing.assert_allclose(column[..., at : at + channels], legacy, rtol=1e-5, atol=1e-4)
        at += channels


def test_pixelwise_is_one_matrix_a_pixel():
    model = networks.build(HypercolumnConfig(widths=()))
    assert [tuple(v.shape) for v in model.trainable_variables] == [(1, 1, 963, 2), (2,)]


def test_vgg_autoencoder_goes_through_7_by_7():
    model = networks.build(VggAutoencoderConfig())
    sizes = [(7, 256), (7, 128), (14, 64), (28, 32), (56, 16), (112, 2)]
    names = ["decoder1", "decoder2", "decoder3", "decoder4", "decoder5", "ab"]
    outputs = [model.get_layer(name).output for name in names]
    found = keras.Model(model.input, outputs)(np.zeros((1, 224, 224, 1), np.float32))
    assert [(x.shape[1], x.shape[3]) for x in found] == sizes
    assert networks.trunk_of(model).output_shape[-1] == 512


def numpy_convolution(x, kernel, stride, dilation, padding):
    """PyTorch's cross-correlation with explicit padding, as a plain loop. x [H, W, C]."""
    x = np.pad(x, [(padding, padding), (padding, padding), (0, 0)])
    reach = dilation * (kernel.shape[0] - 1) + 1
    rows = range(0, x.shape[0] - reach + 1, stride)
    columns = range(0, x.shape[1] - reach + 1, stride)
    return np.array(
        [
            [
                np.tensordot(x[i : i + reach : dilation, j : j + reach : dilation], kernel, 3)
                for j in columns
            ]
            for i in rows
        ]
    )


@pytest.mark.parametrize(
    ("name", "stride", "dilation", "padding"), [("down2", 2, 1, 1), ("dilated1", 1, 2, 3)]
)
def test_same_padding_is_pytorchs(name, stride, dilation, padding, rng):
    layer = networks.build(CnnConfig((4, 6), dilated=1)).get_layer(name)
    x = rng.normal(size=(10, 12, layer.kernel.shape[2])).astype(np.float32)
    expected = numpy_convolution(x, layer.kernel.numpy(), stride, dilation, padding)
    np.testing.assert_allclose(layer(x[None])[0], expected, atol=1e-5)


def test_transposed_convolution_is_pytorchs(rng):
    """Each input pixel adds its kernel at twice its place minus the padding of 1."""
    layer = networks.build(CnnConfig((4, 6))).get_layer("up1")
    x, kernel = rng.normal(size=(5, 7, 6)).astype(np.float32), layer.kernel.numpy()
    full = np.zeros((12, 16, 4))
    for i in range(5):
        for j in range(7):
            full[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += kernel @ x[i, j]
    np.testing.assert_allclose(layer(x[None])[0], full[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("name", ["cnn1", "cnn2"])
def test_nets_1_and_2_cannot_say_negative_ab(name, rng):
    model = networks.build(RECIPES[name].network)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    chroma = model(rng.uniform(size=(1, 32, 32, 1)).astype(np.float32)).numpy()
    assert chroma.min() == 0.5 and chroma.max() > 0.5


def test_network_sees_lightness_and_says_ab():
    gray = np.array([[[[0.0]], [[0.5]], [[1.0]]]], np.float32)
    model = networks.build(CnnConfig())
    # L of sRGB 0.5: Y = 0.214041, 116 * Y^(1/3) - 16 = 53.389
    seen = model.get_layer("lightness")(gray)
    np.testing.assert_allclose(np.ravel(seen), [0, 53.389, 100], atol=2e-2)
    rgb = np.array([[[[0.9, 0.2, 0.3]]]], np.float32)
    ab = colorspace.rgb_to_lab(rgb)[..., 1:]
    np.testing.assert_allclose(model.get_layer("chroma")(ab), colorspace.LAB.chroma(rgb), atol=1e-6)


def test_lab_mse_by_hand():
    truth = colorspace.Truth(None, None, tf.zeros([1, 1, 1, 2]))
    from residual_encoder.losses import lab_mse

    # off by 3 in a and by 4 in b: (9 + 16) / 2
    assert float(lab_mse(truth, tf.constant([[[[3 / 256, 4 / 256]]]]))) == pytest.approx(12.5)


# --- the whole way --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEART)
def test_learns_four_photographs_by_heart(name):
    rate, left = HEART[name]
    recipe = small(name, optimizer="adam", learning_rate=rate)
    rgb = np.stack([small_square(rgb, 32) for _, rgb in showcase.photographs()])
    model = networks.build(recipe.network)
    optimizer = steps.make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    step = steps.make_step(model, optimizer, recipe, ONE)
    losses = [float(step(rgb)) for _ in range(150)]
    assert max(losses[-5:]) < left * losses[0]


@pytest.mark.parametrize("name", ["tinyclouds2016_hypercolumn", "vgg_autoencoder", "cnn1", "cnn6"])
def test_trains_resumes_exports_and_colors(name, tmp_path):
    whole, cut, recipe = tmp_path / "whole", tmp_path / "cut", small(name, steps=4)
    assert train(config(whole, recipe)).step == 4
    (cut / "checkpoints").mkdir(parents=True)
    shutil.copy(whole / "checkpoints" / "step-00000002.h5", cut / "checkpoints")
    shutil.copy(whole / "config.json", cut)
    assert train(config(cut, recipe)).step == 4
    arrays = [
        checkpoints.read_arrays(folder / "checkpoints" / "step-00000004.h5")[0]
        for folder in (whole, cut)
    ]
    for path, value in arrays[0].items():
        np.testing.assert_array_equal(arrays[1][path], value, err_msg=path)
    saved = export_saved_model(whole, tmp_path / "saved")
    picture = small_square(next(showcase.photographs())[1], 133)[:100]
    colored = [Colorizer(model).colorize(picture) for model in (whole, saved)]
    assert colored[0].shape == (100, 133, 3)
    assert np.abs(colored[0].astype(int) - colored[1]).max() <= 1
