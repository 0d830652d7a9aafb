"""What all engines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

from residual_encoder.imaging import ab_classes, resizing
from residual_encoder.imaging.color_constants import AB_SCALE
from residual_encoder.models.configs import AbClassesConfig
from residual_encoder.models.network_size import network_size
from residual_encoder.models.recipe import Recipe


class Engine(Protocol):
    """Runs one network, with the mirrored margin that its recipe has around it.

    Height and width of what it takes are multiples of the recipe's, but of `chroma_of_any_size`.

    Attributes:
      name: "tensorflow", "onnx" or "litert".
      precision: Arithmetic of the network: "float32", "bfloat16" or "int8".
      has_distribution: Whether it has `logits` and `colors`.
    """

    name: str
    precision: str
    has_distribution: bool

    def chroma(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [B, h, w, 1] float32 in [0, 1] to chroma [B, h, w, 2] float32 in [0, 1]."""

    def logits(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray to logits [B, h', w', Q] float32, at a quarter of its size with the margin."""

    def colors(self, logits: np.ndarray, temperature: float, prior_correction: float) -> np.ndarray:
        """Takes chroma [B, h, w, 2] float32 in [0, 1] from logits."""

    def chroma_of_any_size(self, gray: Any, size: int) -> Any:
        """Maps gray of any height and width to chroma, seen with a short side of `size` pixels."""


class ArrayEngine(ABC):
    """The part of an engine that works on arrays around a network without its margin.

    Attributes:
      recipe: Of the network.
      has_distribution: Whether the network ends in logits; else in chroma.
    """

    def __init__(self, recipe: Recipe, has_distribution: bool) -> None:
        """Takes the two attributes."""
        self.recipe, self.has_distribution = recipe, has_distribution

    @abstractmethod
    def run(self, gray: np.ndarray) -> np.ndarray:
        """Runs the bare network: gray [B, h, w, 1] -> chroma, or logits, [B, h', w', C]."""

    def chroma(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [B, h, w, 1] to chroma [B, h, w, 2]."""
        if isinstance(config := self.recipe.network, AbClassesConfig) and self.has_distribution:
            return self.colors(self.logits(gray), config.temperature, config.prior_correction)
        return self._inside(self.run(self._mirrored(gray)))

    def logits(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [B, h, w, 1] to logits [B, h', w', Q]."""
        return self.run(self._mirrored(gray))

    def colors(self, logits: np.ndarray, temperature: float, prior_correction: float) -> np.ndarray:
        """Takes chroma from logits: the annealed mean, enlarged twice by two."""
        ab = ab_classes.annealed_mean(logits.astype(np.float32), temperature, prior_correction)
        chroma = ab / np.float32(AB_SCALE) + np.float32(0.5)
        return self._inside(resizing.doubled(resizing.doubled(chroma)))

    def chroma_of_any_size(self, gray: Any, size: int) -> np.ndarray:
        """Resizes gray [B, H, W, 1] to the network, and chroma back.

        Raises:
          ValueError: it is a tensor of a graph that TensorFlow traces.
        """
        if hasattr(gray, "graph"):
            raise ValueError(
                "A tensor of a graph needs TensorFlow in it: Colorizer(..., engine='tensorflow')."
            )
        gray = np.asarray(gray, np.float32)
        height, width = gray.shape[1:3]
        seen = network_size(height, width, size, self.recipe.multiple)
        chroma = self.chroma(np.stack([resizing.resized(one, *seen) for one in gray]))
        return np.stack([resizing.resized(one, height, width) for one in chroma])

    def _mirrored(self, gray: np.ndarray) -> np.ndarray:
        sides = (self.recipe.margin,) * 2
        return np.pad(gray, ((0, 0), sides, sides, (0, 0)), "symmetric")

    def _inside(self, chroma: np.ndarray) -> np.ndarray:
        margin = self.recipe.margin
        return chroma[:, margin:-margin, margin:-margin] if margin else chroma
