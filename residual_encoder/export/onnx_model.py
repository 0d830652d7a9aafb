"""A trained network as an ONNX file, for onnxruntime, OpenCV and others; see `onnx_graph`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.export.model_file import (
    PARITY_SHAPES,
    SavedFile,
    card_of,
    check_size,
    save_checked,
)
from residual_encoder.inference.model_loading import Loaded
from residual_encoder.models import folding
from residual_encoder.models.onnx_graph import OnnxOperations, Size, model_of
from residual_encoder.models.portable_network import (
    INPUT,
    OUTPUT,
    check_portable,
    write_network,
)
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.utils import onnx_runtime

SUFFIX = ".onnx"


def onnx_file(loaded: Loaded, size: Size = None) -> bytes:
    """Writes the network down as an ONNX model, and checks its form.

    Args:
      loaded: The network.
      size: Height and width that the file takes, fixed; None leaves them free.

    Returns:
      The file's bytes: `grayscale` [N, 1, H, W] -> `chroma` [N, 2, H, W].
    """
    import onnx

    ops = OnnxOperations(size)
    # The border comes off last.
    write_network(ops, folding.network_weights(loaded.network), loaded.recipe, INPUT)
    model = model_of(ops, INPUT, OUTPUT, channels=2)
    onnx.helper.set_model_props(model, _properties(loaded))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _properties(loaded: Loaded) -> dict[str, str]:
    """Returns the metadata of the file: what a program needs to color with it, and the recipe."""
    recipe = loaded.recipe
    return {
        "gray": recipe.gray,
        "color_space": recipe.color_space,
        "short_side": str(recipe.inference_size),
        "card": json.dumps(card_of(loaded)),
    }


def export_onnx(
    model_path: str, output: str | Path, size: Size = None, colors: ColorChoice = AS_TRAINED
) -> SavedFile:
    """Writes an ONNX file, checks that it computes what the network does, and only then keeps it.

    It takes `grayscale` float32 [N, 1, H, W] in [0, 1] and gives `chroma` float32 [N, 2, H, W] in
    [0, 1]. Its metadata have `gray`, `color_space` and `short_side`.

    Args:
      model_path: A training workdir or a weights file.
      output: The file to make, NAME.onnx.
      size: Height and width that the file takes, see `check_size`; None leaves them free, which
        OpenCV 4 cannot read.
      colors: Which color is taken from a distribution; fixed in the file.

    Raises:
      As `keras_model.export_keras`; a ValueError too where onnx or onnxruntime is missing.
    """
    _check_installed()
    check_size(size)

    def content(loaded: Loaded) -> bytes:
        check_portable(loaded.recipe.network, model_path)
        return onnx_file(loaded, size)

    shapes = tuple((batch, *size) for batch in (1, 2)) if size else PARITY_SHAPES
    return save_checked(model_path, output, SUFFIX, colors, content, _runner, shapes)


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401

        onnx_runtime.load()
    except ImportError as error:
        raise ValueError(
            'ONNX files need onnx and onnxruntime; in the project\'s folder: pip install ".[onnx]"'
        ) from error


def _runner(content: bytes) -> Any:
    """Loads an ONNX file to call: gray [B, H, W, 1] -> chroma [B, H, W, 2]."""
    onnxruntime = onnx_runtime.load()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(gray: np.ndarray) -> np.ndarray:
        chroma = session.run([OUTPUT], {INPUT: gray.transpose(0, 3, 1, 2)})[0]
        return chroma.transpose(0, 2, 3, 1)

    return run
