"""The networks written down in the few operations that other frameworks have.

A residual encoder or a network of classes, its batch norms folded into convolutions, is described
once, in terms of `Operations`. What a tensor is there is up to the framework: `keras_model` makes
layers of Keras, `onnx_graph` nodes of ONNX. TensorFlow is not loaded.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from residual_encoder.imaging import ab_classes, logit_smoothing
from residual_encoder.imaging.color_constants import AB_SCALE
from residual_encoder.models.configs import (
    LOGITS,
    AbClassesConfig,
    NetworkConfig,
    ResidualEncoderConfig,
    name_of,
)
from residual_encoder.models.folded_weights import BASIS, Kernel, NetworkWeights
from residual_encoder.models.recipe import Recipe

INPUT, OUTPUT = "grayscale", "chroma"


class Operations(Protocol):
    """Makes the operations of one framework; all take and return its tensors."""

    def with_border(self, gray: Any, multiple: int, margin: int) -> Any:
        """Repeats the last row and column up to multiples, then mirrors a margin on all sides."""

    def without_border(self, chroma: Any, gray: Any, margin: int) -> Any:
        """Takes off what `with_border` added, so that height and width are those of `gray`."""

    def convolution(self, x: Any, kernel: Kernel, name: str, dilation: int = 1) -> Any:
        """Convolves with zeros around; same height and width."""

    def activation(self, x: Any, kind: str) -> Any:
        """Applies "relu", "elu", "leaky_relu", "sigmoid", or "softmax" over the channels."""

    def affine(self, x: Any, factor: np.ndarray | float, addend: np.ndarray | float) -> Any:
        """Computes x * factor + addend, both a number or one for each channel."""

    def combine(self, kind: str, x: Any, y: Any) -> Any:
        """Computes "add", "subtract", "multiply" or "divide" of tensors of one shape.

        Of "subtract", `y` may be a `picture_mean`.
        """

    def repeat_channel(self, x: Any, count: int) -> Any:
        """Repeats the only channel."""

    def with_ones(self, x: Any) -> Any:
        """Appends a channel of ones."""

    def with_channels(self, x: Any, y: Any) -> Any:
        """Appends the channels of `y`."""

    def max_pool(self, x: Any) -> Any:
        """Takes the largest of every 2 by 2 places."""

    def window_mean(self, x: Any, size: int, stride: int) -> Any:
        """Averages over windows; of stride 1 around every place, of which the inside counts."""

    def picture_mean(self, x: Any) -> Any:
        """Averages over height and width, which become 1."""

    def double(self, x: Any, upsampling: str) -> Any:
        """Enlarges by two, bilinearly, "legacy" or "half_pixel" as `layers.DECODER_UPSAMPLINGS`."""


def is_portable(config: NetworkConfig) -> bool:
    """Returns whether a network can be written down in `Operations`."""
    return isinstance(config, ResidualEncoderConfig | AbClassesConfig)


def check_portable(config: NetworkConfig, model_path: Any) -> None:
    """Checks that a network can be written down in `Operations`.

    Raises:
      ValueError: it is none of the two kinds.
    """
    if not is_portable(config):
        raise ValueError(
            f"{model_path} is a network {name_of(config)!r}; --format=keras and onnx take residual "
            "encoders and networks of classes. --format=savedmodel takes all."
        )


def write_network(ops: Operations, weights: NetworkWeights, recipe: Recipe, gray: Any) -> Any:
    """Writes a network down, with the mirrored border that its recipe has.

    Args:
      ops: Makes the operations.
      weights: Of the network.
      recipe: Its recipe, whose network `check_portable` lets pass.
      gray: The framework's tensor of gray in [0, 1]: one channel, any height and width.

    Returns:
      The framework's tensor of chroma in [0, 1]: two channels, the same height and width.
    """
    config: Any = recipe.network
    bordered = ops.with_border(gray, recipe.multiple, recipe.margin)
    chroma = _WRITERS[type(config)](ops, weights, config).chroma(bordered)
    return ops.without_border(chroma, gray, recipe.margin)


def write_core(ops: Operations, weights: NetworkWeights, recipe: Recipe, gray: Any) -> Any:
    """Writes down the costly part of a network: without borders, and without a choice of colors.

    Args:
      ops: As of `write_network`.
      weights: As of `write_network`.
      recipe: As of `write_network`.
      gray: As of `write_network`; height and width are multiples of the recipe's.

    Returns:
      Chroma of the size of `gray`; of a network of classes the logits that colors are chosen from,
      at a quarter of its size.
    """
    config: Any = recipe.network
    writer = _WRITERS[type(config)](ops, weights, config)
    return writer.logits(gray) if isinstance(writer, _AbClassifier) else writer.chroma(gray)


class _Decoder:
    """Parts of both kinds of networks."""

    def __init__(
        self, ops: Operations, weights: NetworkWeights, taps: int, of: ResidualEncoderConfig
    ) -> None:
        self.ops, self.encoder, self.taps = ops, of, taps
        self.trunk, self.layers = weights

    def tapped(self, gray: Any) -> tuple[Any, list[Any]]:
        """Returns gray - 0.5, and the activations before the pools, shallow to deep."""
        ops, taps = self.ops, []
        centered = ops.affine(gray, 1.0, -0.5)
        x = ops.with_ones(centered)
        for block in range(1, self.taps + 1):
            x = ops.max_pool(x) if block > 1 else x
            for name, kernels in self.trunk.kernels(block):
                for kernel in kernels:  # a split one has two, and ReLU behind the second
                    suffix = BASIS if kernel.bias is None else ""
                    x = ops.convolution(x, kernel, name + suffix)
                x = ops.activation(x, "relu")
            taps.append(x)
        return centered, taps

    def projected(self, x: Any, name: str, kernel: Kernel | None = None, dilation: int = 1) -> Any:
        """Convolves by a name's kernel, or another, and activates."""
        kernel = kernel or self.layers.kernel(name)
        x = self.ops.convolution(x, kernel, name, dilation)
        return self.ops.activation(x, self.encoder.activation)

    def deepest(self, tap: Any) -> Any:
        """Computes the first level from the deepest tap."""
        name = f"color{self.taps}"
        return self.projected(tap, name, self.layers.kernel_of_tap(name, self.taps))

    def merged(self, x: Any, tap: Any, level: int) -> Any:
        """Upsamples by two, adds a normalized tap, convolves and activates."""
        normed = self.ops.affine(tap, *self.layers.norms[f"pool{level}_bn"])
        x = self.ops.combine("add", self.ops.double(x, self.encoder.upsampling), normed)
        return self.projected(x, f"color{level}")


class _ResidualEncoder(_Decoder):
    """A residual encoder; see `models.residual_encoder`."""

    def __init__(
        self, ops: Operations, weights: NetworkWeights, config: ResidualEncoderConfig
    ) -> None:
        super().__init__(ops, weights, config.taps, config)

    def chroma(self, gray: Any) -> Any:
        ops = self.ops
        centered, (*shallow, deepest) = self.tapped(gray)
        x = self.deepest(deepest)
        for level, tap in reversed(list(enumerate(shallow, start=1))):
            x = self.merged(x, tap, level)
        if self.encoder.gray_tap == "add":
            x = ops.combine("add", x, centered)
        else:
            x = ops.with_channels(x, centered)
        x = self.projected(x, "color0")
        return ops.activation(ops.convolution(x, self.layers.kernel("uv"), "uv"), "sigmoid")


class _AbClassifier(_Decoder):
    """A network of classes, down to the color that is taken; see `models.ab_classifier`."""

    def __init__(self, ops: Operations, weights: NetworkWeights, config: AbClassesConfig) -> None:
        super().__init__(ops, weights, config.taps, ResidualEncoderConfig())
        self.config = config

    def chroma(self, gray: Any) -> Any:
        chroma = self._annealed_mean(self.logits(gray))
        return self.ops.double(self.ops.double(chroma, "half_pixel"), "half_pixel")

    def logits(self, gray: Any) -> Any:
        _, (_, _, third, *deep) = self.tapped(gray)
        x = self.deepest(deep[-1])
        if self.taps == 5:
            x = self.merged(x, deep[0], 4)
        x = self._bottlenecks(x, self.config.context, "color4")
        x = self.merged(x, third, 3)
        x = self._bottlenecks(x, self.config.refinements, "color3")
        logits = self.ops.convolution(x, Kernel(*self.layers.weights[LOGITS]), LOGITS)
        return self._smoothed(logits, gray) if self.config.smoothing else logits

    def _bottlenecks(self, x: Any, dilations: tuple[int, ...], name: str) -> Any:
        ops = self.ops
        for index, dilation in enumerate(dilations, start=1):
            prefix = f"{name}_context{index}"
            y = self.projected(x, f"{prefix}_in")
            y = self.projected(y, f"{prefix}_mid", dilation=dilation)
            y = ops.convolution(y, self.layers.kernel(f"{prefix}_out"), f"{prefix}_out")
            x = ops.activation(ops.combine("add", x, y), "relu")
        return x

    def _smoothed(self, logits: Any, gray: Any) -> Any:
        """Smooths logits along the edges of gray, as `logit_smoothing.smoothed`."""
        combine = self.ops.combine

        def mean(x: Any) -> Any:
            return self.ops.window_mean(x, 2 * self.config.smoothing + 1, 1)

        def wide(x: Any) -> Any:
            return self.ops.repeat_channel(x, len(ab_classes.classes().ab))

        small = self.ops.window_mean(gray, logit_smoothing.STRIDE, logit_smoothing.STRIDE)
        small = combine("subtract", small, self.ops.picture_mean(small))
        square = combine("multiply", mean(small), mean(small))
        variance = combine("subtract", mean(combine("multiply", small, small)), square)
        positive = self.ops.activation(variance, "relu")
        spread = wide(self.ops.affine(positive, 1.0, logit_smoothing.EPSILON))
        gray_mean, logits_mean, small = wide(mean(small)), mean(logits), wide(small)
        product = combine("multiply", logits_mean, gray_mean)
        covariance = combine("subtract", mean(combine("multiply", logits, small)), product)
        slope = combine("divide", covariance, spread)
        offset = combine("subtract", logits_mean, combine("multiply", slope, gray_mean))
        return combine("add", combine("multiply", mean(slope), small), mean(offset))

    def _annealed_mean(self, logits: Any) -> Any:
        """Takes a color from the distribution, as `ab_quantization.annealed_mean`, as chroma."""
        classes, config = ab_classes.classes(), self.config
        off = -config.prior_correction * np.log(classes.prior) / config.temperature
        shares = self.ops.affine(logits, 1 / config.temperature, off.astype(np.float32))
        colors = (classes.ab / AB_SCALE)[None, None].astype(np.float32)  # [1, 1, Q, 2]
        kernel = Kernel(colors, np.full(2, 0.5, np.float32))
        return self.ops.convolution(self.ops.activation(shares, "softmax"), kernel, "colors")


_WRITERS: dict[type, Any] = {
    ResidualEncoderConfig: _ResidualEncoder,
    AbClassesConfig: _AbClassifier,
}
