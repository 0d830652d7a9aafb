"""A trained network as a SavedModel that needs TensorFlow only, checked against the network."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder.export import image_decoding, tf_serving
from residual_encoder.export.model_file import TOLERANCE, load_for_export
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.inference.model_loading import (
    CARD,
    NETWORK_SIGNATURE,
    Loaded,
)
from residual_encoder.models import any_size
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.models.weights import EXPORTED
from residual_encoder.utils import files
from residual_encoder.utils.typing import Tensor

# Largest picture that `colorize_bytes` takes, by default: as large as cameras make.
MAX_PIXELS = 50_000_000
LEAST_PIXELS = tf_serving.SCENE_SIZE**2  # as in the requests that warm a server up
MOST_PIXELS = 2**31 - 1  # decoders of TensorFlow count them in 32 bits
GRAY = (None, None, None, 1)  # [B, H, W, 1]
PARITY_BATCHES = (1, 3)
PARITY_SIZES = ((17, 23), (64, 64), (120, 75))


class ExportedColorizer(tf.Module):
    """Holds the content of the SavedModel: the network and its color space, without Keras.

    All pictures are sRGB code values.
    """

    def __init__(self, loaded: Loaded, card: Path, max_pixels: int = MAX_PIXELS) -> None:
        """Wraps a network.

        Args:
          loaded: Its `network` is a Keras model with float32 weights.
          card: The JSON file that describes the model; becomes an asset of the SavedModel.
          max_pixels: Height times width of the largest picture file that is taken.
        """
        super().__init__(name="colorizer")
        self._max_pixels = max_pixels
        self._recipe, self._network = loaded.recipe, _functional(loaded.network)
        self.weights = [variable.value for variable in loaded.network.weights]
        self.card = tf.saved_model.Asset(str(card))

    @tf.function(input_signature=[tf.TensorSpec(GRAY, tf.float32, "grayscale")])
    def network(self, grayscale: Tensor) -> dict[str, Tensor]:
        """Runs the bare network: height and width are multiples of the recipe's `multiple`."""
        return {"chroma": self._network(_checked(grayscale))}

    @tf.function(input_signature=[tf.TensorSpec(GRAY, tf.float32, "grayscale")])
    def chroma(self, grayscale: Tensor) -> dict[str, Tensor]:
        """Predicts `chroma`: [B, H, W, 1] in [0, 1], any H and W -> [B, H, W, 2] in [0, 1]."""
        recipe = self._recipe
        network = any_size.with_margin(self._network, recipe.margin)
        gray = _checked(grayscale)
        chroma = any_size.chroma_at(network, gray, recipe.inference_size, recipe.multiple)
        return {"chroma": chroma}

    @tf.function(input_signature=[tf.TensorSpec(GRAY, tf.float32, "grayscale")])
    def colorize(self, grayscale: Tensor) -> dict[str, Tensor]:
        """Colors [B, H, W, 1] in [0, 1], any H and W -> `inferred_rgb` [B, H, W, 3], same gray."""
        gray = _checked(grayscale)
        return {"inferred_rgb": self._recipe.space.merge(gray, self.chroma(gray)["chroma"])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def colorize_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
        """Colors files: [B] JPEG, PNG, BMP or WebP -> `png_bytes` [B], 8 bits, each at its size.

        A file that is broken or too large has empty bytes, and its reason in `error` [B], which is
        empty for the others. Pictures are turned upright by their EXIF data; alpha is dropped.
        """
        kinds = {"png_bytes": tf.string, "error": tf.string}
        return tf.map_fn(self._colorize_file, image_bytes, fn_output_signature=kinds)

    def _colorize_file(self, data: Tensor) -> dict[str, Tensor]:
        rgb_u8, error = image_decoding.decode(data, self._max_pixels)
        good = tf.equal(error, "")
        png = tf.cond(good, lambda: self._colorize_pixels(rgb_u8), lambda: tf.constant(b""))
        return {"png_bytes": png, "error": error}

    def _colorize_pixels(self, rgb_u8: Tensor) -> Tensor:
        rgb = tf.cast(rgb_u8, tf.float32) / 255
        colored = self.colorize(GRAYS[self._recipe.gray](rgb)[None])["inferred_rgb"][0]
        return tf.io.encode_png(tf.cast(tf.round(colored * 255), tf.uint8))

    @property
    def signatures(self) -> dict[str, Any]:
        """Returns the functions by the names they are served under."""
        return {
            "serving_default": self.colorize,
            "colorize_bytes": self.colorize_bytes,
            "chroma": self.chroma,
            NETWORK_SIGNATURE: self.network,
        }


def _checked(grayscale: Tensor) -> Tensor:
    """Has what loads the export name the wanted shape where another is given."""
    return tf.ensure_shape(grayscale, GRAY)


def _functional(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Hides a Keras model from TensorFlow's tracking: its graph is saved, its Python is not."""
    return lambda gray: network(gray)


def export_saved_model(
    model_path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    version: int | None = None,
    max_pixels: int = MAX_PIXELS,
    colors: ColorChoice = AS_TRAINED,
) -> Path:
    """Writes a SavedModel, checks that it computes what the network does, and only then keeps it.

    Signatures: `serving_default`, `colorize_bytes`, `chroma` and `network`; see
    `ExportedColorizer`. `assets/recipe.json` holds the recipe and the SHA-256 of the weights file.

    Args:
      model_path: A training workdir or a weights file.
      output: The folder to make. It must not exist yet.
      version: Makes TensorFlow Serving's layout: the SavedModel becomes `output`/`version`, from 1
        up, with requests that warm it up; `output` is the model's name and may hold other versions.
      max_pixels: Height times width of the largest picture file that `colorize_bytes` takes;
        `LEAST_PIXELS` to `MOST_PIXELS`.
      colors: Which color is taken from a distribution; fixed in the SavedModel and its recipe.

    Returns:
      The folder of the SavedModel: `output`, or the version's in it.

    Raises:
      FileExistsError: that folder exists.
      FileNotFoundError: there is no such model.
      ValueError: a number is out of range; the output is named as a file; a version is asked for
        without what `tf_serving` needs; the model is damaged or exported already, or does not take
        `colors`; or what was written computes something else. Nothing is left on disk then.
      OSError: the place cannot be written.
    """
    if version is not None and version < 1:
        raise ValueError(f"Versions are whole numbers from 1 up. Received {version}.")
    if not LEAST_PIXELS <= max_pixels <= MOST_PIXELS:
        raise ValueError(
            f"max_pixels must be {LEAST_PIXELS} to {MOST_PIXELS}. Received {max_pixels}."
        )
    target = Path(output) if version is None else Path(output) / str(version)
    if target.exists():
        raise FileExistsError(f"{target} exists; an export never replaces anything: choose another")
    if (suffix := Path(output).suffix) in (*EXPORTED, ".h5"):
        raise ValueError(
            f"output is {output}; a SavedModel is a folder, whose name does not end in {suffix}. "
            "For such a file choose another format (--format)."
        )
    files.check_can_be_made(target)
    loaded = load_for_export(model_path, colors)
    with _folder_becoming(target) as folder:
        if version is not None:
            tf_serving.write_warmup(folder, Path(output).name, loaded.recipe.inference_size)
        _save(loaded, folder, max_pixels)
        difference = largest_difference(loaded, folder)
        if not difference <= TOLERANCE:  # also catches NaN
            raise ValueError(
                f"The SavedModel of {model_path} differs from the network by {difference:.2e}, "
                f"allowed are {TOLERANCE:.0e}; nothing was kept."
            )
    return target


@contextmanager
def _folder_becoming(target: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `target` on a clean exit, else disappears.

    It lies next to the target, or next to the first of its parents that are still to be made.
    """
    place = next(folder for folder in target.absolute().parents if folder.is_dir())
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=place))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp's folders are closed to others
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _save(loaded: Loaded, folder: Path, max_pixels: int) -> None:
    card = {
        "recipe": loaded.recipe.to_json(),
        "weights_sha256": loaded.sha256,
        "max_pixels": max_pixels,
    }
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / CARD.name
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        module = ExportedColorizer(loaded, path, max_pixels)
        tf.saved_model.save(module, str(folder), signatures=module.signatures)


# --- parity ---------------------------------------------------------------------------------------


def largest_difference(loaded: Loaded, folder: str | os.PathLike[str]) -> float:
    """Returns the largest difference between a network and its SavedModel, read back from disk.

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
    """Computes chroma and RGB, operation by operation, without a graph."""
    recipe = loaded.recipe
    network = any_size.with_margin(loaded.network, recipe.margin)
    chroma = any_size.chroma_at(network, gray, recipe.inference_size, recipe.multiple)
    return chroma, loaded.recipe.space.merge(gray, chroma)


def _tensors_difference(loaded: Loaded, served: Any, gray: Tensor) -> float:
    chroma, rgb = _expected(loaded, gray)
    whole = tf.image.resize(gray, [32, 64])
    pairs = (
        (served["serving_default"](grayscale=gray)["inferred_rgb"], rgb),
        (served["chroma"](grayscale=gray)["chroma"], chroma),
        (served[NETWORK_SIGNATURE](grayscale=whole)["chroma"], loaded.network(whole)),
    )
    return float(np.max([np.abs(output - expected).max() for output, expected in pairs]))


def _files_difference(loaded: Loaded, served: Any, random: np.random.Generator) -> float:
    shapes = [(height, width, 1) for height, width in PARITY_SIZES[:2]]
    grays = [random.integers(0, 256, shape, np.uint8) for shape in shapes]
    encoded = tf.stack([tf.io.encode_png(gray) for gray in grays])
    answer = served["colorize_bytes"](image_bytes=encoded)
    beyond = []
    for gray, png in zip(grays, answer["png_bytes"], strict=True):
        _, rgb = _expected(loaded, tf.constant(gray[None] / np.float32(255)))
        difference = np.abs(tf.io.decode_png(png).numpy() / np.float32(255) - rgb[0])
        beyond.append(difference.max() - 0.5 / 255)
    return float(max(0.0, *beyond))
