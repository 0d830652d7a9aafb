"""Runs a network by onnxruntime, from a graph that is made in memory; no TensorFlow is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np

from residual_encoder.inference.engines.engine import ArrayEngine
from residual_encoder.models.configs import AbClassesConfig
from residual_encoder.models.folded_weights import NetworkWeights
from residual_encoder.models.onnx_graph import OnnxOperations, model_of
from residual_encoder.models.portable_network import INPUT, write_core
from residual_encoder.models.recipe import Recipe
from residual_encoder.utils import onnx_runtime

ANSWER = "answer"
HELD = 1024  # numbers from which on a constant is kept beside the graph


class OnnxEngine(ArrayEngine):
    """A residual encoder or a network of classes, up to its logits, in onnxruntime on the CPU."""

    name, precision = "onnx", "float32"

    def __init__(self, weights: NetworkWeights, recipe: Recipe) -> None:
        """Writes the network down and loads it.

        Args:
          weights: Of the network; not needed afterwards.
          recipe: Its recipe, with a network that is portable.
        """
        super().__init__(recipe, isinstance(recipe.network, AbClassesConfig))
        self._session = _session(weights, recipe)

    def run(self, gray: np.ndarray) -> np.ndarray:
        """Runs the bare network, channels first there.

        Raises:
          MemoryError: the picture is too large.
        """
        try:
            (answer,) = self._session.run([ANSWER], {INPUT: gray.transpose(0, 3, 1, 2)})
        except Exception as error:  # onnxruntime's own have no common class but this
            if "alloc" not in str(error):
                raise
            raise MemoryError(f"The network has no memory for {gray.shape}") from error
        return answer.transpose(0, 2, 3, 1)


class _HeldOperations(OnnxOperations):
    """Keeps large constants beside the graph, which saves three copies of the network.

    Attributes:
      held: The constants by their names; onnxruntime copies them.
    """

    def __init__(self) -> None:
        super().__init__(size=None)
        self.held: dict[str, np.ndarray] = {}

    def constant(self, values: Any, name: str = "constant") -> str:
        """Names numbers in the graph, and keeps them out of it where there are many."""
        from onnx import TensorProto

        array = np.asarray(values)
        if array.size < HELD or array.dtype.kind == "i":
            return super().constant(values, name)
        name = f"{name}_{len(self.constants)}"
        self.held[name] = np.ascontiguousarray(array, np.float32)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="memory")
        self.constants.append(tensor)
        return name


def _session(weights: NetworkWeights, recipe: Recipe) -> Any:
    runtime = onnx_runtime.load()
    ops = _HeldOperations()
    write_core(ops, weights, recipe, INPUT)
    graph = model_of(ops, INPUT, ANSWER, channels=None).SerializeToString()
    options = runtime.SessionOptions()
    # Threads that wait for work in a loop burn the time of other programs, and of the merging.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in ops.held.values()]
    options.add_external_initializers(list(ops.held), values)
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
