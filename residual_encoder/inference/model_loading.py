"""Finds a trained network: a workdir, a weights file, an export or the package's own.

TensorFlow is loaded where a network is built for it, and not to read what a model is.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from residual_encoder.inference import litert_file
from residual_encoder.models import weights as weights_files
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.recipes import Recipe
from residual_encoder.utils import files
from residual_encoder.utils.typing import Tensor

if TYPE_CHECKING:
    import keras

SUFFIX = ".weights.h5"
PRETRAINED = Path(__file__).parents[1] / "pretrained"
WEIGHTS, SAVED_MODEL, LITERT = "weights file", "SavedModel", "LiteRT file"  # kinds of models
# Names inside an exported SavedModel, which `export` writes and `load_network` reads.
CARD = Path("assets") / "recipe.json"  # {"recipe": ..., "weights_sha256": ...}
NETWORK_SIGNATURE = "network"  # the bare network, for the heights and widths it takes


class Described(NamedTuple):
    """Tells what a model is, before its network is built."""

    recipe: Recipe
    sha256: str  # of the weights file
    source: str  # the weights file, SavedModel folder or LiteRT file
    arrays: weights_files.Arrays | None  # variables by name; None of an export

    @property
    def kind(self) -> str:
        """Returns what `kind_of` does."""
        return kind_of(self.source)


class Loaded(NamedTuple):
    """Holds a network ready to run, and where it came from."""

    network: Any  # gray [B, H, W, 1] -> chroma [B, H, W, 2]; mostly a Keras model
    recipe: Recipe
    sha256: str  # of the weights file
    source: str  # the weights file or SavedModel folder


def kind_of(model_path: str | os.PathLike[str]) -> str:
    """Returns what is at a path: `SAVED_MODEL`, `LITERT` or else `WEIGHTS`, also of a workdir."""
    path = Path(model_path)
    if (path / "saved_model.pb").is_file():
        return SAVED_MODEL
    return LITERT if litert_file.is_litert(path) else WEIGHTS


def describe(model_path: str | os.PathLike[str], colors: ColorChoice = AS_TRAINED) -> Described:
    """Reads a training workdir, a weights file or the description of an export.

    A weights file holds numbers only. Exports, SavedModels and LiteRT files, are programs: load
    only those you trust.

    Args:
      model_path: The path of one of the four.
      colors: Which color is taken from a distribution; the recipe that is returned has it.

    Raises:
      FileNotFoundError: nothing of the four is there.
      ValueError: the file is damaged, or of another version; or the model does not take `colors`.
    """
    path = Path(model_path)
    if (kind := kind_of(path)) != WEIGHTS:
        _check_fixed(path, kind, colors)
        return _described_export(path, kind)
    weights = weights_files.find_weights(path)
    arrays, about = weights_files.read_arrays(weights)
    recipe = with_colors(Recipe.from_json(weights_files.recipe_of(about, weights)), colors)
    return Described(recipe, files.sha256(weights), str(weights), arrays)


def load_network(model_path: str | os.PathLike[str], colors: ColorChoice = AS_TRAINED) -> Loaded:
    """Loads a network for TensorFlow; arguments and errors as of `describe`."""
    return load_described(describe(model_path, colors))


def load_described(described: Described) -> Loaded:
    """Builds the network of a model for TensorFlow.

    Raises:
      ValueError: the model is damaged or a LiteRT file, or its weights do not fit its network.
    """
    recipe, sha256, source, arrays = described
    if described.kind == LITERT:
        raise ValueError(
            f"{source} is a {LITERT}, which TensorFlow does not run here. Pass the workdir or "
            "weights file that it was made from."
        )
    if arrays is None:
        return Loaded(_saved_network(Path(source)), recipe, sha256, source)
    from residual_encoder.models import factory

    network = factory.build(recipe.network, vgg16_weights="later")
    weights_files.assign(network.weights, arrays, source)
    return Loaded(network, recipe, sha256, source)


def keras_network(recipe: Recipe, weights: str | os.PathLike[str]) -> keras.Model:
    """Builds the network of a recipe with the weights of a file; errors as of `load_network`."""
    arrays, _ = weights_files.read_arrays(weights)
    return load_described(Described(recipe, "", str(weights), arrays)).network


def with_colors(recipe: Recipe, colors: ColorChoice) -> Recipe:
    """Returns a recipe with another choice of colors; a ValueError where it has no distribution."""
    return dataclasses.replace(recipe, network=colors.applied(recipe.network))


def _check_fixed(path: Path, kind: str, colors: ColorChoice) -> None:
    """Refuses to change what the graph of an export holds as constants."""
    if colors.given:
        raise ValueError(
            f"{' and '.join(colors.given)} cannot be set: {path} is a {kind}, in which they "
            "were fixed at export. Export it again with tools/export.py and the flags wanted, or "
            "pass the weights file."
        )


def _described_export(path: Path, kind: str) -> Described:
    """Reads the description that an export holds."""
    try:
        card = _CARDS[kind](path)
        recipe, sha256 = Recipe.from_json(card["recipe"]), card["weights_sha256"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, kind, error) from error
    return Described(recipe, sha256, str(path), None)


def _saved_model_card(path: Path) -> Any:
    return json.loads((path / CARD).read_text(encoding="utf-8"))


_CARDS: dict[str, Callable[[Path], Any]] = {
    SAVED_MODEL: _saved_model_card,
    LITERT: litert_file.read_card,
}


def _saved_network(path: Path) -> Any:
    """Loads the bare network of a SavedModel."""
    import tensorflow as tf

    try:
        restored = tf.saved_model.load(str(path))
        restored.signatures[NETWORK_SIGNATURE]
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise _damaged(path, SAVED_MODEL, error) from error

    def network(gray: Tensor) -> Tensor:
        return restored.signatures[NETWORK_SIGNATURE](grayscale=gray)["chroma"]

    return network


def _damaged(path: Path, kind: str, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is damaged or no {kind} of this project ({error}). "
        "Wanted: one written by this version's tools/export.py."
    )


def presets() -> dict[str, Path]:
    """Returns the weights files that come with the package, by name."""
    hashes = {path.with_suffix("") for path in PRETRAINED.glob(f"*{SUFFIX}.sha256")}
    found = sorted({*PRETRAINED.glob(f"*{SUFFIX}"), *hashes})
    return {path.name.removesuffix(SUFFIX): path for path in found}


def shipped_weights(name: str | None = None) -> Path:
    """Returns a weights file that comes with the package, checked against its SHA-256.

    Args:
      name: One of `presets`; None is the only one.

    Raises:
      FileNotFoundError: this version ships none, or one of the two files is missing.
      ValueError: there is none of that name; or several, so one has to be named; or the file is
        not what was shipped.
    """
    found = presets()
    if not found:
        raise FileNotFoundError(
            "This version ships no weights yet. Pass a model (--model=PATH on the command line): "
            "a training workdir, a weights file or an export; tools/train.py makes the first two."
        )
    if name is not None and name not in found:
        raise ValueError(f"There is no preset {name!r}; this version ships {', '.join(found)}.")
    if name is None and len(found) > 1:
        names = ", ".join(str(path) for path in found.values())
        raise ValueError(f"There are several shipped weights; pass one of them: {names}.")
    weights = found[name or next(iter(found))]
    _check_shipped(weights)
    return weights


def _check_shipped(weights: Path) -> None:
    hash_file = weights.with_name(f"{weights.name}.sha256")
    for path in (weights, hash_file):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} of the shipped weights is missing; install the package again."
            )
    wanted, received = hash_file.read_text(encoding="utf-8").split()[:1], files.sha256(weights)
    if wanted != [received]:
        raise ValueError(
            f"{weights} is not what was shipped: its SHA-256 is {received}, "
            f"{hash_file.name} holds {''.join(wanted) or 'nothing'}; install the package again."
        )
