"""The residual encoder's form for inference: the same outputs, by fewer and faster operations.

Every batch norm is folded into the convolution before or behind it, and weights are constants of
the graph. There remain convolutions with a bias and an activation, which oneDNN runs as one
operation on weights that it packs once. Channels last, any height and width.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models import subpixel_conv, vgg16
from residual_encoder.models.configs import ResidualEncoderConfig
from residual_encoder.models.layers import DECODER_UPSAMPLINGS
from residual_encoder.models.residual_encoder import ACTIVATIONS
from residual_encoder.utils.typing import Tensor

# Adding upsampled / scale to the tap itself, and scaling kernels instead, saves a pass over the
# tap. A smaller scale, which may be zero, is replaced by this one: a tap would have to be in the
# billions to show. Scales of fine-tuned trunks go down to 1e-6. A choice of this project.
LEAST_SCALE = 1e-12


class Kernel(NamedTuple):
    """A convolution with bias."""

    kernel: Tensor  # [h, w, C, K] float32
    bias: np.ndarray  # [K] float32


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
          model: A network that `models.build` made from `config`, in any precision, without batch
            norm in the trunk.
          config: Its config.
          precision: "float32" or "bfloat16", of everything but input, logits and output.
        """
        self.config, self.dtype = config, tf.as_dtype(precision)
        self.trunk = vgg16.folded_weights(model.get_layer("vgg16"))
        layers = {layer.name: layer for layer in model.layers}
        self.kernels = {
            name: layer.get_weights()[0]
            for name, layer in layers.items()
            if isinstance(layer, keras.layers.Conv2D)
        }
        self.norms = {
            name: _scale_and_offset(layer)
            for name, layer in layers.items()
            if isinstance(layer, keras.layers.BatchNormalization)
        }
        self.activation = ACTIVATIONS[config.activation](dtype=precision)
        self.upsampling = DECODER_UPSAMPLINGS[config.upsampling](dtype=precision)

    def __call__(self, gray: Tensor) -> Tensor:
        """Maps gray [B, H, W, 1] to chroma [B, H, W, 2]."""
        centered = gray - 0.5  # [B, H, W, 1]
        *shallow, deepest = self._taps(centered)
        x = self._deepest(deepest)  # [B, H/8, W/8, 256], or with five taps [B, H/16, W/16, 512]
        for level, tap in reversed(list(enumerate(shallow, start=1))):
            x = self._merged(x, tap, level)  # [B, H/k, W/k, C] with k = 1, 2, 4 (, 8)
        x = self._with_gray(x, tf.cast(centered, self.dtype))  # [B, H, W, 3]
        x = self._projected(x, self._kernel("color0"))  # [B, H, W, 3]
        logits = self._convolved(x, self._kernel("uv"))  # [B, H, W, 2]
        return tf.sigmoid(tf.cast(logits, tf.float32))

    # --- the trunk --------------------------------------------------------------------------------

    def _taps(self, centered: Tensor) -> list[Tensor]:
        """Returns the activations before the pools, [B, H, W, 64] to the deepest."""
        # VGG16 pads the mean color, which is not gray: a channel of ones marks the inside.
        x = tf.concat([centered, tf.ones_like(centered)], -1)  # [B, H, W, 2]
        x = tf.cast(x, self.dtype)
        taps = []
        for block in range(1, self.config.taps + 1):
            x = tf.nn.max_pool2d(x, 2, 2, "VALID") if block > 1 else x
            for name in self._convolutions(block):
                x = tf.nn.relu(self._convolved(x, self._trunk_kernel(name)))
            taps.append(x)
        return taps

    def _convolutions(self, block: int) -> list[str]:
        """Returns the names of the trunk's convolutions in a block, in order."""
        kernels = (name.removesuffix("/kernel") for name in self.trunk if name.endswith("kernel"))
        return sorted(name for name in kernels if name.startswith(f"block{block}_"))

    def _trunk_kernel(self, name: str) -> Kernel:
        kernel, bias = self.trunk[f"{name}/kernel"], self.trunk[f"{name}/bias"]
        if name != "block1_conv1":
            return Kernel(kernel, bias)
        # BGR = 255 (centered + 0.5) - mean, of two channels: centered and ones.
        ones = np.einsum("hwck,c->hwk", kernel, 127.5 - np.array(vgg16.BGR_MEAN))
        return Kernel(np.stack([255 * kernel.sum(2), ones], axis=2), bias)

    # --- the decoder ------------------------------------------------------------------------------

    def _kernel(self, name: str) -> Kernel:
        """Returns a convolution of the decoder with the norm behind it folded in."""
        scale, offset = self.norms[f"{name}_bn"]
        return Kernel(self.kernels[name] * scale, offset)

    def _deepest(self, tap: Tensor) -> Tensor:
        """Computes the 1x1 convolution of the deepest tap, whose norm is folded into it as well."""
        scale, offset = self.norms[f"pool{self.config.taps}_bn"]
        kernel, bias = self._kernel(f"color{self.config.taps}")
        return self._projected(tap, Kernel(kernel * scale[:, None], bias + offset @ kernel[0, 0]))

    def _merged(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Upsamples by two, adds a normalized tap, convolves."""
        if self.config.widths[-1 - level] <= subpixel_conv.MOST_FILTERS:
            return self._merged_by_subpixels(x, tap, level)
        scale, offset = self.norms[f"pool{level}_bn"]
        scale = np.where(np.abs(scale) < LEAST_SCALE, LEAST_SCALE, scale)
        kernel, bias = self._kernel(f"color{level}")
        x = x * tf.constant(1 / scale, x.dtype) + tf.constant(offset / scale, x.dtype)
        x = self.upsampling.resized(x) + tap
        return self._projected(x, Kernel(kernel * scale[:, None], bias))

    def _merged_by_subpixels(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Does the same where few channels come out, without the sum of many, which is slow."""
        scale, offset = self.norms[f"pool{level}_bn"]
        kernel, bias = self._kernel(f"color{level}")
        x += tf.constant(offset, x.dtype)  # the same as adding it after upsampling
        weights = self.upsampling.interpolation_weights()
        x = subpixel_conv.conv_of_upsampled(x, kernel, weights)  # [B, H/2, W/2, 12]
        tap_kernel = subpixel_conv.polyphase_kernel(kernel * scale[:, None])  # [4, 4, 64, 12]
        x += self._convolved(tap, Kernel(tap_kernel, np.tile(bias, 4)), stride=2)
        return tf.nn.depth_to_space(self.activation(x), 2)  # [B, H, W, 3]

    def _with_gray(self, x: Tensor, centered: Tensor) -> Tensor:
        return x + centered if self.config.gray_tap == "add" else tf.concat([x, centered], -1)

    # --- operations -------------------------------------------------------------------------------

    def _convolved(self, x: Tensor, weights: Kernel, stride: int = 1) -> Tensor:
        kernel, bias = (tf.cast(part, self.dtype) for part in weights)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "SAME"), bias)

    def _projected(self, x: Tensor, weights: Kernel) -> Tensor:
        return self.activation(self._convolved(x, weights))


def _scale_and_offset(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns the factor and the addend of a batch norm, [C] each."""
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - scale * mean
