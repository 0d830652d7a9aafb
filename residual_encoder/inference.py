"""A photograph in, a color photograph out: any size, and the same size, depth and alpha back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from residual_encoder import checkpoints, files, images, networks
from residual_encoder.colorspace import GRAYS
from residual_encoder.images import Picture
from residual_encoder.networks import any_size
from residual_encoder.recipes import Recipe

Tensor = Any

PRETRAINED = Path(__file__).with_name("pretrained")
# Names inside an exported SavedModel, which `export` writes and `load_network` reads.
CARD = Path("assets") / "recipe.json"  # {"recipe": ..., "weights_sha256": ...}
NETWORK_SIGNATURE = "network"  # the bare network, for the heights and widths it takes
STRIPE = 1 << 22  # pixels merged at a time; ours: about 200 MB of float temporaries


class Loaded(NamedTuple):
    """A network ready to run, and where it came from."""

    network: Any  # gray [B, H, W, 1] -> chroma [B, H, W, 2]; mostly a Keras model
    recipe: Recipe
    sha256: str  # of the weights file
    source: str  # the weights file or SavedModel folder


# --- loading --------------------------------------------------------------------------------------


def load_network(model_path: str | os.PathLike[str]) -> Loaded:
    """Loads a network from a training workdir, a weights file or an exported SavedModel.

    A weights file holds numbers only. A SavedModel is a program: load only those you trust.

    Raises:
      FileNotFoundError: nothing of the three is there.
      ValueError: the file is damaged, or of another version.
    """
    path = Path(model_path)
    if (path / "saved_model.pb").is_file():
        return _load_saved_model(path)
    weights = checkpoints.find_weights(path)
    recipe = Recipe.from_json(checkpoints.read_recipe(weights))
    network = networks.build(recipe.network)
    checkpoints.load_weights(network, weights)
    return Loaded(network, recipe, files.sha256(weights), str(weights))


def _load_saved_model(path: Path) -> Loaded:
    """Reads what `export.export_saved_model` wrote."""
    try:
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
        recipe, sha256 = Recipe.from_json(card["recipe"]), card["weights_sha256"]
        restored = tf.saved_model.load(str(path))
        restored.signatures[NETWORK_SIGNATURE]
    except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"{path} is damaged or no SavedModel of this project ({error}). "
            "Wanted: a folder written by tools/export.py."
        ) from error

    def network(gray: Tensor) -> Tensor:
        return restored.signatures[NETWORK_SIGNATURE](grayscale=gray)["chroma"]

    return Loaded(network, recipe, sha256, str(path))


def shipped_weights() -> Path:
    """The weights file that comes with the package.

    Raises:
      FileNotFoundError: this version ships none.
      ValueError: there are several, so one has to be named.
    """
    found = sorted(PRETRAINED.glob("*.weights.h5"))
    if not found:
        raise FileNotFoundError(
            "This version ships no weights yet. Pass a model (--model=PATH on the command line): "
            "a training workdir, a weights file or an exported SavedModel; "
            "tools/train.py makes the first two."
        )
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise ValueError(f"There are several shipped weights; pass one of them: {names}.")
    return found[0]


# --- colorizing -----------------------------------------------------------------------------------


class Colorizer:
    """Colors pictures of any size and keeps their gray.

    Attributes:
      recipe: What the network was trained with.
      sha256: Of the weights file.
      source: Where the network was loaded from.
      size: Short side in pixels that the network sees.
      saturation: Factor on the distance of the chroma from neutral; 1 leaves it as it is.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        size: int | str = "auto",
        saturation: float = 1.0,
    ) -> None:
        """Loads the network.

        Args:
          model: A training workdir, weights file or exported SavedModel; None is what is shipped.
          size: Short side in pixels that the network sees, rounded to what it takes; "auto" is the
            recipe's. The output has the size of the picture whatever this is.
          saturation: 0 gives gray, 1 what the network says, more is more vivid.

        Raises:
          FileNotFoundError: there is no such model.
          ValueError: a wrong argument, or a damaged model.
        """
        if size != "auto" and not (isinstance(size, int) and size >= 8):
            raise ValueError(f'size must be "auto" or a whole number from 8 up. Received {size!r}.')
        if not (np.isfinite(saturation) and saturation >= 0):
            raise ValueError(f"saturation must be 0 or more. Received {saturation!r}.")
        loaded = load_network(shipped_weights() if model is None else model)
        self.recipe, self.sha256, self.source = loaded.recipe, loaded.sha256, loaded.source
        self.size = loaded.recipe.inference_size if size == "auto" else int(size)
        self.saturation = float(saturation)
        self._chroma = tf.function(  # one trace for pictures of all sizes
            lambda gray: any_size.chroma_at(
                loaded.network, gray, self.size, loaded.recipe.multiple
            ),
            input_signature=[tf.TensorSpec([None, None, None, 1], tf.float32)],
        )

    def chroma(self, gray: Tensor) -> Tensor:
        """What the network says, before saturation.

        Args:
          gray: [B, H, W, 1] float32 in [0, 1], any H and W.

        Returns:
          [B, H, W, 2] float32 in [0, 1], in the recipe's color space.
        """
        return self._chroma(tf.cast(gray, tf.float32))

    def colorize(self, picture: np.ndarray | Picture | str | os.PathLike[str]) -> np.ndarray:
        """Colors one picture.

        Args:
          picture: [H, W], [H, W, 1], [H, W, 3] RGB or [H, W, 4] RGBA, uint8 or uint16; a `Picture`;
            or a path. Of a color picture only its gray, as the recipe makes it, is looked at.

        Returns:
          [H, W, 3] RGB, or [H, W, 4] RGBA where the picture has alpha, of the picture's own type.

        Raises:
          ValueError: no picture, or of another shape or type.
          OSError: the file cannot be read.
        """
        picture = _as_picture(picture)
        gray = self._gray(picture)  # [H, W, 1]
        chroma = self.chroma(gray[None])[0]  # [H, W, 2]
        height, width = picture.pixels.shape[:2]
        output = np.empty((height, width, 3 if picture.alpha is None else 4), picture.pixels.dtype)
        for rows in _stripes(height, width):
            rgb = self._merge(gray[rows], chroma[rows]).numpy()
            output[rows, :, :3] = np.rint(rgb * _peak(picture))
        if picture.alpha is not None:
            output[..., 3] = picture.alpha
        return output

    def colorize_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
    ) -> None:
        """Colors a picture file into another, in the format of the target's suffix.

        Raises:
          FileExistsError: `target` exists and `overwrite` is false.
          ValueError: `target` is `source`; `source` is no picture; the format cannot hold it.
          OSError: a file cannot be read or written.
        """
        if Path(target).resolve() == Path(source).resolve():
            raise ValueError(f"{source} would be written onto itself; choose another output")
        files.check_free(target, overwrite)
        images.write(target, self.colorize(source))

    def _gray(self, picture: Picture) -> np.ndarray:
        """[H, W, 1] float32 in [0, 1]: a gray picture's pixels, a color picture's recipe gray."""
        pixels, peak = picture.pixels, np.float32(_peak(picture))
        if not picture.has_color:
            return pixels[..., None] / peak
        gray = np.empty((*pixels.shape[:2], 1), np.float32)
        for rows in _stripes(*pixels.shape[:2]):
            gray[rows] = GRAYS[self.recipe.gray](pixels[rows] / peak)
        return gray

    def _merge(self, gray: Tensor, chroma: Tensor) -> Tensor:
        """[h, W, 1] and [h, W, 2] -> RGB [h, W, 3] in [0, 1]."""
        neutral = self.recipe.space.neutral
        return self.recipe.space.merge(gray, neutral + self.saturation * (chroma - neutral))


def _as_picture(picture: Any) -> Picture:
    if isinstance(picture, Picture):
        return picture
    if isinstance(picture, str | os.PathLike):
        return images.read(picture)
    pixels = np.asarray(picture)
    shape_fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shape_fits or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            "colorize() takes one picture, [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8 or "
            f"uint16, or a path. Received {pixels.dtype} {list(pixels.shape)}. "
            "For a batch of gray in [0, 1] call chroma()."
        )
    return images.as_picture(pixels)


def _peak(picture: Picture) -> int:
    """The sample value of white."""
    return int(np.iinfo(picture.pixels.dtype).max)


def _stripes(height: int, width: int) -> Iterator[slice]:
    """Rows in groups of at most about `STRIPE` pixels."""
    rows = max(1, STRIPE // width)
    return (slice(top, top + rows) for top in range(0, height, rows))
