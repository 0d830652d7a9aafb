"""The residual encoder's form for training: same outputs and gradients, less memory.

At full size the network as built makes three tensors of 64 channels, from which color1 computes
three channels: the upsampled color2, the normalized first tap, and their sum. None of them is made
here. Color1 of the upsampled tensor is a convolution of the small one (`subpixel_conv`), and the
batch norm goes into color1: its scale into the kernel, its offset into the small tensor.
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
      model: A network that `residual_encoder` built; its variables are the ones that learn.

    Returns:
      A function with the model's signature, for training only: gray [B, H, W, 1] -> chroma
      [B, H, W, 2]. The model itself where replicas share the moments of batch norm, or where color1
      has so many channels that the faster form is slower.
    """
    upsample, norm, color = map(model.get_layer, ("merge1_upsample", "pool1_bn", "color1"))
    if norm.synchronized or color.filters > subpixel_conv.MOST_FILTERS:
        return model
    below = keras.Model(model.input, [upsample.input, norm.input])
    above = keras.Model([color.output, model.input], model.output)
    weights = upsample.interpolation_weights()

    def trained(gray: Tensor, training: bool = True) -> Tensor:
        x, tap = below(gray, training=training)  # [B, H/2, W/2, 64], [B, H, W, 64]
        scale, offset = norm.scale_and_offset(tap, training)  # [64] each
        x = x + tf.cast(offset, x.dtype)  # the same as adding it after upsampling
        x = subpixel_conv.conv_of_upsampled(x, color.kernel, weights)  # [B, H/2, W/2, 12]
        kernel = subpixel_conv.polyphase_kernel(color.kernel * scale[:, None])  # [4, 4, 64, 12]
        x += tf.nn.conv2d(tap, tf.cast(kernel, tap.dtype), 2, "SAME")
        return above([tf.nn.depth_to_space(x, 2), gray], training=training)

    return trained
