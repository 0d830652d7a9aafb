"""A photograph in, a color photograph out: any size, and the same size, depth and alpha back."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import guided_filter, image_io, resizing
from residual_encoder.imaging.colorspace import GRAYS, ColorSpace
from residual_encoder.imaging.image_io import Picture
from residual_encoder.models import any_size, factory
from residual_encoder.models import weights as weights_files
from residual_encoder.recipes import PRECISIONS, Recipe
from residual_encoder.utils import devices, files
from residual_encoder.utils.typing import Tensor

PRETRAINED = Path(__file__).parents[1] / "pretrained"
# Names inside an exported SavedModel, which `export` writes and `load_network` reads.
CARD = Path("assets") / "recipe.json"  # {"recipe": ..., "weights_sha256": ...}
NETWORK_SIGNATURE = "network"  # the bare network, for the heights and widths it takes
STRIPE = 1 << 16  # pixels in rows worked on at a time; ours: their floats stay in a core's cache
BLOCK = 1 << 16  # pixels painted at a time; ours
UPSAMPLINGS = ("guided", "bilinear")


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
    weights = weights_files.find_weights(path)
    recipe = Recipe.from_json(weights_files.read_recipe(weights))
    network = factory.build(recipe.network, vgg16_weights="later")
    weights_files.load_weights(network, weights)
    return Loaded(network, recipe, files.sha256(weights), str(weights))


def _load_saved_model(path: Path) -> Loaded:
    """Reads what `saved_model.export_saved_model` wrote."""
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
    """The weights file that comes with the package, checked against the SHA-256 beside it.

    Raises:
      FileNotFoundError: this version ships none, or one of the two files is missing.
      ValueError: there are several, so one has to be named; or the file is not what was shipped.
    """
    hashes = {path.with_suffix("") for path in PRETRAINED.glob("*.weights.h5.sha256")}
    found = sorted({*PRETRAINED.glob("*.weights.h5"), *hashes})
    if not found:
        raise FileNotFoundError(
            "This version ships no weights yet. Pass a model (--model=PATH on the command line): "
            "a training workdir, a weights file or an exported SavedModel; "
            "tools/train.py makes the first two."
        )
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise ValueError(f"There are several shipped weights; pass one of them: {names}.")
    _check_shipped(found[0])
    return found[0]


def _check_shipped(weights: Path) -> None:
    beside = weights.with_name(f"{weights.name}.sha256")
    for path in (weights, beside):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} of the shipped weights is missing; install the package again."
            )
    wanted, received = beside.read_text(encoding="utf-8").split()[:1], files.sha256(weights)
    if wanted != [received]:
        raise ValueError(
            f"{weights} is not what was shipped: its SHA-256 is {received}, "
            f"{beside.name} says {''.join(wanted) or 'nothing'}; install the package again."
        )


# --- colorizing -----------------------------------------------------------------------------------


class Colorizer:
    """Colors pictures of any size and keeps their gray.

    Attributes:
      recipe: What the network was trained with.
      sha256: Of the weights file.
      source: Where the network was loaded from.
      size: Short side in pixels that the network sees.
      saturation: Factor on the distance of the chroma from neutral; 1 leaves it as it is.
      upsampling: "guided" or "bilinear".
      precision: Arithmetic of the network: "float32" or "bfloat16".
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        size: int | str = "auto",
        saturation: float = 1.0,
        upsampling: str = "guided",
        precision: str = "auto",
    ) -> None:
        """Loads the network.

        Args:
          model: A training workdir, weights file or exported SavedModel; None is what is shipped.
          size: Short side in pixels that the network sees, rounded to what it takes; "auto" is the
            recipe's. The output has the size of the picture whatever this is.
          saturation: 0 gives gray, 1 what the network says, more is more vivid.
          upsampling: How chroma is enlarged to the picture's size: "guided" follows the edges of
            its gray, "bilinear" does not look at it.
          precision: "float32", "bfloat16", or "auto": bfloat16 where the device is quick at it.
            Networks that are no residual encoders, and SavedModels, stay float32.

        Raises:
          FileNotFoundError: there is no such model.
          ValueError: a wrong argument, or a damaged model.
        """
        if size != "auto" and not (isinstance(size, int) and size >= 8):
            raise ValueError(f'size must be "auto" or a whole number from 8 up. Received {size!r}.')
        if not (np.isfinite(saturation) and saturation >= 0):
            raise ValueError(f"saturation must be 0 or more. Received {saturation!r}.")
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling must be one of {UPSAMPLINGS}. Received {upsampling!r}.")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}. Received {precision!r}.")
        loaded = load_network(shipped_weights() if model is None else model)
        self.recipe, self.sha256, self.source = loaded.recipe, loaded.sha256, loaded.source
        self.size = loaded.recipe.inference_size if size == "auto" else int(size)
        self.saturation, self.upsampling = float(saturation), upsampling
        self._set_network(loaded, precision)

    def _set_network(self, loaded: Loaded, precision: str) -> None:
        config, multiple = loaded.recipe.network, loaded.recipe.multiple
        fast = factory.foldable(loaded.network, config)
        self.precision = devices.precision(precision) if fast else "float32"
        network = factory.for_inference(loaded.network, config, self.precision)
        network = any_size.with_margin(network, loaded.recipe.margin)

        def chroma(gray: Tensor) -> Tensor:
            return any_size.chroma_at(network, gray, self.size, multiple)

        grays = [tf.TensorSpec([None, None, None, 1], tf.float32)]  # one trace for all sizes
        # Nothing here needs AutoGraph, which would take a second of the first picture's time.
        self._network = tf.function(network, grays, autograph=False)
        self._chroma = tf.function(chroma, grays, autograph=False)

    def chroma(self, gray: Tensor) -> Tensor:
        """What the network says, before saturation, enlarged bilinearly.

        Args:
          gray: [B, H, W, 1] float32 in [0, 1], any H and W.

        Returns:
          [B, H, W, 2] float32 in [0, 1], in the recipe's color space.
        """
        return self._chroma(tf.cast(gray, tf.float32))

    def colorize(self, picture: np.ndarray | Picture | str | os.PathLike[str]) -> np.ndarray:
        """Colors one picture: `small_gray`, `small_chroma` and `merge`.

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
        gray = self.small_gray(picture)
        return self.merge(picture, self.small_chroma(gray[None])[0], gray)

    def colorize_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
    ) -> None:
        """Colors a picture file into another, in the format of the target's suffix.

        EXIF data and an RGB color profile go along where the formats hold them; see `image_io`.

        Raises:
          FileExistsError: `target` exists and `overwrite` is false.
          ValueError: `target` is `source`; `source` is no picture; the format cannot hold it.
          OSError: a file cannot be read or written.
        """
        if Path(target).resolve() == Path(source).resolve():
            raise ValueError(f"{source} would be written onto itself; choose another output")
        files.check_free(target, overwrite)
        picture = image_io.read(source)
        image_io.write(target, self.colorize(picture), picture.metadata)

    # --- the parts of colorize, for those who work on chroma in between ---

    def small_gray(self, picture: np.ndarray | Picture | str | os.PathLike[str]) -> np.ndarray:
        """What the network sees of a picture.

        Args:
          picture: As `colorize` takes it.

        Returns:
          [h, w, 1] float32 in [0, 1]; h and w depend on the picture's size only.
        """
        picture = _as_picture(picture)
        height, width = picture.pixels.shape[:2]
        target = any_size.network_size(height, width, self.size, self.recipe.multiple)
        return self._shrunk(picture, (int(target[0]), int(target[1])))

    def small_chroma(self, gray: Tensor) -> np.ndarray:
        """What the network says, before saturation, at its own size.

        Args:
          gray: [B, h, w, 1] float32 in [0, 1], as `small_gray` gives it.

        Returns:
          [B, h, w, 2] float32 in [0, 1], in the recipe's color space.
        """
        return self._network(tf.cast(gray, tf.float32)).numpy()

    def merge(
        self,
        picture: np.ndarray | Picture | str | os.PathLike[str],
        chroma: np.ndarray,
        gray: np.ndarray | None = None,
    ) -> np.ndarray:
        """Enlarges chroma to a picture's size and joins it to the picture's gray.

        Args:
          picture: As `colorize` takes it, H by W pixels.
          chroma: [h, w, 2] float32 in [0, 1], as `small_chroma` gives it, without the batch.
          gray: [h, w, 1] what `small_gray` gave of this picture; made again where it is left out.

        Returns:
          As `colorize`.
        """
        picture = _as_picture(picture)
        height, width = picture.pixels.shape[:2]
        small = self._coefficients(picture, chroma, gray)
        output = np.empty((height, width, 3 if picture.alpha is None else 4), picture.pixels.dtype)
        for rows in _stripes(height, width):
            large = resizing.enlarged_rows(small, rows, height, width)
            output[rows, :, :3] = self._painted(self._gray(picture, rows), large, _peak(picture))
        if picture.alpha is not None:
            output[..., 3] = picture.alpha
        return output

    def _coefficients(
        self, picture: Picture, chroma: np.ndarray, gray: np.ndarray | None
    ) -> np.ndarray:
        """Slopes and offsets of chroma over gray, [h, w, 4], to be enlarged.

        Sides that are longer than the picture's are brought down to them.
        """
        height, width = picture.pixels.shape[:2]
        size = min(height, chroma.shape[0]), min(width, chroma.shape[1])
        chroma = resizing.resized(chroma, *size)
        if self.upsampling == "bilinear":
            return np.concatenate([np.zeros_like(chroma), chroma], axis=-1)
        if gray is None or gray.shape[:2] != size:
            gray = self._shrunk(picture, size)
        return guided_filter.coefficients(gray, chroma)

    def _gray(self, picture: Picture, rows: slice) -> np.ndarray:
        """[h, W, 1] float32 in [0, 1]: a gray picture's pixels, a color picture's recipe gray."""
        pixels = picture.pixels[rows] / np.float32(_peak(picture))
        return GRAYS[self.recipe.gray](pixels).numpy() if picture.has_color else pixels[..., None]

    def _shrunk(self, picture: Picture, target: tuple[int, int]) -> np.ndarray:
        """The picture's gray at another size, [h, w, 1] float32 in [0, 1]."""
        size = picture.pixels.shape[:2]
        stripes = (self._gray(picture, rows)[..., 0] for rows in _stripes(*size))
        return resizing.shrunk(stripes, size, target)[..., None]

    def _painted(self, gray: np.ndarray, large: np.ndarray, peak: int) -> np.ndarray:
        """[rows, W, 1] and [rows, W, 4] -> RGB [rows, W, 3] float32, whole numbers up to `peak`."""
        painter, shape = _painter(self.recipe.space), gray.shape[:2]
        gray, large = gray.reshape(-1, 1), large.reshape(-1, 4)
        saturation, white = np.float32(self.saturation), np.float32(peak)
        with tf.device("/CPU:0"):  # where the pixels are
            parts = [
                painter(
                    _filled(gray[at : at + BLOCK]),
                    _filled(large[at : at + BLOCK]),
                    saturation,
                    white,
                )
                for at in range(0, len(gray), BLOCK)
            ]
        return np.concatenate(parts)[: len(gray)].reshape(*shape, 3)


@functools.cache
def _painter(space: ColorSpace) -> Callable[..., Tensor]:
    """Gray [BLOCK, 1], coefficients [BLOCK, 4], saturation and peak -> RGB [BLOCK, 3].

    Compiled by XLA into one pass, once a process: pictures of all sizes come as so many pixels.
    """

    def paint(gray: Tensor, coefficients: Tensor, saturation: Tensor, peak: Tensor) -> Tensor:
        chroma = coefficients[:, :2] * gray + coefficients[:, 2:]
        chroma = space.neutral + saturation * (chroma - space.neutral)
        return tf.round(peak * space.merge(gray, chroma))

    pixels = [tf.TensorSpec([BLOCK, channels], tf.float32) for channels in (1, 4)]
    scalar = tf.TensorSpec([], tf.float32)
    return tf.function(paint, [*pixels, scalar, scalar], jit_compile=True)


def _filled(x: np.ndarray) -> np.ndarray:
    """[n, C] with zeros behind it: [BLOCK, C]."""
    if len(x) == BLOCK:
        return x
    whole = np.zeros((BLOCK, x.shape[1]), np.float32)
    whole[: len(x)] = x
    return whole


def _as_picture(picture: Any) -> Picture:
    if isinstance(picture, Picture):
        return picture
    if isinstance(picture, str | os.PathLike):
        return image_io.read(picture)
    pixels = np.asarray(picture)
    shape_fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shape_fits or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            "colorize() takes one picture, [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8 or "
            f"uint16, or a path. Received {pixels.dtype} {list(pixels.shape)}. "
            "For a batch of gray in [0, 1] call chroma()."
        )
    return image_io.as_picture(pixels)


def _peak(picture: Picture) -> int:
    """The sample value of white."""
    return int(np.iinfo(picture.pixels.dtype).max)


def _stripes(height: int, width: int) -> Iterator[slice]:
    """Rows in groups of at most about `STRIPE` pixels."""
    rows = max(1, STRIPE // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
