"""The published networks by name; each is a function of its config, in a file of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import keras

from residual_encoder import vgg16
from residual_encoder.networks.residual_encoder import ResidualEncoderConfig, residual_encoder

NetworkConfig = ResidualEncoderConfig

# name in recipes -> (config class, function that builds it)
NETWORKS: dict[str, tuple[type[NetworkConfig], Any]] = {
    "residual_encoder": (ResidualEncoderConfig, residual_encoder),
}
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
TRUNK = "vgg16"


def name_of(config: NetworkConfig) -> str:
    """The name in `NETWORKS` of a config's network."""
    return next(name for name, (kind, _) in NETWORKS.items() if type(config) is kind)


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
      vgg16_weights: "imagenet", "none" or the path of a VGG16 weight file.
      train_trunk: Whether training may move the trunk.
      frozen_blocks: The first blocks of the trunk that stay frozen even so.
      trunk_batch_norm: Whether the trunk gets batch norm while it trains; `deployable` folds it.
      precision: "float32", or "bfloat16" for bfloat16 layers with float32 weights and output.

    Returns:
      A model: gray [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in [0, 1]; H and W
      are multiples of 8 and may be unknown.

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
    _, function = NETWORKS[name_of(config)]
    with _dtype_policy(PRECISIONS[precision]):
        return function(config, trunk)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Layers made inside have this policy; `keras.applications` takes no dtype of its own."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def deployable(model: keras.Model, config: NetworkConfig) -> keras.Model:
    """The network as it is saved: float32, without batch norm in the trunk, with the same weights.

    Args:
      model: A network that `build` made from `config`, in any precision.
      config: Its config.
    """
    plain = build(config)
    values = {variable.path: variable.numpy() for variable in model.weights}
    values |= vgg16.folded_weights(model.get_layer(TRUNK))
    for variable in plain.weights:
        variable.assign(values[variable.path])
    return plain


__all__ = ["NETWORKS", "NetworkConfig", "ResidualEncoderConfig", "build", "deployable", "name_of"]
