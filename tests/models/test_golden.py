"""Outputs of every network on fixed weights, compared with those that are stored.

A test of a property passes where a network is changed consistently; these fail where its function
changes at all. When that is wanted, `python tests/models/test_golden.py` writes the outputs anew.
"""

from __future__ import annotations

import functools
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401  finds the package
import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder import models
from residual_encoder.models.configs import (
    AbClassesConfig,
    CnnConfig,
    HypercolumnConfig,
    Pix2PixConfig,
    ResidualEncoderConfig,
    VggAutoencoderConfig,
    name_of,
)

GOLDEN = Path(__file__).parent / "golden" / "networks.npz"
CONFIGS = {
    "residual_encoder": ResidualEncoderConfig(),
    "residual_encoder_options": ResidualEncoderConfig(
        (256, 128, 64, 8, 5), "concat", "leaky_relu", 0.5, "half_pixel", taps=5
    ),
    "residual_encoder_elu": ResidualEncoderConfig(activation="elu"),
    "hypercolumn": HypercolumnConfig((8, 3)),
    "hypercolumn_pixelwise": HypercolumnConfig(()),
    "vgg_autoencoder": VggAutoencoderConfig((16, 8, 8, 4, 4)),
    "cnn": CnnConfig((4, 8)),
    "cnn_options": CnnConfig((4, 8, 8), skips=True, dilated=2),
    "pix2pix": Pix2PixConfig((4, 8, 8, 8)),
    "ab_classes": AbClassesConfig(width=16),
    "ab_classes_options": AbClassesConfig(16, 0.6, 5, 8, context=(1, 2), refinements=(2,)),
}
CASES = [*CONFIGS, "patch_discriminator"]
HEIGHT, WIDTH = 32, 64
# What is kept of an output: corners, borders and the inside.
KEPT = np.array([0, 1, 2, 3, -2, -1])
# Of the stored values' range. Processors differ in the last bits of float32, some 1e-6 of it.
TOLERANCE = 1e-3


def numbers(seed, shape):
    """Returns float64 in [-1, 1) from a text and indices; integers, so the same everywhere."""
    x = np.arange(np.prod(shape, dtype=int), dtype=np.uint32) + np.uint32(zlib.crc32(seed.encode()))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x.reshape(shape) / 2.0**31 - 1


def values(variable):
    """Returns values with which activations neither vanish nor grow from layer to layer."""
    part, u = variable.path.rsplit("/")[-1], numbers(variable.path, tuple(variable.shape))
    if part == "kernel":
        bgr = 64 if "block1_conv1" in variable.path else 1  # VGG16 reads -124 to 152
        return u * np.sqrt(6 / np.prod(variable.shape[:-1])) / bgr
    return {"gamma": 1, "moving_variance": 1}.get(part, 0) + 0.3 * u


def filled(name):
    """Builds a network and gives it its values."""
    keras.utils.set_random_seed(0)
    if name == "patch_discriminator":
        model = models.build_discriminator((4, 8, 8))
    else:
        model = models.build(CONFIGS[name], vgg16_weights="later")
    for variable in model.weights:
        variable.assign(values(variable))
    return model


def inputs(model):
    """Returns gray, and for the discriminator chroma too, in [0, 1]."""
    shapes = [(1, HEIGHT, WIDTH, tensor.shape[-1]) for tensor in model.inputs]
    parts = [(numbers(f"input{k}", shape) + 1) / 2 for k, shape in enumerate(shapes)]
    tensors = [tf.constant(part, tf.float32) for part in parts]
    return tensors if len(tensors) > 1 else tensors[0]


def output_of(model):
    return model(inputs(model)).numpy()[0][np.ix_(KEPT, KEPT)]


def differs(found, wanted):
    """Returns whether an output is not the stored one."""
    return bool(np.abs(found - wanted).max() > TOLERANCE * np.ptp(wanted))


@functools.cache
def stored():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def test_every_network_is_here():
    assert {name_of(config) for config in CONFIGS.values()} == set(models.NETWORKS)
    assert list(stored()) == CASES
    assert GOLDEN.stat().st_size < 10_000


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A network and its stored output."""
    return filled(request.param), stored()[request.param]


def test_output_is_the_stored_one(case):
    model, wanted = case
    found = output_of(model)
    assert found.shape == wanted.shape and np.ptp(wanted) > 0.05
    assert not differs(found, wanted), f"largest difference: {np.abs(found - wanted).max():.3g}"


def test_a_changed_weight_shows(case):
    """Of the first, a middle and the last convolution."""
    model, wanted = case
    kernels = [variable for variable in model.weights if variable.path.endswith("kernel")]
    for variable in (kernels[0], kernels[len(kernels) // 2], kernels[-1]):
        value = variable.numpy()
        variable.assign(1.5 * value + 0.1)
        assert differs(output_of(model), wanted), variable.path
        variable.assign(value)
    assert not differs(output_of(model), wanted)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **{name: output_of(filled(name)) for name in CASES})
