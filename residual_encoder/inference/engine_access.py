"""What a colorizer has to do with its engine: what it computes in, and changes to another."""

from __future__ import annotations

import copy
from typing import Self

from residual_encoder.inference.engines import choice, settling
from residual_encoder.inference.engines.engine import Engine
from residual_encoder.inference.model_loading import Described, describe
from residual_encoder.recipes import Recipe


class EngineAccess:
    """The engine of a colorizer.

    Attributes:
      recipe: The recipe that the network was trained with, with the choice of colors in use.
      sha256: Of the weights file.
      source: Where the network was loaded from.
      size: Short side in pixels that the network sees.
      engine: What runs the network; see `engines`.
    """

    recipe: Recipe
    sha256: str
    source: str
    size: int
    engine: Engine
    _engine_is_free: bool  # whether engine and precision were left to the colorizer
    _is_settled: bool = False

    @property
    def precision(self) -> str:
        """Returns the arithmetic of the network: "float32", "bfloat16" or "int8"."""
        return self.engine.precision

    @property
    def has_distribution(self) -> bool:
        """Returns whether the vividness of its colors can be chosen, also for one call."""
        return self.engine.has_distribution

    def settle(self, pictures: int) -> str | None:
        """Changes to the engine that is fastest for so many pictures, if that is left to it.

        Args:
          pictures: How many are to be colored; a film counts as `settling.FRAMES`.

        Returns:
          A line that tells what was measured; None where so few are not worth it, or once it was.
        """
        if self._is_settled or not self._engine_is_free:
            return None
        try:
            described = self._described()
        except (OSError, ValueError):  # what was loaded from it works all the same
            return None
        self.engine, line = settling.settle(self.engine, described, self.size, pictures)
        self._is_settled = line is not None
        return line

    def in_engine(self, name: str, precision: str) -> Self:
        """Returns a colorizer in another engine, if that is left to it; else, or in that, itself.

        Args:
          name: "tensorflow", "onnx" or "litert".
          precision: "float32" or "bfloat16".

        Raises:
          ValueError: that engine cannot run the model here, or its file is another by now.
          OSError: its file cannot be read anymore.
        """
        if not self._engine_is_free or (name, precision) == (self.engine.name, self.precision):
            return self
        other = copy.copy(self)
        other.engine = choice.make_engine(name, self._described(), precision, self.size)
        return other

    def _described(self) -> Described:
        """Reads the model again; a ValueError where training has put another in its place."""
        found = describe(self.source)
        if found.sha256 != self.sha256:
            raise ValueError(f"{self.source} has changed since it was loaded; load it again.")
        return found._replace(recipe=self.recipe)
