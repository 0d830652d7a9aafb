"""The hypercolumn models that the article tried before the residual encoder.

All of VGG16's taps, without normalization, are upsampled to the picture's size and concatenated
with the gray: 963 channels for each pixel. A few convolutions, or a single 1x1 one, predict the
color from them.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from residual_encoder.models.configs import HypercolumnConfig
from residual_encoder.models.layers import Upsample2, batch_norm, convolution
from residual_encoder.utils.typing import Tensor


def hypercolumn(config: HypercolumnConfig, build_trunk: Callable[..., keras.Model]) -> keras.Model:
    """Builds the network.

    Args:
      config: Widths of the head.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the four taps.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in (0, 1).
      H and W must be multiples of 8. Its layer "hypercolumn" has 963 channels.
    """
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    columns = [gray3]
    for level, tap in enumerate(build_trunk()(gray3)):
        for k in range(level):  # x2 on x2 is the legacy bilinear x4, also at the border
            tap = Upsample2(name=f"tap{level + 1}_upsample{k + 1}")(tap)
        columns.append(tap)
    x = keras.layers.Concatenate(name="hypercolumn")(columns)  # [B, H, W, 963]
    for k, width in enumerate(config.widths, start=1):
        x = batch_norm(f"head{k}_bn")(convolution(width, 3, f"head{k}")(x))
        x = keras.layers.ReLU(name=f"head{k}_relu")(x)  # [B, H, W, width]
    x = _last(config)(x)  # [B, H, W, 2]
    chroma = keras.layers.Activation("sigmoid", dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="hypercolumn")


def _last(config: HypercolumnConfig) -> Callable[[Tensor], Tensor]:
    """Builds the convolution to two channels: with batch norm; pixelwise it is 1x1 with bias."""
    if not config.widths:
        return convolution(2, 1, "uv", use_bias=True)
    return lambda x: batch_norm("uv_bn")(convolution(2, 3, "uv")(x))
