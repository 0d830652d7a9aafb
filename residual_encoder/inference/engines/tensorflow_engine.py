"""Runs a network by TensorFlow: all networks, SavedModels, GPUs and bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder.inference.model_loading import Loaded
from residual_encoder.models import any_size, factory
from residual_encoder.models.vividness import settings
from residual_encoder.utils import devices
from residual_encoder.utils.typing import Tensor

GRAYS = tf.TensorSpec([None, None, None, 1], tf.float32)  # one trace for all sizes


class TensorflowEngine:
    """A network as compiled graphs; see `engine.Engine`."""

    name = "tensorflow"

    def __init__(self, loaded: Loaded, precision: str, size: int) -> None:
        """Compiles the network when it is first used.

        Args:
          loaded: The network.
          precision: "float32", "bfloat16" or "auto"; only residual encoders and networks of classes
            have bfloat16.
          size: Short side in pixels that `chroma_of_any_size` sees.
        """
        config, recipe = loaded.recipe.network, loaded.recipe
        fast = factory.foldable(loaded.network, config)
        self.precision = devices.precision(precision) if fast else "float32"
        steps = factory.in_two_steps(loaded.network, config, self.precision)
        self.has_distribution = steps is not None
        if steps:
            self._set_steps(steps, recipe.margin)
        # The two steps are the whole network already: folding it again would double its memory.
        network = (
            steps.in_one(**settings(config))
            if steps
            else factory.for_inference(loaded.network, config, self.precision)
        )
        network = any_size.with_margin(network, recipe.margin)

        def chroma(gray: Tensor) -> Tensor:
            return any_size.chroma_at(network, gray, size, recipe.multiple)

        # Nothing here needs AutoGraph, which would take a second of the first picture's time.
        self._network = tf.function(network, [GRAYS], autograph=False)
        self._chroma = tf.function(chroma, [GRAYS], autograph=False)
        self._numbers = settings(config)

    def _set_steps(self, steps: factory.TwoSteps, margin: int) -> None:
        """Compiles the two steps of a network of classes, the margin around its input in both."""

        def logits(gray: Tensor) -> Tensor:
            return steps.logits(any_size.mirrored(gray, margin))

        def colors(logits: Tensor, temperature: Tensor, prior_correction: Tensor) -> Tensor:
            chroma = steps.colors(logits, temperature, prior_correction)
            return any_size.without_margin(chroma, margin)

        maps = tf.TensorSpec([None, None, None, None], tf.float32)
        number = tf.TensorSpec([], tf.float32)
        self._logits = tf.function(logits, [GRAYS], autograph=False)
        self._colors = tf.function(colors, [maps, number, number], autograph=False)

    def chroma(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [B, h, w, 1] to chroma [B, h, w, 2]."""
        if self.has_distribution:
            return self.colors(self.logits(gray), **self._numbers)
        return _computed(self._network, gray)

    def logits(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [B, h, w, 1] to logits [B, h', w', Q]."""
        return _computed(self._logits, gray)

    def colors(self, logits: np.ndarray, temperature: float, prior_correction: float) -> np.ndarray:
        """Takes chroma from logits."""
        return _computed(self._colors, logits.astype(np.float32), temperature, prior_correction)

    def chroma_of_any_size(self, gray: Any, size: int) -> Tensor:
        """Maps gray [B, H, W, 1] to chroma [B, H, W, 2], both tensors, in one graph."""
        return self._chroma(tf.cast(gray, tf.float32))


def _computed(function: Callable[..., Tensor], *numbers: np.ndarray | float) -> np.ndarray:
    """Calls a compiled function with arrays and floats.

    Raises:
      MemoryError: they are too large.
    """
    try:
        return function(*(tf.constant(x, tf.float32) for x in numbers)).numpy()
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(f"The network has no memory for {np.shape(numbers[0])}") from error
