"""Files that hold a network for other frameworks: compared with it before they are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.inference.model_loading import Loaded, load_network
from residual_encoder.models import any_size
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.utils import files

TOLERANCE = 1e-5  # a fortieth of half an 8-bit step; float32 in another order stays below
LARGEST = 4096  # of a height or width that a file fixes; networks see far smaller pictures
# Batch, height, width of the random grays that are compared, where a file takes any size.
PARITY_SHAPES = ((1, 17, 23), (3, 64, 48), (2, 57, 80))

Runner = Callable[[np.ndarray], np.ndarray]  # gray [B, H, W, 1] -> chroma [B, H, W, 2]


class SavedFile(NamedTuple):
    """A file that was kept.

    Attributes:
      path: Where it is.
      loaded: The network in it, whose recipe has gray, color space and size.
      difference: Largest difference of its chroma from the network's, of 1.
    """

    path: Path
    loaded: Loaded
    difference: float

    def __str__(self) -> str:
        """Tells what one needs to call the file, in one line."""
        recipe = self.loaded.recipe
        return (
            f"{self.path}; chroma within {self.difference:.0e} of the network's; "
            f"gray: {recipe.gray}; short side: {recipe.inference_size} pixels; "
            f"color space: {recipe.color_space}"
        )


def check_size(size: tuple[int, int] | None) -> None:
    """Checks the height and width that a file is to take; None leaves them free.

    Raises:
      ValueError: one is not from 1 to `LARGEST`.
    """
    if size and not all(1 <= side <= LARGEST for side in size):
        raise ValueError(f"Height and width must be 1 to {LARGEST}. Received {size[0]}x{size[1]}.")


def card_of(loaded: Loaded) -> dict[str, Any]:
    """Returns what an exported file tells of its model, JSON-able."""
    return {"recipe": loaded.recipe.to_json(), "weights_sha256": loaded.sha256}


def load_for_export(model_path: str | os.PathLike[str], colors: ColorChoice) -> Loaded:
    """Loads the network to export.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: it is damaged, a SavedModel, or does not take `colors`.
    """
    loaded = load_network(model_path, colors)
    if not isinstance(loaded.network, keras.Model):
        raise ValueError(f"{model_path} is a SavedModel already; pass weights or a workdir.")
    return loaded


def save_checked(
    model_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    suffix: str,
    colors: ColorChoice,
    content: Callable[[Loaded], bytes],
    runner: Callable[[bytes], Runner],
    shapes: tuple[tuple[int, int, int], ...] = PARITY_SHAPES,
) -> SavedFile:
    """Writes a network into a file, after comparing what the file computes with the network.

    Args:
      model_path: A training workdir or a weights file.
      output: The file to make.
      suffix: What its name must end in.
      colors: Which color is taken from a distribution.
      content: The network -> the bytes of the file.
      runner: The bytes -> what they compute.
      shapes: Batch, height and width of the grays that are compared.

    Raises:
      As `keras_model.export_keras`.
    """
    if Path(output).suffix != suffix:
        raise ValueError(f"output is {output}; the name must end in {suffix}")
    files.check_can_be_made(output)
    loaded = load_for_export(model_path, colors)
    data = content(loaded)
    difference = largest_difference(loaded, runner(data), shapes)
    if not difference <= TOLERANCE:  # also catches NaN
        raise ValueError(
            f"The {suffix} file of {model_path} differs from the network by {difference:.2e}, "
            f"allowed are {TOLERANCE:.0e}; nothing was kept."
        )
    files.check_free(output)  # it may have come while we worked
    files.make_folder(Path(output).parent)
    with files.replacing(output) as temporary:
        temporary.write_bytes(data)
    return SavedFile(Path(output), loaded, difference)


def largest_difference(
    loaded: Loaded, run: Runner, shapes: tuple[tuple[int, int, int], ...] = PARITY_SHAPES
) -> float:
    """Returns the largest difference in chroma between a network and a file, on random grays.

    It runs on the CPU: a GPU may round products to TF32 and differ from itself.
    """
    random, differences = np.random.default_rng(0), []
    network = any_size.with_border(loaded.network, loaded.recipe.margin, loaded.recipe.multiple)
    for shape in shapes:
        gray = random.random((*shape, 1), np.float32)
        with tf.device("/CPU:0"):
            expected, received = network(tf.constant(gray)).numpy(), run(gray)
        if expected.shape != received.shape:
            return float("nan")
        differences.append(np.abs(expected - received).max())
    return float(np.max(differences))
