"""The residual encoder of "Automatic Colorization" (Ryan Dahl, January 2016).

VGG16's activations before its first four pools are merged from the top down: each level is
upsampled by two, added to the batch-normalized tap below, and convolved. The gray picture itself is
the last tap. Layers and variables carry the names of the released model (color4, pool4_bn, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from residual_encoder.networks.layers import Upsample2, batch_norm, convolution

Tensor = Any


@dataclass(frozen=True)
class ResidualEncoderConfig:
    """What varies between residual encoders; the defaults are the 2016 network.

    Attributes:
      widths: Channels of color4, color3, color2, color1 and color0. The first three are also those
        of the taps they are added to, so only the last two are free.
      gray_tap: How the gray picture joins the last level: "add", as in 2016 (color1 then has the
        three channels of the replicated gray), or "concat" (color1 may be wider).
    """

    widths: tuple[int, int, int, int, int] = (256, 128, 64, 3, 3)
    gray_tap: str = "add"

    def __post_init__(self) -> None:
        """Checks the widths against the taps.

        Raises:
          ValueError: a sum of two levels would not fit.
        """
        if self.widths[:3] != (256, 128, 64):
            raise ValueError(
                f"widths must begin (256, 128, 64), the taps'. Received {self.widths}."
            )
        if self.gray_tap not in ("add", "concat"):
            raise ValueError(f'gray_tap must be "add" or "concat". Received {self.gray_tap!r}.')
        if self.gray_tap == "add" and self.widths[3] != 3:
            raise ValueError(f"Adding gray needs widths[3] = 3. Received {self.widths[3]}.")


def residual_encoder(
    config: ResidualEncoderConfig, build_trunk: Callable[[], keras.Model]
) -> keras.Model:
    """Builds the network.

    Args:
      config: Widths and the way gray joins.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the four taps.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in (0, 1).
      H and W must be multiples of 8. Its layer "uv" with its norm makes the logits of the chroma.
    """
    c4, c3, c2, c1, c0 = config.widths
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    taps = build_trunk()(gray3)
    t1, t2, t3, t4 = (batch_norm(f"pool{k}_bn")(tap) for k, tap in enumerate(taps, start=1))

    x = _project(c4, 1, "color4")(t4)  # [B, H/8, W/8, 256]
    x = _merge("merge3")(x, t3)  # [B, H/4, W/4, 256]
    x = _project(c3, 3, "color3")(x)  # [B, H/4, W/4, 128]
    x = _merge("merge2")(x, t2)  # [B, H/2, W/2, 128]
    x = _project(c2, 3, "color2")(x)  # [B, H/2, W/2, 64]
    x = _merge("merge1")(x, t1)  # [B, H, W, 64]
    x = _project(c1, 3, "color1")(x)  # [B, H, W, 3]
    x = _with_gray(config, x, gray, gray3)  # [B, H, W, 3]
    x = _project(c0, 3, "color0")(x)  # [B, H, W, 3]
    x = batch_norm("uv_bn")(convolution(2, 3, "uv")(x))  # [B, H, W, 2]
    chroma = keras.layers.Activation("sigmoid", dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="residual_encoder")


def _project(filters: int, size: int, name: str) -> Callable[[Tensor], Tensor]:
    """Convolution, batch norm, ReLU."""

    def apply(x: Tensor) -> Tensor:
        x = batch_norm(f"{name}_bn")(convolution(filters, size, name)(x))
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    return apply


def _merge(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """x2 upsampling, then the residual sum with the tap of that size."""

    def apply(x: Tensor, tap: Tensor) -> Tensor:
        x = Upsample2(name=f"{name}_upsample")(x)
        return keras.layers.Add(name=name)([x, tap])

    return apply


def _with_gray(config: ResidualEncoderConfig, x: Tensor, gray: Tensor, gray3: Tensor) -> Tensor:
    """The last tap, gray - 0.5. No batch norm: the article's drawing has one, its code has none."""
    if config.gray_tap == "add":
        centered = keras.layers.Rescaling(1.0, offset=-0.5, name="gray_tap")(gray3)
        return keras.layers.Add(name="merge0")([x, centered])
    centered = keras.layers.Rescaling(1.0, offset=-0.5, name="gray_tap")(gray)
    return keras.layers.Concatenate(name="merge0")([x, centered])
