"""The form for inference of the network of classes: the same outputs, by fewer operations."""

from __future__ import annotations

import keras
import tensorflow as tf

from residual_encoder.imaging import logit_smoothing
from residual_encoder.models.ab_classifier import colors_of
from residual_encoder.models.configs import LOGITS, AbClassesConfig, ResidualEncoderConfig
from residual_encoder.models.folded_weights import Kernel
from residual_encoder.models.folding import FoldedLayers, FoldedTrunk, convolved
from residual_encoder.utils.typing import Tensor


class FoldedAbClassifier:
    """A network of classes as a function, with its batch norms folded.

    Calling it maps gray [B, H, W, 1] float32 in [0, 1] to chroma of Lab [B, H, W, 2] float32 in
    (0, 1), as the model it was made from; H and W are multiples of `config.multiple`. Call it in a
    `tf.function`: it is fast as a graph, and adds its weights to that as constants.
    """

    def __init__(
        self, model: keras.Model, config: AbClassesConfig, precision: str = "float32"
    ) -> None:
        """Copies the weights of a model; later changes to the model have no effect.

        Args:
          model: A network that `models.build` made from `config`, in any precision.
          config: Its config.
          precision: "float32" or "bfloat16", of everything but input, logits and output.
        """
        self.config, self.dtype = config, tf.as_dtype(precision)
        self.trunk = FoldedTrunk(model.get_layer("vgg16"), config.taps, self.dtype)
        self.layers = FoldedLayers(model, ResidualEncoderConfig(), precision)

    def __call__(self, gray: Tensor) -> Tensor:
        """Maps gray [B, H, W, 1] to chroma [B, H, W, 2]."""
        logits = self.logits(gray)
        return colors_of(logits, self.config.temperature, self.config.prior_correction)

    def logits(self, gray: Tensor) -> Tensor:
        """Maps gray [B, H, W, 1] to the logits [B, H/4, W/4, Q] float32 that colors come from."""
        gray = tf.convert_to_tensor(gray)
        logits = self._raw_logits(gray)
        if not self.config.smoothing:
            return logits
        return logit_smoothing.smoothed(logits, gray, self.config.smoothing)

    def _raw_logits(self, gray: Tensor) -> Tensor:
        """Computes the logits before smoothing."""
        _, _, third, *deep = self.trunk(gray - 0.5)
        x = self._deepest(deep)  # [B, H/8, W/8, 256]
        x = self._bottlenecks(x, self.config.context, "color4")  # [B, H/8, W/8, 256]
        x = self.layers.merged(x, third, 3)  # [B, H/4, W/4, width]
        x = self._bottlenecks(x, self.config.refinements, "color3")  # [B, H/4, W/4, width]
        # float32 whatever the precision: the temperature magnifies what bfloat16 rounds.
        return convolved(tf.cast(x, tf.float32), Kernel(*self.layers.weights[LOGITS]))

    def _deepest(self, deep: list[Tensor]) -> Tensor:
        """Computes color4 from the fourth tap, and the fifth if there is one."""
        layers, level = self.layers, self.config.taps
        x = layers.projected(deep[-1], layers.kernel_of_tap(f"color{level}", level))
        return x if level == 4 else layers.merged_pointwise(x, deep[0], 4)

    def _bottlenecks(self, x: Tensor, dilations: tuple[int, ...], name: str) -> Tensor:
        """Applies the residual bottlenecks of a level; same shape."""
        layers = self.layers
        for index, dilation in enumerate(dilations, start=1):
            prefix = f"{name}_context{index}"
            y = layers.projected(x, layers.kernel(f"{prefix}_in"))
            y = layers.projected(y, layers.kernel(f"{prefix}_mid"), dilation)
            x = tf.nn.relu(convolved(y, layers.kernel(f"{prefix}_out")) + x)
        return x
