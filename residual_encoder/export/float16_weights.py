"""Makes weights ready to ship: float16 kernels, and a file with their SHA-256."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder import models
from residual_encoder.inference.model_loading import with_colors
from residual_encoder.models import weights as weights_files
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.recipes import Recipe
from residual_encoder.utils import files

SUFFIX = ".weights.h5"
# Half an 8-bit step of chroma, so that float16 is lost in the rounding of a saved picture.
TOLERANCE = 0.5 / 255
# Of a network: how colors are chosen from its distribution, and what training drops. The mean has
# those of the first.
_FREE = ("temperature", "prior_correction", "smoothing", "dropout")
PROBES, PROBE_SIZE = 4, 64  # random gray pictures that the two networks are compared on


def halved(arrays: weights_files.Arrays) -> dict[str, np.ndarray]:
    """Converts kernels to float16; vectors stay, as variances of taps exceed float16's 65,504."""
    return {
        name: value.astype(np.float16) if value.ndim > 1 else value
        for name, value in arrays.items()
    }


def _kind(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a recipe that weights depend on."""
    network = recipe.get("network") or {}
    kind = {name: value for name, value in network.items() if name not in _FREE}
    return {"network": kind, "color_space": recipe.get("color_space"), "gray": recipe.get("gray")}


def mean(
    one: tuple[weights_files.Arrays, dict[str, Any]],
    other: tuple[weights_files.Arrays, dict[str, Any]],
) -> dict[str, np.ndarray]:
    """Averages two networks' weights, both as `weights.read_arrays` gives them.

    Where one was trained on from the other, their mean often colors better than either (Wortsman et
    al. 2022, "Model soups").

    Raises:
      ValueError: their networks, color spaces or grays differ.
    """
    kinds = [_kind(about.get("recipe", {})) for _, about in (one, other)]
    if kinds[0] != kinds[1] or one[0].keys() != other[0].keys():
        raise ValueError(
            "Only weights of one network and one kind of color have a mean; "
            f"these are of {kinds[0]} and of {kinds[1]}."
        )
    total = {
        name: np.add(value, other[0][name], dtype=np.float32) for name, value in one[0].items()
    }
    return {name: np.divide(value, 2, dtype=np.float32) for name, value in total.items()}


def release(
    model_path: str | os.PathLike[str],
    path: str | os.PathLike[str],
    average_with: str | os.PathLike[str] | None = None,
    colors: ColorChoice = AS_TRAINED,
) -> float:
    """Writes a network's weights in half the bytes, and their hash as `PATH.sha256`.

    Args:
      model_path: A training workdir or a weights file.
      path: The file to make; ends in .weights.h5 and must not exist yet.
      average_with: Another of the same network, to write the mean of the two.
      colors: Which color is taken from a distribution; written into the file's recipe.

    Returns:
      The largest difference in chroma, in [0, 1], to the network on random pictures.

    Raises:
      FileExistsError: `path` exists.
      FileNotFoundError: there is no such model.
      ValueError: the name is wrong, a model is damaged or does not take `colors`, the two differ
        in their networks, or float16 changes it too much; nothing is left on disk then.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"{path} must end in {SUFFIX}, which is how weights are found.")
    files.check_can_be_made(path)
    weights = weights_files.find_weights(model_path)
    arrays, about = weights_files.read_arrays(weights)
    if average_with is not None:
        other = weights_files.read_arrays(weights_files.find_weights(average_with))
        arrays = mean((arrays, about), other)
    recipe = with_colors(Recipe.from_json(weights_files.read_recipe(weights)), colors)
    shipped = halved(arrays)
    difference = _difference(recipe, arrays, shipped)
    if not difference <= TOLERANCE:  # also catches NaN
        raise ValueError(
            f"In float16 {weights} changes chroma by {difference:.2e}, allowed are "
            f"{TOLERANCE:.2e}; nothing was kept."
        )
    if colors.given:
        about = about | {"recipe": recipe.to_json()}
    files.check_free(path)  # it may have come while we worked
    files.make_folder(path.parent)
    weights_files.write_arrays(path, shipped, about)
    files.write_text(f"{path}.sha256", f"{files.sha256(path)}  {path.name}\n")
    return difference


def _difference(recipe: Recipe, *pair: weights_files.Arrays) -> float:
    """Measures the largest difference in chroma between a network with two sets of values."""
    gray = np.random.default_rng(0).random((PROBES, PROBE_SIZE, PROBE_SIZE, 1), np.float32)
    chroma = []
    for arrays in pair:
        network = models.build(recipe.network)
        weights_files.assign(network.weights, arrays, "The copy to ship")
        chroma.append(network(tf.constant(gray)).numpy())
    return float(np.abs(chroma[0] - chroma[1]).max())
