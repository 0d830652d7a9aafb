"""A frozen VGG16 as the encoder of an autoencoder: 7x7x512 in the middle, no taps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from residual_encoder.models.configs import VggAutoencoderConfig
from residual_encoder.utils.typing import Tensor


def vgg_autoencoder(
    config: VggAutoencoderConfig, build_trunk: Callable[..., keras.Model]
) -> keras.Model:
    """Builds the network.

    Args:
      config: Widths of the decoder.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the named activations.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in (0, 1):
      tanh is ab / 128, and (tanh + 1) / 2 is ab / 256 + 0.5. H and W are multiples of 32.
    """
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    (x,) = _listed(build_trunk(taps=("block5_pool",))(gray3))  # [B, H/32, W/32, 512]
    first, *rest = config.widths
    x = _convolution(first, "decoder1")(x)  # [B, H/32, W/32, 256]
    for k, width in enumerate(rest, start=2):
        x = _convolution(width, f"decoder{k}")(x)  # 128 at 1/32, 64 at 1/16, 32 at 1/8, 16 at 1/4
        x = keras.layers.UpSampling2D(name=f"upsample{k - 1}")(x)
    x = keras.layers.Conv2D(2, 3, padding="same", activation="tanh", name="ab")(x)  # at 1/2
    x = keras.layers.UpSampling2D(name=f"upsample{len(rest) + 1}")(x)  # [B, H, W, 2]
    chroma = keras.layers.Rescaling(0.5, 0.5, dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="vgg_autoencoder")


def _listed(tensors: Any) -> list[Tensor]:
    return list(tensors) if isinstance(tensors, list | tuple) else [tensors]


def _convolution(filters: int, name: str) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)
