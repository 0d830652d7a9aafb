"""VGG16 as a trunk with named taps: gray pictures in, the activations before each pool out.

The network is `keras.applications.VGG16` (Simonyan & Zisserman 2014, configuration D), cut after
the last tap. Preprocessing is inside: callers give RGB in [0, 1] and cannot forget it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models.folded_weights import BASIS, BGR_MEAN, DEEP_BLOCKS
from residual_encoder.utils.typing import Tensor

# The inputs of pool1 to pool4, which are ReLU outputs: the article's taps.
TAPS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3")
# What Keras calls the released weights without the top.
KERAS_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@keras.saving.register_keras_serializable("residual_encoder")
class CaffePreprocessing(keras.layers.Layer):
    """The preprocessing of VGG16's training: BGR of 0..255, less the mean, from RGB in [0, 1]."""

    def call(self, rgb: Tensor) -> Tensor:
        """Maps RGB [B, H, W, 3] in [0, 1] to BGR [B, H, W, 3] in about [-124, 152]."""
        return keras.ops.flip(rgb, axis=-1) * 255.0 - keras.ops.array(BGR_MEAN, rgb.dtype)


def build_trunk(
    weights: str = "none",
    taps: Sequence[str] = TAPS,
    trainable: bool = False,
    frozen_blocks: int = 0,
    batch_norm: bool = False,
    rank: int = 0,
) -> keras.Model:
    """Builds the trunk.

    Args:
      weights: "imagenet" (downloaded by Keras, which checks its hash), "none" (He-initialized),
        "later" (any values: the caller loads its own) or the path of a VGG16 weight file in the
        Keras layout without the top.
      taps: Names of the layers whose activations come out, in order.
      trainable: Whether the trunk is trained. The original's is frozen.
      frozen_blocks: Number of the first blocks that stay frozen all the same, 0 to 5.
      batch_norm: Whether to put a BatchNormalization between each convolution and its ReLU, which
        helps training from scratch. `folded_weights` takes them out again.
      rank: Makes each convolution of blocks 4 and 5 a 3x3 one to this many channels, without
        activation, and a 1x1 one behind it (`low_rank` has the weights for it); 0 leaves them
        whole.

    Returns:
      A model named "vgg16": RGB [B, H, W, 3] float32 in [0, 1] -> list of taps [B, H/k, W/k, C].

    Raises:
      ValueError: the file does not fit the network.
      OSError: there is no such file, or the download failed.
    """
    vgg = whole(weights)
    if rank:
        vgg = _factored(vgg, rank)
    if batch_norm:
        vgg = _with_batch_norm(vgg)
    outputs = [vgg.get_layer(_activation(tap, batch_norm)).output for tap in taps]
    trunk = keras.Model(vgg.inputs[0], outputs, name="vgg16")
    trunk.trainable = trainable
    for layer in trunk.layers if trainable else []:
        layer.trainable = _block(layer) > frozen_blocks
    return trunk


def _activation(tap: str, batch_norm: bool) -> str:
    """Returns the layer with a tap's output: with batch norm, ReLU is a layer of its own."""
    return f"{tap}_relu" if batch_norm and "conv" in tap else tap


def is_trunk(path: str) -> bool:
    """Returns whether a variable's path is of one of the trunk's convolutions or their norms."""
    return path.startswith("block")


def _block(layer: keras.layers.Layer) -> int:
    """Returns 3 for "block3_conv1", 0 for layers outside the blocks."""
    return int(layer.name[len("block")]) if layer.name.startswith("block") else 0


def whole(weights: str) -> keras.Model:
    """Builds VGG16's convolutions behind its preprocessing; weights as in `build_trunk`."""
    rgb = keras.Input((None, None, 3), name="rgb")
    # float32 whatever the precision: bfloat16 rounds values of 0..255 to whole numbers.
    caffe = CaffePreprocessing(name="caffe_preprocessing", dtype="float32")(rgb)
    vgg = keras.applications.VGG16(include_top=False, weights=None, input_tensor=caffe)
    if weights == "none":
        _he_initialize(vgg)
    elif weights != "later":
        _load(vgg, weights)
    return vgg


def _load(vgg: keras.Model, weights: str) -> None:
    if weights != "imagenet" and not Path(weights).is_file():
        raise FileNotFoundError(
            f"VGG16 weights: there is no file {weights!r}. Give --vgg16_weights=imagenet to "
            "download them, =none to train from scratch, or the path of a Keras VGG16 file without "
            f"the top ({KERAS_FILE})."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Keras warns of here it raises an error for, too
            source = keras.applications.VGG16(include_top=False, weights=weights)
    except Exception as error:  # Keras raises plain Exception when a download fails
        if weights == "imagenet":
            raise OSError(
                f"VGG16's ImageNet weights could not be downloaded ({error}). Without a network, "
                f"fetch {KERAS_FILE} elsewhere and give its path with --vgg16_weights=PATH."
            ) from error
        raise ValueError(
            f"VGG16 weights: {weights} does not fit VGG16 without its top ({error})."
        ) from error
    vgg.set_weights(source.get_weights())


def _convolutions(model: keras.Model) -> list[keras.layers.Conv2D]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def _he_initialize(vgg: keras.Model) -> None:
    """Initializes as He et al. 2015, so that a deep ReLU network trains without batch norm."""
    for convolution in _convolutions(vgg):
        kernel, bias = convolution.get_weights()
        he = keras.initializers.HeNormal()
        convolution.set_weights([keras.ops.convert_to_numpy(he(kernel.shape)), np.zeros_like(bias)])


def _with_batch_norm(vgg: keras.Model) -> keras.Model:
    """Copies a network and its weights, with BatchNormalization before each ReLU."""
    shared = tf.distribute.get_strategy().num_replicas_in_sync > 1

    def linear(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Conv2D):
            config["activation"] = "linear"
        return type(layer).from_config(config)

    def call(layer: keras.layers.Layer, x: Tensor) -> Tensor:
        x = layer(x)
        # Not behind the first of a split convolution's two, which has no ReLU either.
        if isinstance(layer, keras.layers.Conv2D) and not layer.name.endswith(BASIS):
            x = keras.layers.BatchNormalization(synchronized=shared, name=f"{layer.name}_bn")(x)
            x = keras.layers.ReLU(name=f"{layer.name}_relu")(x)
        return x

    clone = keras.models.clone_model(vgg, clone_function=linear, call_function=call)
    for convolution in _convolutions(vgg):
        clone.get_layer(convolution.name).set_weights(convolution.get_weights())
    return clone


def deep_convolutions(vgg: keras.Model) -> list[keras.layers.Conv2D]:
    """Lists the convolutions of blocks 4 and 5, which `rank` splits in two, shallow to deep."""
    return [layer for layer in _convolutions(vgg) if _block(layer) in DEEP_BLOCKS]


def _factored(vgg: keras.Model, rank: int) -> keras.Model:
    """Copies a network, with two convolutions, He-initialized, in place of each deep one."""
    deep = {layer.name for layer in deep_convolutions(vgg)}

    def call(layer: keras.layers.Layer, x: Tensor) -> Tensor:
        if layer.name not in deep:
            return layer(x)
        basis = keras.layers.Conv2D(
            rank,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=layer.name + BASIS,
        )
        mixing = keras.layers.Conv2D(
            layer.filters,
            1,
            activation="relu",
            kernel_initializer="he_normal",
            name=layer.name,
        )
        return mixing(basis(x))

    clone = keras.models.clone_model(vgg, call_function=call)
    for convolution in _convolutions(vgg):
        if convolution.name not in deep:
            clone.get_layer(convolution.name).set_weights(convolution.get_weights())
    return clone


def folded_weights(trunk: keras.Model) -> dict[str, np.ndarray]:
    """Returns the trunk's weights as plain VGG16's, batch norms folded into convolutions.

    Returns:
      {"block1_conv1/kernel": float32 [3, 3, C, K], "block1_conv1/bias": float32 [K], ...}.
    """
    weights = {}
    norms = {layer.name for layer in trunk.layers if layer.name.endswith("_bn")}
    for convolution in _convolutions(trunk):
        if not convolution.use_bias:
            weights[f"{convolution.name}/kernel"] = convolution.get_weights()[0]
            continue
        kernel, bias = convolution.get_weights()
        if f"{convolution.name}_bn" in norms:
            norm = trunk.get_layer(f"{convolution.name}_bn")
            gamma, beta, mean, variance = norm.get_weights()
            scale = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * scale, (bias - mean) * scale + beta
        weights[f"{convolution.name}/kernel"] = kernel
        weights[f"{convolution.name}/bias"] = bias
    return weights
