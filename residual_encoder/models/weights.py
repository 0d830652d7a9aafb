"""Weights files: flat HDF5, written whole or not at all, loaded strictly.

A file holds one dataset a variable, named by the variable's path ("color4/kernel"), and a JSON
description. Nothing in it is executable. float16 values are allowed in weights files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from residual_encoder.utils import files

BEST = "best.weights.h5"
ABOUT = "about"  # the attribute with the description
EXPORTED = (".keras", ".onnx", ".tflite")  # how the names of exported files end

Arrays = Mapping[str, np.ndarray]


# --- flat files -----------------------------------------------------------------------------------


def write_arrays(path: str | os.PathLike[str], arrays: Arrays, about: dict[str, Any]) -> None:
    """Writes named arrays and a JSON description, whole or not at all.

    Raises:
      OSError: the file cannot be written.
    """
    # The newer layout has checksums over its structure. Text of variable length lies in a
    # heap that has none: where that was damaged, HDF5 looped for ever.
    with files.replacing(path) as temporary, h5py.File(temporary, "w", libver="v110") as file:
        file.attrs[ABOUT] = np.bytes_(json.dumps(about))
        for name, value in arrays.items():
            file.create_dataset(name, data=value, **_checked(np.asarray(value)))


def _checked(value: np.ndarray) -> dict[str, Any]:
    """Returns storage with a checksum, which HDF5 verifies; it has none for single numbers."""
    return {"chunks": value.shape, "fletcher32": True} if value.ndim and value.size else {}


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_arrays` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged or not a weights file of this project.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        if isinstance(node, h5py.Dataset):
            taken = sum(value.nbytes for value in arrays.values())
            arrays[name] = _numbers(name, node, Path(path).stat().st_size - taken)

    try:
        with h5py.File(path, "r") as file:
            if of_keras := ABOUT not in file.attrs and "layers" in file:
                about: dict[str, Any] = {}
            else:
                about = json.loads(file.attrs[ABOUT])
                if not isinstance(about, dict):
                    raise ValueError(f"its description is {about!r:.40}, no object of JSON")
                file.visititems(visit)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:  # h5py's own
        raise ValueError(
            f"{path} is damaged or no weights file of this project ({error}). "
            "Wanted: a .weights.h5 written by tools/train.py."
        ) from error
    if of_keras:
        raise ValueError(
            f"{path} was written by Keras, without a recipe. Load it by "
            "Colorizer(...).network.load_weights, and write it by Colorizer.save_weights."
        )
    return arrays, about


def is_weights_file(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file was written by `write_arrays`, whatever its name is."""
    try:
        with h5py.File(path, "r") as file:
            return ABOUT in file.attrs
    except OSError:
        return False


def _numbers(name: str, node: h5py.Dataset, room: int) -> np.ndarray:
    """Reads a variable's values, which must lie in the file itself: at most `room` bytes.

    Raises:
      ValueError: they are elsewhere, no numbers, more than fit into the file, or damaged.
    """
    if node.external or node.is_virtual:
        raise ValueError(f"{name} lies in another file")
    if node.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {node.dtype}, no numbers")
    if node.nbytes > room:
        raise ValueError(f"{name} of {node.shape} does not fit into the file")
    try:
        return node[()]
    except OSError as error:
        raise ValueError(f"{name}: {error}") from error


def _named(variables: Iterable[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for variable in variables:
        if variable.path in named:
            raise ValueError(f"Two variables are named {variable.path!r}; names must be unique.")
        named[variable.path] = variable
    return named


def to_arrays(variables: Iterable[Any]) -> dict[str, np.ndarray]:
    """Returns the current values by variable path."""
    import keras

    return {
        path: keras.ops.convert_to_numpy(variable) for path, variable in _named(variables).items()
    }


def assign(variables: Iterable[Any], arrays: Arrays, source: str) -> None:
    """Gives every variable its value, or changes nothing and lists all that differs.

    Raises:
      ValueError: names or shapes differ; the message lists missing, unexpected and misshapen ones.
    """
    named = _named(variables)
    check_fits(arrays, {path: tuple(named[path].shape) for path in named}, source)
    for path, variable in named.items():
        variable.assign(arrays[path].astype(variable.dtype))


def check_fits(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Compares arrays with the names and shapes that a network has.

    Raises:
      ValueError: they differ; the message lists missing, unexpected and misshapen ones.
    """
    missing = sorted(shapes.keys() - arrays.keys())
    unexpected = sorted(arrays.keys() - shapes.keys())
    misshapen = [
        f"{path} is {arrays[path].shape}, wanted {shapes[path]}"
        for path in sorted(shapes.keys() & arrays.keys())
        if arrays[path].shape != shapes[path]
    ]
    if missing or unexpected or misshapen:
        raise ValueError(
            f"{source} does not fit this network. Missing: {missing or 'none'}. "
            f"Unexpected: {unexpected or 'none'}. Wrong shape: {misshapen or 'none'}."
        )


# --- weights files --------------------------------------------------------------------------------


def save_weights(model: Any, path: str | os.PathLike[str], recipe_json: dict[str, Any]) -> None:
    """Writes a model's weights with the recipe that made them."""
    write_arrays(path, to_arrays(model.weights), {"recipe": recipe_json})


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Loads a weights file strictly.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, or its names or shapes are not the model's.
    """
    arrays, _ = read_arrays(path)
    assign(model.weights, arrays, str(path))


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the recipe, as JSON, that a weights file was trained with.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged or names no recipe.
    """
    _, about = read_arrays(path)
    return recipe_of(about, path)


def recipe_of(about: dict[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the recipe in the description of a weights file.

    Raises:
      ValueError: it names none.
    """
    if "recipe" not in about:
        raise ValueError(f"{path} names no recipe; wanted a weights file, not a checkpoint.")
    return about["recipe"]


def find_weights(model_path: str | os.PathLike[str]) -> Path:
    """Returns the weights file at a path: itself, or the best one of a training workdir.

    Raises:
      FileNotFoundError: the path does not exist, or the workdir has no weights yet.
      ValueError: it is an export.
    """
    path = Path(model_path)
    if path.is_file() and path.suffix in EXPORTED:
        raise ValueError(
            f"{path} was exported for other programs, and is not read here. Pass the workdir or "
            "weights file that it was made from."
        )
    if path.is_file():
        return path
    best = path / "checkpoints" / BEST
    if best.is_file():
        return best
    wanted = "a weights file, a training workdir or an export"
    if path.is_dir():
        raise FileNotFoundError(f"{path} holds no checkpoints/{BEST}. Wanted {wanted}.")
    raise FileNotFoundError(f"There is no {path}. Wanted {wanted}.")
