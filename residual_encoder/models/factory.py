"""The published networks by name; each is a function of its config, in a file of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import keras

from residual_encoder.models import vgg16
from residual_encoder.models.ab_classifier import AbClassesConfig, ab_classes, logits_of
from residual_encoder.models.cnn_autoencoder import CnnConfig, cnn
from residual_encoder.models.hypercolumn import HypercolumnConfig, hypercolumn
from residual_encoder.models.pix2pix import Pix2PixConfig, patch_discriminator, pix2pix
from residual_encoder.models.residual_encoder import ResidualEncoderConfig, residual_encoder
from residual_encoder.models.residual_encoder_inference import Folded
from residual_encoder.models.residual_encoder_training import for_training
from residual_encoder.models.vgg_autoencoder import VggAutoencoderConfig, vgg_autoencoder

NetworkConfig = (
    ResidualEncoderConfig
    | HypercolumnConfig
    | VggAutoencoderConfig
    | CnnConfig
    | Pix2PixConfig
    | AbClassesConfig
)


class Network(NamedTuple):
    """A published network.

    Attributes:
      config: The class of its numbers.
      build: (config, function that builds the trunk) -> model.
      multiple: config -> what height and width of its input must be multiples of.
      predictor: model -> the function, with the model's signature, whose output the loss reads.
    """

    config: type[NetworkConfig]
    build: Callable[[Any, Callable[..., keras.Model]], keras.Model]
    multiple: Callable[[Any], int]
    predictor: Callable[[keras.Model], Callable[..., Any]] = lambda model: model


NETWORKS = {
    "residual_encoder": Network(
        ResidualEncoderConfig, residual_encoder, lambda config: config.multiple, for_training
    ),
    "hypercolumn": Network(HypercolumnConfig, hypercolumn, lambda _: 8),
    "vgg_autoencoder": Network(VggAutoencoderConfig, vgg_autoencoder, lambda _: 32),
    "cnn": Network(CnnConfig, cnn, lambda config: 2 ** len(config.widths)),
    "pix2pix": Network(Pix2PixConfig, pix2pix, lambda _: 8),  # it pads to its own multiple inside
    "ab_classes": Network(AbClassesConfig, ab_classes, lambda config: config.multiple, logits_of),
}
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
TRUNK = "vgg16"


def name_of(config: NetworkConfig) -> str:
    """The name in `NETWORKS` of a config's network."""
    return next(name for name, network in NETWORKS.items() if type(config) is network.config)


def multiple_of(config: NetworkConfig) -> int:
    """What height and width of a network's input must be multiples of."""
    return NETWORKS[name_of(config)].multiple(config)


def predictor(model: keras.Model, config: NetworkConfig) -> Callable[..., Any]:
    """What the loss reads while a network trains: chroma, or the logits of a network of classes."""
    return NETWORKS[name_of(config)].predictor(model)


def trunk_of(model: keras.Model) -> keras.Model | None:
    """The VGG16 inside a network, if it has one."""
    return next((layer for layer in model.layers if layer.name == TRUNK), None)


def build(
    config: NetworkConfig,
    *,
    vgg16_weights: str = "none",
    train_trunk: bool = False,
    frozen_blocks: int = 0,
    trunk_batch_norm: bool = False,
    precision: str = "float32",
) -> keras.Model:
    """Builds a network.

    Args:
      config: Which network, and its numbers.
      vgg16_weights: "imagenet", "none", the path of a VGG16 weight file, or "later" where the
        caller loads all weights.
      train_trunk: Whether training may move the trunk.
      frozen_blocks: The first blocks of the trunk that stay frozen even so.
      trunk_batch_norm: Whether the trunk gets batch norm while it trains; `deployable` folds it.
      precision: "float32", or "bfloat16" for bfloat16 layers with float32 weights and output.

    Returns:
      A model: gray [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in [0, 1]; H and W
      are multiples of `multiple_of(config)` and may be unknown.

    Raises:
      ValueError: a name is unknown or a weight file does not fit.
      OSError: a weight file is missing.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {list(PRECISIONS)}. Received {precision!r}.")
    trunk = partial(
        vgg16.build_trunk,
        vgg16_weights,
        trainable=train_trunk,
        frozen_blocks=frozen_blocks,
        batch_norm=trunk_batch_norm,
    )
    with _dtype_policy(PRECISIONS[precision]):
        return NETWORKS[name_of(config)].build(config, trunk)


def build_discriminator(widths: tuple[int, ...], precision: str = "float32") -> keras.Model:
    """Builds the PatchGAN that adversarial training sets against a network.

    Args:
      widths: Channels of its convolutions.
      precision: "float32" or "bfloat16", as of `build`.

    Returns:
      A model: [gray [B, H, W, 1], chroma [B, H, W, 2]] -> how likely the chroma of each patch is
      true, [B, h, w, 1]; all float32 in [0, 1].
    """
    with _dtype_policy(PRECISIONS[precision]):
        return patch_discriminator(widths)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside have this policy; `keras.applications` takes no dtype of its own."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def foldable(model: Any, config: NetworkConfig) -> bool:
    """Whether there is a faster form of a network for coloring: of the residual encoders."""
    return isinstance(model, keras.Model) and isinstance(config, ResidualEncoderConfig)


def for_coloring(
    model: Any, config: NetworkConfig, precision: str = "float32"
) -> Callable[[Any], Any]:
    """The fastest function that does what a network does when it colors.

    Args:
      model: The network, gray [B, H, W, 1] -> chroma [B, H, W, 2], float32 in [0, 1]. What is
        foldable must come from `build`, of `config`.
      config: Its config.
      precision: "float32" or "bfloat16"; what is not foldable stays as it is.

    Returns:
      A function as `model`, fast in a `tf.function`: `Folded`, or the model itself.
    """
    if not foldable(model, config):
        return model
    return Folded(model, cast(ResidualEncoderConfig, config), precision)


def deployable(model: keras.Model, config: NetworkConfig) -> keras.Model:
    """The network as it is saved: float32, without batch norm in the trunk, with the same weights.

    Args:
      model: A network that `build` made from `config`, in any precision.
      config: Its config.
    """
    plain = build(config, vgg16_weights="later")
    values = {variable.path: variable.numpy() for variable in model.weights}
    trunk = trunk_of(model)
    values |= vgg16.folded_weights(trunk) if trunk else {}
    for variable in plain.weights:
        variable.assign(values[variable.path])
    return plain


__all__ = [
    "NETWORKS",
    "AbClassesConfig",
    "CnnConfig",
    "Folded",
    "HypercolumnConfig",
    "NetworkConfig",
    "Pix2PixConfig",
    "ResidualEncoderConfig",
    "VggAutoencoderConfig",
    "build",
    "build_discriminator",
    "deployable",
    "foldable",
    "for_coloring",
    "multiple_of",
    "name_of",
    "predictor",
    "trunk_of",
]
