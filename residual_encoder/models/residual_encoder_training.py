"""The residual encoder as it trains: the same function and gradients, without its largest tensors.

At full size the plain network makes three of 64 channels from which color1 takes three: the
upsampled color2, the normalized first tap, and their sum. None of them is made here. The upsampled
one is convolved by its phases (`subpixel_conv`), and the norm goes into color1's kernel: what it
multiplies with as a factor, what it adds as an addend of the small picture.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from residual_encoder.models import subpixel_conv
from residual_encoder.utils.typing import Tensor


def training_function(model: keras.Model) -> Callable[..., Tensor]:
    """Returns the faster form of a residual encoder for training.

    Args:
      model: What `residual_encoder` built; its variables are the ones that learn.

    Returns:
      A function with the model's signature, for training only. The model itself, where replicas
      share the moments of batch norm or color1 has too many channels for this to pay.
    """
    upsample, norm, color = map(model.get_layer, ("merge1_upsample", "pool1_bn", "color1"))
    if norm.synchronized or color.filters > subpixel_conv.MOST_FILTERS:
        return model
    below = keras.Model(model.input, [upsample.input, norm.input])
    above = keras.Model([color.output, model.input], model.output)
    shares = upsample.shares()

    def trained(gray: Tensor, training: bool = True) -> Tensor:
        x, tap = below(gray, training=training)  # [B, H/2, W/2, 64], [B, H, W, 64]
        scale, offset = norm.scale_and_offset(tap, training)  # [64] each
        x = x + tf.cast(offset, x.dtype)  # as good as added after upsampling
        x = subpixel_conv.convolved_double(x, color.kernel, shares)  # [B, H/2, W/2, 12]
        kernel = subpixel_conv.kernel_of(color.kernel * scale[:, None])  # [4, 4, 64, 12]
        x += tf.nn.conv2d(tap, tf.cast(kernel, tap.dtype), 2, "SAME")
        return above([tf.nn.depth_to_space(x, 2), gray], training=training)

    return trained
