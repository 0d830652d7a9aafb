"""The residual encoder's form for inference: the same outputs, by fewer and faster operations."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models import subpixel_conv
from residual_encoder.models.configs import ResidualEncoderConfig
from residual_encoder.models.folded_weights import Kernel
from residual_encoder.models.folding import FoldedLayers, FoldedTrunk, convolved
from residual_encoder.utils.typing import Tensor


class FoldedResidualEncoder:
    """A residual encoder as a function, with its batch norms folded.

    Calling it maps gray [B, H, W, 1] float32 in [0, 1] to chroma [B, H, W, 2] float32 in (0, 1), as
    the model it was made from; H and W are multiples of `config.multiple`. Call it in a
    `tf.function`: it is fast as a graph, and adds its weights to that as constants.
    """

    def __init__(
        self, model: keras.Model, config: ResidualEncoderConfig, precision: str = "float32"
    ) -> None:
        """Copies the weights of a model; later changes to the model have no effect.

        Args:
          model: A network that `models.build` made from `config`, in any precision.
          config: Its config.
          precision: "float32" or "bfloat16", of everything but input, logits and output.
        """
        self.config, self.dtype = config, tf.as_dtype(precision)
        self.trunk = FoldedTrunk(model.get_layer("vgg16"), config.taps, self.dtype)
        self.layers = FoldedLayers(model, config, precision)

    def __call__(self, gray: Tensor) -> Tensor:
        """Maps gray [B, H, W, 1] to chroma [B, H, W, 2]."""
        layers, centered = self.layers, gray - 0.5  # [B, H, W, 1]
        *shallow, deepest = self.trunk(centered)
        level = self.config.taps
        # [B, H/8, W/8, 256], or with five taps [B, H/16, W/16, 512]
        x = layers.projected(deepest, layers.kernel_of_tap(f"color{level}", level))
        for level, tap in reversed(list(enumerate(shallow, start=1))):
            x = self._merged(x, tap, level)  # [B, H/k, W/k, C] with k = 1, 2, 4 (, 8)
        x = self._with_gray(x, tf.cast(centered, self.dtype))  # [B, H, W, 3]
        x = layers.projected(x, layers.kernel("color0"))  # [B, H, W, 3]
        logits = convolved(x, layers.kernel("uv"))  # [B, H, W, 2]
        return tf.sigmoid(tf.cast(logits, tf.float32))

    def _merged(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Upsamples by two, adds a normalized tap, convolves."""
        if self.config.widths[-1 - level] > subpixel_conv.MOST_FILTERS:
            return self.layers.merged(x, tap, level)
        return self._merged_by_subpixels(x, tap, level)

    def _merged_by_subpixels(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Does the same where few channels come out, without the sum of many, which is slow."""
        layers = self.layers
        scale, offset = layers.norms[f"pool{level}_bn"]
        kernel, bias = (
            layers.kernel(f"color{level}").kernel,
            layers.norms[f"color{level}_bn"].offset,
        )
        x += tf.constant(offset, x.dtype)  # the same as adding it after upsampling
        weights = layers.upsampling.interpolation_weights()
        x = subpixel_conv.conv_of_upsampled(x, kernel, weights)  # [B, H/2, W/2, 12]
        tap_kernel = subpixel_conv.polyphase_kernel(kernel * scale[:, None])  # [4, 4, 64, 12]
        x += convolved(tap, Kernel(tap_kernel, np.tile(bias, 4)), stride=2)
        return tf.nn.depth_to_space(layers.activation(x), 2)  # [B, H, W, 3]

    def _with_gray(self, x: Tensor, centered: Tensor) -> Tensor:
        return x + centered if self.config.gray_tap == "add" else tf.concat([x, centered], -1)
