"""Six autoencoders from plain to U-Net with dilation, trained on raw Lab.

4x4 convolutions of stride 2 halve the picture, transposed ones double it; SAME padding of these is
PyTorch's padding of 1, and 3 for the dilated ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from residual_encoder.imaging import colorspace
from residual_encoder.models.configs import CnnConfig
from residual_encoder.utils.typing import Tensor


@keras.saving.register_keras_serializable("residual_encoder")
class Lightness(keras.layers.Layer):
    """Lab's L in [0, 100] of gray in [0, 1]."""

    def call(self, gray: Tensor) -> Tensor:
        """Maps gray [B, H, W, 1] to L [B, H, W, 1]."""
        return colorspace.lightness(gray)


def cnn(config: CnnConfig, _: Callable[..., keras.Model]) -> keras.Model:
    """Builds the network. It has no trunk.

    Args:
      config: Which of the six.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32, about
      [0, 1]. H and W are multiples of two to the number of levels.
    """
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    x = lightness = Lightness(dtype="float32", name="lightness")(gray)  # [B, H, W, 1]
    levels = []
    for k, width in enumerate(config.widths, start=1):
        x = _normed(_halving(width, f"down{k}"), f"down{k}")(x)  # [B, H/2^k, W/2^k, width]
        levels.append(x)
    for k in range(1, config.dilated + 1):
        x = _normed(_dilated(config.widths[-1], f"dilated{k}"), f"dilated{k}")(x)
    for k, width in reversed(list(enumerate(config.widths[:-1], start=1))):
        x = _normed(_doubling(width, f"up{k}"), f"up{k}")(x)  # [B, H/2^k, W/2^k, width]
        if config.skips:
            x = keras.layers.Concatenate(name=f"skip{k}")([x, levels[k - 1]])
    x = _doubling(2, "up0")(x)  # [B, H, W, 2]
    x = keras.layers.ReLU(name="up0_relu")(x)
    if config.skips:
        x = keras.layers.Concatenate(name="skip0")([x, lightness])  # [B, H, W, 3]
        x = keras.layers.Conv2D(2, 3, name="ab", **_shared())(x)
    chroma = keras.layers.Rescaling(1 / colorspace.AB_SCALE, 0.5, dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="cnn")


def _halving(filters: int, name: str) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, 4, strides=2, name=name, **_shared())


def _doubling(filters: int, name: str) -> keras.layers.Conv2DTranspose:
    return keras.layers.Conv2DTranspose(filters, 4, strides=2, name=name, **_shared())


def _dilated(filters: int, name: str) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, 4, dilation_rate=2, name=name, **_shared())


def _shared() -> dict[str, Any]:
    """Returns SAME padding and PyTorch's kernels, uniform in +-1 / sqrt(fan in); zero biases."""
    uniform = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    return {"padding": "same", "kernel_initializer": uniform}


def _normed(layer: keras.layers.Layer, name: str) -> Callable[[Tensor], Tensor]:
    """Builds layer, batch norm as in PyTorch (epsilon 1e-5, moving average 0.9), ReLU."""

    def apply(x: Tensor) -> Tensor:
        norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")
        return keras.layers.ReLU(name=f"{name}_relu")(norm(layer(x)))

    return apply
