"""Weights made ready to ship: float16 kernels, and a SHA-256 beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from residual_encoder import checkpoints, files, networks
from residual_encoder.inference import Loaded, load_network

SUFFIX = ".weights.h5"
# Ours: half an 8-bit step of chroma, so that float16 is lost in the rounding of a saved picture.
TOLERANCE = 0.5 / 255
PROBES, PROBE_SIZE = 4, 64  # random gray pictures that the two networks are compared on


def halved(arrays: checkpoints.Arrays) -> dict[str, np.ndarray]:
    """Kernels in float16; vectors stay float32, as variances of taps exceed float16's 65,504."""
    return {
        name: value.astype(np.float16) if value.ndim > 1 else value
        for name, value in arrays.items()
    }


def release(model_path: str | os.PathLike[str], path: str | os.PathLike[str]) -> float:
    """Writes a network's weights in half the bytes, and `PATH.sha256` beside them.

    Args:
      model_path: A training workdir or a weights file.
      path: The file to make; ends in .weights.h5 and must not exist yet.

    Returns:
      The largest difference in chroma, in [0, 1], to the network on random pictures.

    Raises:
      FileExistsError: `path` exists.
      FileNotFoundError: there is no such model.
      ValueError: the name is wrong, the model is damaged, or float16 changes it too much; nothing
        is left on disk then.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"{path} must end in {SUFFIX}, which is how weights are found.")
    files.check_free(path)
    weights = checkpoints.find_weights(model_path)
    arrays, about = checkpoints.read_arrays(weights)
    loaded, shipped = load_network(weights), halved(arrays)
    difference = _difference(loaded, shipped)
    if not difference <= TOLERANCE:  # also catches NaN
        raise ValueError(
            f"In float16 {weights} changes chroma by {difference:.2e}, allowed are "
            f"{TOLERANCE:.2e}; nothing was kept."
        )
    checkpoints.write_arrays(path, shipped, about)
    files.write_text(f"{path}.sha256", f"{files.sha256(path)}  {path.name}\n")
    return difference


def _difference(loaded: Loaded, arrays: checkpoints.Arrays) -> float:
    """Largest difference in chroma between a network and the same with other values."""
    other = networks.build(loaded.recipe.network)
    checkpoints.assign(other.weights, arrays, "The float16 copy")
    gray = np.random.default_rng(0).random((PROBES, PROBE_SIZE, PROBE_SIZE, 1), np.float32)
    pair = [network(tf.constant(gray)).numpy() for network in (loaded.network, other)]
    return float(np.abs(pair[0] - pair[1]).max())
