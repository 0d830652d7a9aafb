"""Chooses the engine that runs a model's network."""

from __future__ import annotations

import shlex

from residual_encoder.inference.engines.engine import Engine
from residual_encoder.inference.model_loading import LITERT, WEIGHTS, Described, load_described
from residual_encoder.models import folded_weights
from residual_encoder.models import weights as weights_files
from residual_encoder.models.configs import name_of
from residual_encoder.models.portable_network import is_portable
from residual_encoder.models.variable_shapes import variable_shapes
from residual_encoder.utils import devices

ENGINES = ("auto", "tensorflow", "onnx", "litert")


def make_engine(asked: str, model: Described, precision: str, size: int) -> Engine:
    """Makes an engine for a model.

    Args:
      asked: One of `ENGINES`; "auto" is litert for a LiteRT file, and otherwise onnx where it can
        run the model in the precision that is asked for: it starts at once. See
        `settling.settle` for more than one picture.
      model: What to run.
      precision: "float32", "bfloat16" or "auto".
      size: Short side in pixels that the network sees of pictures of any size.

    Raises:
      ValueError: the engine is unknown or cannot run the model; or the weights do not fit it.
    """
    if asked not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}. Received {asked!r}.")
    name = _chosen(model, precision) if asked == "auto" else asked
    if lacking := _LACKING[name](model, precision):
        raise ValueError(f"The engine {name} {lacking}")
    if name == "tensorflow":
        return tensorflow_engine(model, precision, size)
    return _litert_engine(model, precision) if name == "litert" else _onnx_engine(model)


def _chosen(model: Described, precision: str) -> str:
    """Returns the engine that auto is."""
    if model.kind == LITERT:
        return "litert"
    return "tensorflow" if _lacking_for_onnx(model, precision) else "onnx"


# --- why an engine cannot run a model here, and what to do; or None -------------------------------


def _lacking_for_tensorflow(model: Described, _: str) -> str | None:
    if model.kind == LITERT:
        return f"runs no {LITERT} such as {model.source}. {_instead('litert')}"
    return None


def _lacking_for_onnx(model: Described, precision: str) -> str | None:
    if model.kind != WEIGHTS:
        other = "litert" if model.kind == LITERT else "tensorflow"
        return f"runs weights files, and {model.source} is a {model.kind}. {_instead(other)}"
    if not is_portable(model.recipe.network):
        kinds = "residual encoders and networks of classes"
        kind = name_of(model.recipe.network)
        return f"runs {kinds}, and {model.source} is a {kind}. {_instead('tensorflow')}"
    if precision == "bfloat16":
        return f"computes in float32, and bfloat16 was asked for. {_instead('tensorflow')}"
    return None


def _lacking_for_litert(model: Described, precision: str) -> str | None:
    if model.kind != LITERT:
        advice = _export(model) if model.kind == WEIGHTS else _instead("tensorflow")
        return f"runs LiteRT files, and {model.source} is a {model.kind}. {advice}"
    if precision == "bfloat16":
        return (
            "computes in float32 or int8, and bfloat16 was asked for. Pass the weights file that "
            f"{model.source} was made from."
        )
    return None


def _instead(engine: str) -> str:
    return f"Take the engine {engine}, or auto."


def _export(model: Described) -> str:
    """Tells how a LiteRT file is made of weights: TensorFlow takes about 20 s for it."""
    command = f"tools/export.py --format=litert --model={shlex.quote(model.source)}"
    return f"Make one once, by {command} --output=colorizer.tflite, and pass it as the model."


_LACKING = {
    "tensorflow": _lacking_for_tensorflow,
    "onnx": _lacking_for_onnx,
    "litert": _lacking_for_litert,
}


# --- makers ---------------------------------------------------------------------------------------


def _onnx_engine(model: Described) -> Engine:
    from residual_encoder.inference.engines.onnx_engine import OnnxEngine

    arrays, shapes = model.arrays or {}, variable_shapes(model.recipe.network) or {}
    weights_files.check_fits(arrays, shapes, model.source)
    return OnnxEngine(folded_weights.of_arrays(arrays), model.recipe)


def _litert_engine(model: Described, precision: str) -> Engine:
    """Makes the engine of a LiteRT file; a ValueError where float32 is wanted of an int8 one."""
    from residual_encoder.inference.engines.litert_engine import LitertEngine

    engine = LitertEngine(model.source, model.recipe)
    if precision == "float32" and engine.precision != precision:
        raise ValueError(
            f"{model.source} computes in {engine.precision}, and float32 was asked for."
        )
    return engine


def tensorflow_engine(model: Described, precision: str, size: int) -> Engine:
    """Makes the engine of all but LiteRT files; loads TensorFlow, without its notes on stderr."""
    devices.load_tensorflow()
    from residual_encoder.inference.engines.tensorflow_engine import TensorflowEngine

    return TensorflowEngine(load_described(model), precision, size)
