"""Runs a LiteRT file of `tools/export.py`; no TensorFlow is loaded."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from residual_encoder.inference.engines.engine import ArrayEngine
from residual_encoder.models.recipe import Recipe
from residual_encoder.utils import litert_runtime

FREE = (-1, -1)  # height and width of a file that takes pictures of all shapes


class LitertEngine(ArrayEngine):
    """A network in LiteRT on the CPU, up to its chroma: which colors are chosen is in the file."""

    name = "litert"

    def __init__(self, path: str, recipe: Recipe) -> None:
        """Loads the network.

        Args:
          path: The LiteRT file.
          recipe: Of the network in it.

        Raises:
          ValueError: LiteRT is not installed, it cannot run the file, or the file takes one size.
        """
        super().__init__(recipe, has_distribution=False)
        self._interpreter = litert_runtime.interpreter(Path(path).read_bytes(), path)
        gray, chroma = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_free(path, tuple(gray[0]["shape_signature"][1:3]))
        self._input, self._output = gray[0]["index"], chroma[0]["index"]
        kinds = {tensor["dtype"] for tensor in self._interpreter.get_tensor_details()}
        self.precision = "int8" if np.int8 in kinds else "float32"
        self._shape: tuple[int, ...] | None = None  # that there is memory for
        self._lock = threading.Lock()  # an interpreter runs in one thread at a time

    def run(self, gray: np.ndarray) -> np.ndarray:
        """Runs the bare network, one picture after the other.

        Raises:
          MemoryError: the pictures are too large.
        """
        with self._lock:
            return np.concatenate([self._run_one(one[None]) for one in gray])

    def _run_one(self, gray: np.ndarray) -> np.ndarray:
        """Maps gray [1, h, w, 1] to chroma [1, h, w, 2]."""
        try:
            self._make_room(gray.shape)
            self._interpreter.set_tensor(self._input, gray)
            self._interpreter.invoke()
        except RuntimeError as error:  # LiteRT has no other, and sizes fit the network
            self._shape = None
            raise MemoryError(f"The network has no memory for {gray.shape}") from error
        return self._interpreter.get_tensor(self._output)

    def _make_room(self, shape: tuple[int, ...]) -> None:
        if shape != self._shape:
            self._interpreter.resize_tensor_input(self._input, shape)
            self._interpreter.allocate_tensors()
            self._shape = shape


def _check_free(path: str, size: tuple[int, ...]) -> None:
    """Refuses a file whose height and width were fixed: those of pictures differ."""
    if size != FREE:
        raise ValueError(
            f"{path} takes {'x'.join(map(str, size))} pixels only, and pictures have many shapes. "
            "Export it again with --size=any."
        )
