"""Chooses the engine that runs a model's network."""

from __future__ import annotations

from residual_encoder.inference.engines.engine import Engine
from residual_encoder.inference.model_loading import Described, load_described
from residual_encoder.models import folded_weights
from residual_encoder.models import weights as weights_files
from residual_encoder.models.configs import name_of
from residual_encoder.models.portable_network import is_portable
from residual_encoder.models.variable_shapes import variable_shapes
from residual_encoder.utils import devices

ENGINES = ("auto", "tensorflow", "onnx")


def make_engine(asked: str, model: Described, precision: str, size: int) -> Engine:
    """Makes an engine for a model.

    Args:
      asked: One of `ENGINES`; "auto" is onnx where it can run the model in the precision that is
        asked for: it starts at once. See `warm.settle` for more than one picture.
      model: What to run.
      precision: "float32", "bfloat16" or "auto".
      size: Short side in pixels that the network sees of pictures of any size.

    Raises:
      ValueError: the engine is unknown or cannot run the model; or the weights do not fit it.
    """
    if asked not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}. Received {asked!r}.")
    lacking = _lacking_for_onnx(model, precision)
    if asked == "onnx" and lacking:
        raise ValueError(f"The engine onnx {lacking}. Take the engine tensorflow, or auto.")
    if asked == "tensorflow" or lacking:
        return tensorflow_engine(model, precision, size)
    return _onnx_engine(model)


def _lacking_for_onnx(model: Described, precision: str) -> str | None:
    """Returns why onnxruntime cannot run a model here, or None."""
    if model.arrays is None:
        return f"runs weights files, and {model.source} is a SavedModel"
    if not is_portable(model.recipe.network):
        kind = name_of(model.recipe.network)
        return f"runs residual encoders and networks of classes, and {model.source} is a {kind}"
    if precision == "bfloat16":
        return "computes in float32, and bfloat16 was asked for"
    return None


def _onnx_engine(model: Described) -> Engine:
    from residual_encoder.inference.engines.onnx_engine import OnnxEngine

    arrays, shapes = model.arrays or {}, variable_shapes(model.recipe.network) or {}
    weights_files.check_fits(arrays, shapes, model.source)
    return OnnxEngine(folded_weights.of_arrays(arrays), model.recipe)


def tensorflow_engine(model: Described, precision: str, size: int) -> Engine:
    """Makes the engine that runs every model; loads TensorFlow, without its notes on stderr."""
    devices.load_tensorflow()
    from residual_encoder.inference.engines.tensorflow_engine import TensorflowEngine

    return TensorflowEngine(load_described(model), precision, size)
