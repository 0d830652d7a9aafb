"""Parts of the networks' forms for inference: a trunk and layers without batch norms.

Every batch norm is folded into the convolution before or behind it, and weights are constants of
the graph. There remain convolutions with a bias and an activation, which oneDNN runs as one
operation on weights that it packs once. Channels last, any height and width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models import vgg16
from residual_encoder.models.configs import ResidualEncoderConfig
from residual_encoder.models.folded_weights import (
    Kernel,
    LayerWeights,
    NetworkWeights,
    Norm,
    TrunkWeights,
)
from residual_encoder.models.layers import DECODER_UPSAMPLINGS
from residual_encoder.models.residual_encoder import ACTIVATIONS
from residual_encoder.utils.typing import Tensor

# Adding upsampled / scale to the tap itself, and scaling kernels instead, saves a pass over the
# tap. A smaller scale, which may be zero, is replaced by this one: a tap would have to be in the
# billions to show. Scales of fine-tuned trunks go down to 1e-6. A choice of this project.
LEAST_SCALE = 1e-12


def convolved(x: Tensor, weights: Kernel, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolves [B, H, W, C], SAME, in the dtype of `x`."""
    kernel = tf.cast(weights.kernel, x.dtype)
    x = tf.nn.conv2d(x, kernel, stride, "SAME", dilations=dilation)
    return x if weights.bias is None else tf.nn.bias_add(x, tf.cast(weights.bias, x.dtype))


class FoldedTrunk(TrunkWeights):
    """VGG16 as a function of gray, with its batch norms folded."""

    def __init__(self, trunk: keras.Model, taps: int, dtype: tf.DType) -> None:
        """Copies the weights.

        Args:
          trunk: A network that `vgg16.build_trunk` made.
          taps: Number of blocks to run.
          dtype: tf.float32 or tf.bfloat16, of activations.
        """
        super().__init__(vgg16.folded_weights(trunk))
        self.taps, self.dtype = taps, dtype

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


class FoldedLayers(LayerWeights):
    """The convolutions behind a trunk as functions, with their batch norms folded.

    Attributes:
      activation: The decoder's.
      upsampling: The decoder's x2 upsampling.
    """

    def __init__(self, model: keras.Model, config: ResidualEncoderConfig, precision: str) -> None:
        """Copies the weights of a model; the config's activation and upsampling are taken."""
        layers = layer_weights(model)
        super().__init__(layers.weights, layers.norms)
        self.activation: Callable[[Tensor], Tensor] = ACTIVATIONS[config.activation](
            dtype=precision
        )
        self.upsampling: Any = DECODER_UPSAMPLINGS[config.upsampling](dtype=precision)

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
        """Does the same where the convolution is 1x1: it runs before upsampling, which commutes."""
        x = convolved(x, Kernel(self.kernel(f"color{level}").kernel, None))
        x = convolved(tap, self.kernel_of_tap(f"color{level}", level)) + self.upsampling.resized(x)
        return self.activation(x)


def layer_weights(model: keras.Model) -> LayerWeights:
    """Returns the weights of a model's convolutions and batch norms, those of the trunk aside."""
    weights: dict[str, list[np.ndarray]] = {}
    norms: dict[str, Norm] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            weights[layer.name] = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            norms[layer.name] = Norm.of(layer.get_weights(), layer.epsilon)
    return LayerWeights(weights, norms)


def network_weights(model: keras.Model) -> NetworkWeights:
    """Returns all weights of a residual encoder or a network of classes."""
    trunk = TrunkWeights(vgg16.folded_weights(model.get_layer("vgg16")))
    return NetworkWeights(trunk, layer_weights(model))
