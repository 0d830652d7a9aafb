"""A trained network as a SavedModel that needs TensorFlow only, proven equal before it is kept."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.colorspace import GRAYS
from residual_encoder.inference import CARD, NETWORK_SIGNATURE, Loaded, load_network
from residual_encoder.networks import any_size

Tensor = Any

TOLERANCE = 1e-5  # ours: a fortieth of half an 8-bit step; float32 in another order stays below
PARITY_BATCHES = (1, 3)
PARITY_SIZES = ((17, 23), (64, 64), (120, 75))


class ExportedColorizer(tf.Module):
    """What the SavedModel holds: the network, its color space, and nothing of Keras or ours.

    All pictures are sRGB code values.
    """

    def __init__(self, loaded: Loaded, card: Path) -> None:
        """Wraps a network.

        Args:
          loaded: Its `network` is a Keras model with float32 weights.
          card: The JSON file that says what this is; becomes an asset of the SavedModel.
        """
        super().__init__(name="colorizer")
        self._recipe, self._network = loaded.recipe, _functional(loaded.network)
        self.weights = [variable.value for variable in loaded.network.weights]
        self.card = tf.saved_model.Asset(str(card))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, "grayscale")])
    def network(self, grayscale: Tensor) -> dict[str, Tensor]:
        """The bare network: height and width are multiples of the recipe's `multiple`."""
        return {"chroma": self._network(grayscale)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, "grayscale")])
    def chroma(self, grayscale: Tensor) -> dict[str, Tensor]:
        """[B, H, W, 1] in [0, 1], any H and W -> `chroma` [B, H, W, 2], for those who merge."""
        size, multiple = self._recipe.inference_size, self._recipe.multiple
        return {"chroma": any_size.chroma_at(self._network, grayscale, size, multiple)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32, "grayscale")])
    def colorize(self, grayscale: Tensor) -> dict[str, Tensor]:
        """[B, H, W, 1] in [0, 1], any H and W -> `inferred_rgb` [B, H, W, 3] of the same gray."""
        chroma = self.chroma(grayscale)["chroma"]
        return {"inferred_rgb": self._recipe.space.merge(grayscale, chroma)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def colorize_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
        """[B] JPEG, PNG, GIF or BMP files -> `png_bytes` [B], 8 bits, each at its own size.

        Alpha is dropped, and EXIF orientation is not looked at: turn such pictures upright first.
        """
        return {"png_bytes": tf.map_fn(self._colorize_file, image_bytes)}

    def _colorize_file(self, data: Tensor) -> Tensor:
        rgb_u8 = tf.io.decode_image(data, channels=3, expand_animations=False)  # [H, W, 3]
        rgb = tf.cast(tf.ensure_shape(rgb_u8, [None, None, 3]), tf.float32) / 255
        colored = self.colorize(GRAYS[self._recipe.gray](rgb)[None])["inferred_rgb"][0]
        return tf.io.encode_png(tf.cast(tf.round(colored * 255), tf.uint8))

    @property
    def signatures(self) -> dict[str, Any]:
        """The functions by the names they are served under."""
        return {
            "serving_default": self.colorize,
            "colorize_bytes": self.colorize_bytes,
            "chroma": self.chroma,
            NETWORK_SIGNATURE: self.network,
        }


def _functional(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Hides a Keras model from TensorFlow's tracking: its graph is saved, its Python is not."""
    return lambda gray: network(gray)


def export_saved_model(model_path: str | os.PathLike[str], output: str | os.PathLike[str]) -> Path:
    """Writes a SavedModel, checks that it computes what the network does, and only then keeps it.

    Signatures: `serving_default`, `colorize_bytes`, `chroma` and `network`; see
    `ExportedColorizer`. `assets/recipe.json` holds the recipe and the SHA-256 of the weights file.

    Args:
      model_path: A training workdir or a weights file.
      output: The folder to make. It must not exist yet.

    Returns:
      `output`.

    Raises:
      FileExistsError: `output` exists.
      FileNotFoundError: there is no such model.
      ValueError: the model is damaged or exported already, or what was written computes something
        else; nothing is left on disk then.
      OSError: the place cannot be written.
    """
    output = Path(output)
    if output.exists():
        raise FileExistsError(f"{output} exists; an export never replaces anything: choose another")
    loaded = load_network(model_path)
    if not isinstance(loaded.network, keras.Model):
        raise ValueError(f"{model_path} is a SavedModel already; pass weights or a workdir.")
    with _folder_becoming(output) as folder:
        _save(loaded, folder)
        difference = largest_difference(loaded, folder)
        if not difference <= TOLERANCE:  # also catches NaN
            raise ValueError(
                f"The SavedModel of {model_path} differs from the network by {difference:.2e}, "
                f"allowed are {TOLERANCE:.0e}; nothing was kept."
            )
    return output


@contextmanager
def _folder_becoming(output: Path) -> Iterator[Path]:
    """Yields an empty folder beside `output` that becomes it on a clean exit, else disappears."""
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _save(loaded: Loaded, folder: Path) -> None:
    card = {"recipe": loaded.recipe.to_json(), "weights_sha256": loaded.sha256}
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / CARD.name
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        module = ExportedColorizer(loaded, path)
        tf.saved_model.save(module, str(folder), signatures=module.signatures)


# --- parity ---------------------------------------------------------------------------------------


def largest_difference(loaded: Loaded, folder: str | os.PathLike[str]) -> float:
    """Largest absolute difference between a network and its SavedModel, read back from disk.

    Random gray pictures, two batch sizes by three picture sizes, through all signatures. RGB and
    chroma are in [0, 1]; PNG samples may differ by their rounding and are counted beyond it. It
    runs on the CPU.
    """
    random = np.random.default_rng(0)
    with tf.device("/CPU:0"):  # a GPU may round products to TF32 and differ from itself
        served = tf.saved_model.load(os.fspath(folder)).signatures
        differences = [_files_difference(loaded, served, random)]
        for batch in PARITY_BATCHES:
            for height, width in PARITY_SIZES:
                gray = tf.constant(random.random((batch, height, width, 1), np.float32))
                differences.append(_tensors_difference(loaded, served, gray))
    return float(np.max(differences))


def _expected(loaded: Loaded, gray: Tensor) -> tuple[Tensor, Tensor]:
    """Chroma and RGB, operation by operation, without a graph."""
    recipe = loaded.recipe
    chroma = any_size.chroma_at(loaded.network, gray, recipe.inference_size, recipe.multiple)
    return chroma, loaded.recipe.space.merge(gray, chroma)


def _tensors_difference(loaded: Loaded, served: Any, gray: Tensor) -> float:
    chroma, rgb = _expected(loaded, gray)
    whole = tf.image.resize(gray, [32, 64])
    pairs = (
        (served["serving_default"](grayscale=gray)["inferred_rgb"], rgb),
        (served["chroma"](grayscale=gray)["chroma"], chroma),
        (served[NETWORK_SIGNATURE](grayscale=whole)["chroma"], loaded.network(whole)),
    )
    return float(np.max([np.abs(ours - theirs).max() for ours, theirs in pairs]))


def _files_difference(loaded: Loaded, served: Any, random: np.random.Generator) -> float:
    shapes = [(height, width, 1) for height, width in PARITY_SIZES[:2]]
    grays = [random.integers(0, 256, shape, np.uint8) for shape in shapes]
    encoded = tf.stack([tf.io.encode_png(gray) for gray in grays])
    decoded = served["colorize_bytes"](image_bytes=encoded)["png_bytes"]
    beyond = []
    for gray, png in zip(grays, decoded, strict=True):
        _, rgb = _expected(loaded, tf.constant(gray[None] / np.float32(255)))
        difference = np.abs(tf.io.decode_png(png).numpy() / np.float32(255) - rgb[0])
        beyond.append(difference.max() - 0.5 / 255)
    return float(max(0.0, *beyond))
