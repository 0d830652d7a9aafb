"""The systems that the residual encoder is compared to: shapes, training, export, inference."""

import dataclasses
import shutil
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.training_runs import SCENES, small_square

from residual_encoder.data import input_pipeline, sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.export.saved_model import export_saved_model
from residual_encoder.imaging import ab_quantization, colorspace, image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import factory, weights
from residual_encoder.models.factory import (
    AbClassesConfig,
    CnnConfig,
    HypercolumnConfig,
    Pix2PixConfig,
    VggAutoencoderConfig,
)
from residual_encoder.recipes import LOSSES as LOSS_INFO
from residual_encoder.recipes import RECIPES
from residual_encoder.training.losses import LOSS_FUNCTIONS
from residual_encoder.training.run import TrainConfig
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics


class Small(NamedTuple):
    """What a recipe becomes in the test of its whole way; VGG16 stays as wide as it is."""

    left: float = 0.6  # share of gray's loss that four photographs may be left with
    network: factory.NetworkConfig | None = None  # narrower than the recipe's
    rate: float = 0.05  # Adam's; networks without batch norm want smaller ones
    size: int = 16


SMALL = {
    "tinyclouds2016_hypercolumn": Small(network=HypercolumnConfig((16, 8))),
    "tinyclouds2016_hypercolumn_code": Small(network=HypercolumnConfig((16, 8, 3))),
    "tinyclouds2016_pixelwise": Small(8, rate=1e-4),  # raw taps: it starts at 15 times gray's
    "vgg_autoencoder": Small(0.65, VggAutoencoderConfig((32, 32, 16, 16, 8)), 1e-3, 32),
    **{f"cnn{k}": Small(rate=1e-2) for k in range(1, 7)},
    "pix2pix": Small(0.7, Pix2PixConfig((16, 32, 32)), 3e-3),
    "modern_classes": Small(0.4, rate=1e-2),  # of the loss of all classes alike
    "modern_distribution": Small(
        network=AbClassesConfig(
            64, 0.6, taps=5, trunk_rank=16, context=(2,), refinements=(1,), smoothing=1
        ),
        rate=2e-3,
    ),
}
# They differ from another recipe in a loss, a width or a level only, or share their parts with one
# that is tested; each takes more than 20 seconds: `make test-slow` has them.
VARIANTS = {
    "modern",
    "tinyclouds2016_hypercolumn",
    "tinyclouds2016_pixelwise",
    "cnn6",
    "modern_classes",
    "tinyclouds2016_code",
    "tinyclouds2016_hypercolumn_code",
    "cnn2",
    "cnn3",
    "cnn4",
    "cnn5",
    "modern_adversarial",
    "modern_frozen",
    "modern_five_taps",
}
STEPS = 32
REPEATED = 2  # of the steps, by the run that is resumed


# --- shapes ---------------------------------------------------------------------------------------


def test_hypercolumn_has_963_channels_of_raw_taps(rng):
    model = factory.build(HypercolumnConfig())
    gray = rng.uniform(size=(1, 16, 24, 1)).astype(np.float32)
    column = keras.Model(model.input, model.get_layer("hypercolumn").output)(gray)
    assert column.shape == (1, 16, 24, 963)
    np.testing.assert_allclose(column[..., :3], np.repeat(gray, 3, -1))
    taps = factory.trunk_of(model)(np.repeat(gray, 3, -1))
    at = 3
    for tap in taps:
        channels = tap.shape[-1]
        legacy = tf.compat.v1.image.resize_bilinear(tap, [16, 24])
        np.testing.assert_allclose(column[..., at : at + channels], legacy, rtol=1e-5, atol=1e-4)
        at += channels


def test_pixelwise_is_one_matrix_a_pixel():
    model = factory.build(HypercolumnConfig(widths=()))
    assert [tuple(v.shape) for v in model.trainable_variables] == [(1, 1, 963, 2), (2,)]


def test_vgg_autoencoder_goes_through_7_by_7():
    model = factory.build(VggAutoencoderConfig())
    sizes = [(7, 256), (7, 128), (14, 64), (28, 32), (56, 16), (112, 2)]
    names = ["decoder1", "decoder2", "decoder3", "decoder4", "decoder5", "ab"]
    outputs = [model.get_layer(name).output for name in names]
    found = keras.Model(model.input, outputs)(np.zeros((1, 224, 224, 1), np.float32))
    assert [(x.shape[1], x.shape[3]) for x in found] == sizes
    assert factory.trunk_of(model).output_shape[-1] == 512


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
    layer = factory.build(CnnConfig((4, 6), dilated=1)).get_layer(name)
    x = rng.normal(size=(10, 12, layer.kernel.shape[2])).astype(np.float32)
    expected = numpy_convolution(x, layer.kernel.numpy(), stride, dilation, padding)
    np.testing.assert_allclose(layer(x[None])[0], expected, atol=1e-5)


def test_transposed_convolution_is_pytorchs(rng):
    """Each input pixel adds its kernel at twice its place minus the padding of 1."""
    layer = factory.build(CnnConfig((4, 6))).get_layer("up1")
    x, kernel = rng.normal(size=(5, 7, 6)).astype(np.float32), layer.kernel.numpy()
    full = np.zeros((12, 16, 4))
    for i in range(5):
        for j in range(7):
            full[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += kernel @ x[i, j]
    np.testing.assert_allclose(layer(x[None])[0], full[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("name", ["cnn1", "cnn2"])
def test_nets_1_and_2_cannot_predict_negative_ab(name, rng):
    model = factory.build(RECIPES[name].network)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    chroma = model(rng.uniform(size=(1, 32, 32, 1)).astype(np.float32)).numpy()
    assert chroma.min() == 0.5 and chroma.max() > 0.5


def test_network_takes_lightness_and_predicts_ab():
    gray = np.array([[[[0.0]], [[0.5]], [[1.0]]]], np.float32)
    model = factory.build(CnnConfig())
    # L of sRGB 0.5: Y = 0.214041, 116 * Y^(1/3) - 16 = 53.389
    seen = model.get_layer("lightness")(gray)
    np.testing.assert_allclose(np.ravel(seen), [0, 53.389, 100], atol=2e-2)
    rgb = np.array([[[[0.9, 0.2, 0.3]]]], np.float32)
    ab = colorspace.rgb_to_lab(rgb)[..., 1:]
    np.testing.assert_allclose(model.get_layer("chroma")(ab), colorspace.LAB.chroma(rgb), atol=1e-6)


def test_lab_mse_by_hand():
    truth = colorspace.Truth(None, None, tf.zeros([1, 1, 1, 2]))
    from residual_encoder.training.losses import lab_mse

    # off by 3 in a and by 4 in b: (9 + 16) / 2
    assert float(lab_mse(truth, tf.constant([[[[3 / 256, 4 / 256]]]]))) == pytest.approx(12.5)


# --- the whole way --------------------------------------------------------------------------------


def small_recipe(name):
    """Four photographs a step as they are, Adam at a constant rate, and rivals of few channels."""
    recipe, small = RECIPES[name], SMALL.get(name, Small())
    rival = recipe.adversarial and dataclasses.replace(recipe.adversarial, widths=(8, 16))
    return dataclasses.replace(
        recipe,
        network=small.network or recipe.network,
        adversarial=rival,
        optimizer="adam",
        learning_rate=small.rate,
        schedule="constant",
        batch_size=4,
        steps=STEPS,
        image_size=small.size,
        min_crop=1.0,
        max_crop=1.0,
        flip=False,
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of four photographs, all of them for training."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, rgb in sample_images.photographs():
        image_io.write(folder / f"{name}.png", small_square(rgb, 32))
    return DataConfig("folder", str(folder))


def loss_of_gray(recipe, pictures):
    """The recipe's loss of neutral chroma; of classes, that of all alike."""
    (batch,) = input_pipeline.eval_batches(
        pictures, batch_size=4, image_size=recipe.image_size, split="train"
    )
    truth = colorspace.split(batch.rgb, recipe.space, recipe.gray)
    answer = tf.fill(truth.chroma.shape, recipe.space.neutral)
    if LOSS_INFO[recipe.loss].reads_logits:
        answer = tf.zeros([*answer[:, ::4, ::4, 0].shape, len(ab_quantization.classes().ab)])
    return float(LOSS_FUNCTIONS[recipe.loss](truth, answer))


def run(workdir, recipe, pictures):
    """Trains, and gives the recipe's loss at every step of this run."""
    settings = {"eval_data": SCENES, "eval_every": 0, "log_every": 1, "samples": 1}
    settings["checkpoint_every"] = STEPS - REPEATED
    train(TrainConfig(recipe, pictures, str(workdir), "none", **settings))
    rows = [row for row in read_metrics(workdir) if "loss" in row]
    return [row.get("loss_chroma", row["loss"]) for row in rows]


def arrays(workdir, step):
    return weights.read_arrays(workdir / "checkpoints" / f"step-{step:08d}.h5")[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            n,
            marks=[pytest.mark.slow] * (n in (*VARIANTS, "modern_distribution", "vgg_autoencoder")),
        )
        for n in RECIPES
    ],
)
def test_the_whole_way(name, pictures, tmp_path):
    """Overfits four photographs, resumes bit-identically, exports, and colors a photograph."""
    whole, cut, recipe = tmp_path / "whole", tmp_path / "cut", small_recipe(name)
    losses = run(whole, recipe, pictures)
    assert max(losses[-3:]) < SMALL.get(name, Small()).left * loss_of_gray(recipe, pictures)

    (cut / "checkpoints").mkdir(parents=True)
    shutil.copy(whole / "config.json", cut)
    earlier = f"checkpoints/step-{STEPS - REPEATED:08d}.h5"
    shutil.copy(whole / earlier, cut / earlier)
    assert run(cut, recipe, pictures) == losses[-REPEATED:]
    expected, found = arrays(whole, STEPS), arrays(cut, STEPS)
    assert expected.keys() == found.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)

    saved = export_saved_model(whole, tmp_path / "saved")
    picture = small_square(next(sample_images.photographs())[1], 133)[:100]
    colored = [Colorizer(model, precision="float32").colorize(picture) for model in (whole, saved)]
    assert colored[0].shape == (100, 133, 3)
    assert np.abs(colored[0].astype(int) - colored[1]).max() <= 1
