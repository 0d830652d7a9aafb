"""Parts of the networks' forms for inference: a trunk and layers without batch norms.

Every batch norm is folded into the convolution before or behind it, and weights are constants of
the graph. There remain convolutions with a bias and an activation, which oneDNN runs as one
operation on weights that it packs once. Channels last, any height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models import vgg16
from residual_encoder.models.configs import ResidualEncoderConfig
from residual_encoder.models.layers import DECODER_UPSAMPLINGS
from residual_encoder.models.residual_encoder import ACTIVATIONS
from residual_encoder.utils.typing import Tensor

# Adding upsampled / scale to the tap itself, and scaling kernels instead, saves a pass over the
# tap. A smaller scale, which may be zero, is replaced by this one: a tap would have to be in the
# billions to show. Scales of fine-tuned trunks go down to 1e-6. A choice of this project.
LEAST_SCALE = 1e-12


class Kernel(NamedTuple):
    """A convolution, with bias or None for none."""

    kernel: Tensor  # [h, w, C, K] float32
    bias: np.ndarray | None  # [K] float32


class Norm(NamedTuple):
    """A batch norm as it is after training."""

    scale: np.ndarray  # [C] float32
    offset: np.ndarray  # [C] float32


def convolved(x: Tensor, weights: Kernel, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolves [B, H, W, C], SAME, in the dtype of `x`."""
    kernel = tf.cast(weights.kernel, x.dtype)
    x = tf.nn.conv2d(x, kernel, stride, "SAME", dilations=dilation)
    return x if weights.bias is None else tf.nn.bias_add(x, tf.cast(weights.bias, x.dtype))


class FoldedTrunk:
    """VGG16 as a function of gray, with its batch norms folded."""

    def __init__(self, trunk: keras.Model, taps: int, dtype: tf.DType) -> None:
        """Copies the weights.

        Args:
          trunk: A network that `vgg16.build_trunk` made.
          taps: Number of blocks to run.
          dtype: tf.float32 or tf.bfloat16, of activations.
        """
        self.weights, self.taps, self.dtype = vgg16.folded_weights(trunk), taps, dtype

    def __call__(self, centered: Tensor) -> list[Tensor]:
        """Computes the activations before the pools.

        Args:
          centered: Gray - 0.5, [B, H, W, 1] float32 in [-0.5, 0.5].

        Returns:
          [B, H, W, 64] to the deepest.
        """
        # VGG16 pads the mean color, which is not gray: a channel of ones marks the inside.
        x = tf.concat([centered, tf.ones_like(centered)], -1)  # [B, H, W, 2]
        x = tf.cast(x, self.dtype)
        taps = []
        for block in range(1, self.taps + 1):
            x = tf.nn.max_pool2d(x, 2, 2, "VALID") if block > 1 else x
            for _, kernels in self.kernels(block):
                for kernel in kernels:
                    x = convolved(x, kernel)
                x = tf.nn.relu(x)
            taps.append(x)
        return taps

    def kernels(self, block: int) -> list[tuple[str, list[Kernel]]]:
        """Returns the convolutions of a block, 1 to 5, in order: name and kernels.

        A split one has two kernels, the first without bias. ReLU comes behind the last.
        """
        names = (name.removesuffix("/bias") for name in self.weights if name.endswith("/bias"))
        return [
            (name, self._kernels(name))
            for name in sorted(names)
            if name.startswith(f"block{block}_")
        ]

    def _kernels(self, name: str) -> list[Kernel]:
        basis = self.weights.get(f"{name}{vgg16.BASIS}/kernel")
        first = [] if basis is None else [Kernel(basis, None)]
        return [*first, self._kernel(name)]

    def _kernel(self, name: str) -> Kernel:
        kernel, bias = self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"]
        if name != "block1_conv1":
            return Kernel(kernel, bias)
        # BGR = 255 (centered + 0.5) - mean, of two channels: centered and ones.
        ones = np.einsum("hwck,c->hwk", kernel, 127.5 - np.array(vgg16.BGR_MEAN))
        return Kernel(np.stack([255 * kernel.sum(2), ones], axis=2), bias)


class FoldedLayers:
    """The convolutions behind a trunk by their names, with their batch norms folded.

    Attributes:
      weights: {name: [kernel] or [kernel, bias]} of the convolutions as trained.
      norms: {name: `Norm`}.
      activation: The decoder's.
      upsampling: The decoder's x2 upsampling.
    """

    def __init__(self, model: keras.Model, config: ResidualEncoderConfig, precision: str) -> None:
        """Copies the weights of a model; the config's activation and upsampling are taken."""
        self.weights: dict[str, list[np.ndarray]] = {}
        self.norms: dict[str, Norm] = {}
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                self.weights[layer.name] = layer.get_weights()
            if isinstance(layer, keras.layers.BatchNormalization):
                self.norms[layer.name] = _norm(layer)
        self.activation: Callable[[Tensor], Tensor] = ACTIVATIONS[config.activation](
            dtype=precision
        )
        self.upsampling: Any = DECODER_UPSAMPLINGS[config.upsampling](dtype=precision)

    def kernel(self, name: str) -> Kernel:
        """Returns a convolution with the norm behind it folded in."""
        scale, offset = self.norms[f"{name}_bn"]
        return Kernel(self.weights[name][0] * scale, offset)

    def kernel_of_tap(self, name: str, tap: int) -> Kernel:
        """Returns the same of a 1x1 convolution with the norm of the tap before it, too."""
        scale, offset = self.norms[f"pool{tap}_bn"]
        kernel, bias = self.kernel(name)
        return Kernel(kernel * scale[:, None], bias + offset @ kernel[0, 0])

    def projected(self, x: Tensor, weights: Kernel, dilation: int = 1) -> Tensor:
        """Convolves and activates."""
        return self.activation(convolved(x, weights, dilation=dilation))

    def merged(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Upsamples by two, adds a normalized tap, convolves by "color{level}" and activates."""
        scale, offset = self.norms[f"pool{level}_bn"]
        scale = np.where(np.abs(scale) < LEAST_SCALE, LEAST_SCALE, scale)
        kernel, bias = self.kernel(f"color{level}")
        x = x * tf.constant(1 / scale, x.dtype) + tf.constant(offset / scale, x.dtype)
        x = self.upsampling.resized(x) + tap
        return self.projected(x, Kernel(kernel * scale[:, None], bias))

    def merged_pointwise(self, x: Tensor, tap: Tensor, level: int) -> Tensor:
        """Does the same where the convolution is 1x1, which may as well run before upsampling."""
        x = convolved(x, Kernel(self.kernel(f"color{level}").kernel, None))
        x = convolved(tap, self.kernel_of_tap(f"color{level}", level)) + self.upsampling.resized(x)
        return self.activation(x)


def _norm(layer: keras.layers.BatchNormalization) -> Norm:
    """Returns the factor and the addend of a batch norm, [C] each."""
    gamma, beta, mean, variance = layer.get_weights()
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return Norm(scale, beta - scale * mean)
