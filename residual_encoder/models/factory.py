"""Builds the published networks by name, and each in the form that its use needs.

One model, four forms. They share a network's function; where one is slower than the next it is
because it can do more:

| form | made by | what it is | used for |
| --- | --- | --- | --- |
| as built | `build` | Keras model of the published layers | drawings, counts, all other forms |
| training | `training_function` | function that shares the variables | every training step |
| saving | `for_saving` | Keras model, float32, plain VGG16 trunk | weights files, validation |
| inference | `for_inference` | function, weights are constants | coloring, exported models |

Residual encoders and networks of classes have an inference form of their own. Residual encoders
have a training form too, and networks of classes one that ends at their logits. For the others
these are the model itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import keras

from residual_encoder.models import residual_encoder_training, vgg16
from residual_encoder.models.ab_classifier import ab_classes, colors_of, logits_of
from residual_encoder.models.ab_classifier_inference import FoldedAbClassifier
from residual_encoder.models.cnn_autoencoder import cnn
from residual_encoder.models.configs import (
    AbClassesConfig,
    CnnConfig,
    HypercolumnConfig,
    NetworkConfig,
    Pix2PixConfig,
    ResidualEncoderConfig,
    VggAutoencoderConfig,
    multiple_of,
    name_of,
)
from residual_encoder.models.hypercolumn import hypercolumn
from residual_encoder.models.pix2pix import patch_discriminator, pix2pix
from residual_encoder.models.recipe import Recipe
from residual_encoder.models.residual_encoder import residual_encoder
from residual_encoder.models.residual_encoder_inference import FoldedResidualEncoder
from residual_encoder.models.vgg_autoencoder import vgg_autoencoder


class Network(NamedTuple):
    """A published network.

    Attributes:
      build: (config, function that builds the trunk) -> model.
      training_function: model -> the function, with the model's signature, whose output the loss
        reads.
      folded: (model, config, precision) -> the form for inference; None where the model is it.
    """

    build: Callable[[Any, Callable[..., keras.Model]], keras.Model]
    training_function: Callable[[keras.Model], Callable[..., Any]] = lambda model: model
    folded: Callable[[keras.Model, Any, str], Callable[[Any], Any]] | None = None


NETWORKS = {
    "residual_encoder": Network(
        residual_encoder, residual_encoder_training.training_function, FoldedResidualEncoder
    ),
    "hypercolumn": Network(hypercolumn),
    "vgg_autoencoder": Network(vgg_autoencoder),
    "cnn": Network(cnn),
    "pix2pix": Network(pix2pix),
    "ab_classes": Network(ab_classes, logits_of, FoldedAbClassifier),
}
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
TRUNK = "vgg16"


def training_function(model: keras.Model, config: NetworkConfig) -> Callable[..., Any]:
    """Returns the form of a network that trains.

    Args:
      model: A network that `build` made from `config`; its variables are the ones that learn.
      config: Its config.

    Returns:
      A function, `f(gray, training=True)`, of what the loss reads: chroma [B, H, W, 2] float32 in
      [0, 1], or of a network of classes the logits [B, H / 4, W / 4, Q] float32.
    """
    return NETWORKS[name_of(config)].training_function(model)


def trunk_of(model: keras.Model) -> keras.Model | None:
    """Returns the VGG16 inside a network, or None where there is none."""
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
      config: The network's numbers; their class decides which network it is.
      vgg16_weights: "imagenet", "none" (He-initialized), the path of a VGG16 weight file, or
        "later" where the caller loads all weights.
      train_trunk: Whether the trunk is trained too.
      frozen_blocks: Number of the trunk's first blocks that stay frozen all the same, 0 to 5.
      trunk_batch_norm: Whether the trunk gets batch norm while it trains; `for_saving` folds it.
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


def build_recipe(recipe: Recipe, **settings: str) -> keras.Model:
    """Builds the network of a recipe as it trains: what of its trunk learns, and its batch norm.

    Args:
      recipe: The recipe.
      **settings: `vgg16_weights` and `precision`, as of `build`.

    Returns:
      A model, as of `build`.

    Raises:
      ValueError: a name is unknown or a weight file does not fit.
      OSError: a weight file is missing.
    """
    return build(
        recipe.network,
        train_trunk=recipe.train_trunk,
        frozen_blocks=recipe.frozen_blocks,
        trunk_batch_norm=recipe.trunk_batch_norm,
        **settings,
    )


def build_discriminator(widths: tuple[int, ...], precision: str = "float32") -> keras.Model:
    """Builds the PatchGAN that adversarial training uses.

    Args:
      widths: Channels of its convolutions.
      precision: "float32" or "bfloat16", as of `build`.

    Returns:
      A model: [gray [B, H, W, 1], chroma [B, H, W, 2]] -> probability that the chroma of each
      patch is true, [B, h, w, 1]; all float32 in [0, 1].
    """
    with _dtype_policy(PRECISIONS[precision]):
        return patch_discriminator(widths)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Sets the policy of layers made inside; `keras.applications` takes no dtype argument."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def foldable(model: Any, config: NetworkConfig) -> bool:
    """Returns whether a network has a faster form for inference; a SavedModel's has none."""
    return isinstance(model, keras.Model) and NETWORKS[name_of(config)].folded is not None


def for_inference(model: Any, config: NetworkConfig, precision: str = "float32") -> Any:
    """Returns the form of a network that colors: the fastest function with its outputs.

    Args:
      model: The network, gray [B, H, W, 1] -> chroma [B, H, W, 2], float32 in [0, 1]. One that is
        `foldable` must be one that `build` made from `config`.
      config: Its config.
      precision: "float32" or "bfloat16", of networks that are folded; others stay as they are.

    Returns:
      A function as `model`, fast in a `tf.function`: a `FoldedResidualEncoder`, a
      `FoldedAbClassifier` or the model.
    """
    folded = NETWORKS[name_of(config)].folded
    if folded is None or not foldable(model, config):
        return model
    return folded(model, config, precision)


class TwoSteps(NamedTuple):
    """A network of classes in two steps, so that colors are chosen again without running it again.

    Attributes:
      logits: gray [B, H, W, 1] float32 in [0, 1] -> logits [B, H / 4, W / 4, Q] float32, smoothed
        where the config has it so.
      colors: (logits, temperature, prior_correction) -> chroma [B, H, W, 2] float32 in [0, 1]; the
        two numbers are floats or float32 scalars.
    """

    logits: Callable[[Any], Any]
    colors: Callable[..., Any]

    def in_one(self, temperature: float, prior_correction: float) -> Callable[[Any], Any]:
        """Returns both steps in one: gray [B, H, W, 1] -> chroma [B, H, W, 2]."""
        return lambda gray: self.colors(self.logits(gray), temperature, prior_correction)


def in_two_steps(model: Any, config: NetworkConfig, precision: str = "float32") -> TwoSteps | None:
    """Returns a network of classes in two steps; None for other networks and for SavedModels.

    Args:
      model: As of `for_inference`.
      config: Its config.
      precision: As of `for_inference`.
    """
    if not (isinstance(model, keras.Model) and isinstance(config, AbClassesConfig)):
        return None
    return TwoSteps(for_inference(model, config, precision).logits, colors_of)


def for_saving(model: keras.Model, config: NetworkConfig) -> keras.Model:
    """Returns a copy of a network as it is saved: float32, batch norms of its trunk folded.

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
    "FoldedAbClassifier",
    "FoldedResidualEncoder",
    "HypercolumnConfig",
    "NetworkConfig",
    "Pix2PixConfig",
    "ResidualEncoderConfig",
    "TwoSteps",
    "VggAutoencoderConfig",
    "build",
    "build_discriminator",
    "build_recipe",
    "foldable",
    "for_inference",
    "for_saving",
    "in_two_steps",
    "multiple_of",
    "name_of",
    "training_function",
    "trunk_of",
]
