"""The residual encoder of "Automatic Colorization" (Ryan Dahl, January 2016).

VGG16's activations before its first four pools are merged from the top down: each level is
upsampled by two, added to the batch-normalized tap below, and convolved. The gray picture itself is
the last tap. Layers and variables carry the names of the released model (color4, pool4_bn, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras

from residual_encoder.models import vgg16
from residual_encoder.models.configs import LEAK, ResidualEncoderConfig
from residual_encoder.models.layers import DECODER_UPSAMPLINGS, Dropout, batch_norm, convolution
from residual_encoder.utils.typing import Tensor

ACTIVATIONS: dict[str, Callable[..., keras.layers.Layer]] = {
    "relu": keras.layers.ReLU,
    "elu": keras.layers.ELU,  # Clevert et al. 2015: alpha 1
    "leaky_relu": partial(keras.layers.LeakyReLU, negative_slope=LEAK),
}
# The input of pool5: with it all of VGG16's pools are tapped, which the article leaves for later.
FIFTH_TAP = "block5_conv3"


def residual_encoder(
    config: ResidualEncoderConfig, build_trunk: Callable[..., keras.Model]
) -> keras.Model:
    """Builds the network.

    Args:
      config: Widths, the way gray joins, and options.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the taps.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in (0, 1).
      H and W must be multiples of `config.multiple`. Its layer "uv" and its norm compute the
      logits of the chroma.
    """
    c4, c3, c2, c1, c0 = config.widths
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    t1, t2, t3, *deep = _normed_taps(config, gray3, build_trunk)
    x = _deepest(config, deep)  # [B, H/8, W/8, 256]
    x = merge(config, "merge3")(x, t3)  # [B, H/4, W/4, 256]
    x = project(config, c3, 3, "color3")(x)  # [B, H/4, W/4, 128]
    x = merge(config, "merge2")(x, t2)  # [B, H/2, W/2, 128]
    x = project(config, c2, 3, "color2")(x)  # [B, H/2, W/2, 64]
    x = merge(config, "merge1")(x, t1)  # [B, H, W, 64]
    x = project(config, c1, 3, "color1")(x)  # [B, H, W, 3]
    x = _with_gray(config, x, gray, gray3)  # [B, H, W, 3]
    x = project(config, c0, 3, "color0")(x)  # [B, H, W, 3]
    x = batch_norm("uv_bn")(convolution(2, 3, "uv")(x))  # [B, H, W, 2]
    chroma = keras.layers.Activation("sigmoid", dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="residual_encoder")


def _normed_taps(
    config: ResidualEncoderConfig, gray3: Tensor, build_trunk: Callable[..., keras.Model]
) -> list[Tensor]:
    """Returns the normalized taps: [B, H, W, 64], [B, H/2, W/2, 128], ..., shallow to deep."""
    taps = build_trunk(taps=(*vgg16.TAPS, FIFTH_TAP)[: config.taps])(gray3)
    return [batch_norm(f"pool{k}_bn")(tap) for k, tap in enumerate(taps, start=1)]


def _deepest(config: ResidualEncoderConfig, deep: list[Tensor]) -> Tensor:
    """Builds color4 of the fourth tap, and the fifth if any: [B, H/8, W/8, widths[0]]."""
    width, t4 = config.widths[0], deep[0]
    if config.taps == 4:
        return project(config, width, 1, "color4")(t4)
    x = project(config, t4.shape[-1], 1, "color5")(deep[1])  # [B, H/16, W/16, 512]
    x = merge(config, "merge4")(x, t4)  # [B, H/8, W/8, 512]
    return project(config, width, 3, "color4")(x)


def project(
    config: ResidualEncoderConfig, filters: int, size: int, name: str, dilation: int = 1
) -> Callable[[Tensor], Tensor]:
    """Builds convolution, batch norm and activation, and dropout behind the wide levels."""

    def apply(x: Tensor) -> Tensor:
        x = batch_norm(f"{name}_bn")(convolution(filters, size, name, dilation=dilation)(x))
        x = ACTIVATIONS[config.activation](name=f"{name}_{config.activation}")(x)
        if config.dropout and name not in ("color1", "color0"):
            x = Dropout(config.dropout, name=f"{name}_dropout")(x)
        return x

    return apply


def merge(config: ResidualEncoderConfig, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Builds x2 upsampling, then the residual sum with the tap of that size."""

    def apply(x: Tensor, tap: Tensor) -> Tensor:
        upsample = DECODER_UPSAMPLINGS[config.upsampling]
        x = upsample(quick_gradient=True, name=f"{name}_upsample")(x)
        return keras.layers.Add(name=name)([x, tap])

    return apply


def _with_gray(config: ResidualEncoderConfig, x: Tensor, gray: Tensor, gray3: Tensor) -> Tensor:
    """Joins the last tap, gray - 0.5; its batch norm is in the article's drawing only."""
    if config.gray_tap == "add":
        centered = keras.layers.Rescaling(1.0, offset=-0.5, name="gray_tap")(gray3)
        return keras.layers.Add(name="merge0")([x, centered])
    centered = keras.layers.Rescaling(1.0, offset=-0.5, name="gray_tap")(gray)
    return keras.layers.Concatenate(name="merge0")([x, centered])
