"""Colors pictures of any size; the output has the input's size, bit depth and alpha."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from residual_encoder.imaging import borders, image_io, image_metadata
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import batch_report, chroma_upsampling, face_detail
from residual_encoder.inference.chroma_upsampling import UPSAMPLINGS
from residual_encoder.inference.coloring_config import ColoringConfig, checked_saturation
from residual_encoder.inference.engine_access import EngineAccess
from residual_encoder.inference.engines import choice
from residual_encoder.inference.hint_application import apply, spreading_size
from residual_encoder.inference.hints import Hints, check_one_picture, parse
from residual_encoder.inference.keras_access import KerasAccess
from residual_encoder.inference.model_loading import describe, shipped_weights
from residual_encoder.inference.picture_argument import PictureLike, as_grays, as_picture
from residual_encoder.models.network_size import network_size, repeated
from residual_encoder.models.vividness import ColorChoice, settings
from residual_encoder.recipes import PRECISIONS
from residual_encoder.utils import files
from residual_encoder.utils.typing import Tensor


class Colorizer(KerasAccess, EngineAccess):
    """Colors pictures of any size and keeps their gray.

    Attributes:
      recipe: The recipe that the network was trained with, with the choice of colors in use.
      sha256: Of the weights file.
      source: Where the network was loaded from.
      size: Short side in pixels that the network sees.
      saturation: Factor on the distance of the chroma from neutral; 1 leaves it as it is.
      upsampling: "guided" or "bilinear".
      levels, faces: Whether tones are stretched, and small faces colored from a close-up.
      engine: What runs the network; see `engines`.
    """

    levels: bool = False
    faces: bool = False

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        size: int | str = "auto",
        saturation: float = 1.0,
        upsampling: str = "guided",
        precision: str = "auto",
        vividness: float | None = None,
        temperature: float | None = None,
        prior_correction: float | None = None,
        levels: bool = False,
        faces: bool = False,
        engine: str = "auto",
    ) -> None:
        """Loads the network.

        Args:
          model: A training workdir, weights file or export (SavedModel, LiteRT); None takes the
            weights that come with the package.
          size: Short side in pixels that the network sees, rounded to what it takes; "auto" is the
            recipe's. The output has the size of the picture whatever this is.
          saturation: 0 gives gray, 1 the network's own colors, more is more vivid; at most 100.
          upsampling: How chroma is enlarged to the picture's size: "guided" follows the edges of
            its gray, "bilinear" ignores it.
          precision: "float32", "bfloat16", or "auto": bfloat16 where the device is fast at it and
            the engine is TensorFlow. Only residual encoders and networks of classes have it;
            exports keep their own.
          vividness: From 0, safe, to 1, vivid, of a model that predicts a distribution over colors;
            None leaves the recipe's own choice. See `models.vividness`.
          temperature: Of the annealed mean, from 0.01 up; overrides this part of `vividness`.
          prior_correction: Multiple of the log prior that is taken off the logits, from 0 to 1;
            overrides this part of `vividness`.
          levels: Whether `colorize` stretches a faded picture's tones; see `imaging.levels`.
          faces: Whether `colorize` colors small faces from a close-up; see `face_detail`.
          engine: "tensorflow"; "onnx", which starts in a fraction of its time, and takes residual
            encoders and networks of classes in float32; "litert", for LiteRT files; or "auto".

        Raises:
          FileNotFoundError: there is no such model.
          ValueError: an argument is out of range, or the model is damaged; or colors are chosen and
            the model has no distribution, or is an export.
        """
        if size != "auto" and not (isinstance(size, int) and size >= 8):
            raise ValueError(f'size must be "auto" or a whole number from 8 up. Received {size!r}.')
        self.saturation = checked_saturation(saturation)
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"upsampling must be one of {UPSAMPLINGS}. Received {upsampling!r}.")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}. Received {precision!r}.")
        colors = ColorChoice(vividness, temperature, prior_correction)
        found = describe(shipped_weights() if model is None else model, colors)
        self.recipe, self.sha256, self.source = found.recipe, found.sha256, found.source
        self.size = found.recipe.inference_size if size == "auto" else int(size)
        self.upsampling, self.levels, self.faces = upsampling, levels, faces
        self.engine = choice.make_engine(engine, found, precision, self.size)
        self._engine_is_free = engine == precision == "auto"

    def chroma(self, gray: Tensor) -> Tensor:
        """Predicts chroma at the size of the pictures, before saturation, enlarged bilinearly.

        Args:
          gray: [B, H, W, 1] floats in [0, 1], any B, H and W; a ValueError where it is not.

        Returns:
          [B, H, W, 2] float32 in [0, 1], in the recipe's color space; a tensor if the engine is
          TensorFlow.
        """
        gray = as_grays(gray)
        if gray.shape[0] == 0:
            return np.zeros((*gray.shape[:3], 2), np.float32)
        return self.engine.chroma_of_any_size(gray, self.size)

    def colorize(
        self,
        picture: PictureLike,
        *,
        saturation: float | None = None,
        vividness: float | None = None,
        hints: Hints = (),
        faces: bool | None = None,
    ) -> np.ndarray:
        """Colors one picture: `network_input`, `predict` and `merge` of what its borders surround.

        The network does not see uniform borders, and they stay gray; see `imaging.borders`.

        Args:
          picture: A path; a file's bytes; an image of Pillow; [H, W], [H, W, 1], [H, W, 3] or
            [H, W, 4], uint8 or uint16; or a `Picture`. Of a color one only its gray is read.
          saturation: Takes the place of the colorizer's own; colors of hints stay as they are.
          vividness: Takes the place of the colorizer's own choice of colors.
          hints: What colors places have: `{"x": 10, "y": 20, "rgb": [200, 30, 40]}`; see `hints`.
          faces: Takes the place of the colorizer's own.

        Returns:
          [H, W, 3] RGB, or [H, W, 4] RGBA where the picture has alpha, of the picture's own type.

        Raises:
          ValueError: no picture, or of another shape or type; a vividness out of range, or of a
            model that takes none; a wrong hint.
          OSError: the file cannot be read.
        """
        places, picture = parse(hints), as_picture(picture)
        area = borders.print_area(picture)
        if self.levels:
            picture = chroma_upsampling.with_levels(picture, area, self.recipe.gray)
        inside = borders.cropped(picture, area)
        chroma, gray = self._seen(inside, vividness)
        saturation = self.saturation if saturation is None else checked_saturation(saturation)
        shape, space = picture.pixels.shape, self.recipe.array_space
        fine = self.spreading_gray(inside, gray) if places else gray
        hinted, factor = apply(chroma, fine, places, area, shape, space, saturation)
        colored = self.merge_area(picture, area, hinted, gray, saturation=factor)
        if not (self.faces if faces is None else faces):
            return colored

        def close_up(part: Picture) -> np.ndarray:
            return self.merge(part, *self._seen(part, vividness), saturation=saturation)

        return face_detail.with_faces(picture, area, colored, self.size, places, close_up)

    def _seen(self, picture: Picture, vividness: float | None) -> tuple[np.ndarray, np.ndarray]:
        gray = self.network_input(picture)
        if vividness is None:
            return self.predict(gray[None])[0], gray
        return self.choose_colors(self.predict_logits(gray[None]), vividness)[0], gray

    def colorize_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        saturation: float | None = None,
        vividness: float | None = None,
        max_pixels: int | None = None,
        hints: Hints = (),
        faces: bool | None = None,
    ) -> None:
        """Colors a picture file into another, in the format of the target's suffix.

        Metadata are kept where the formats hold them, and the copy is marked as made by an
        algorithm; see `image_metadata`. All pages of a TIFF and all frames of an animation are
        colored where the target's format holds them; a warning tells what is left out. See `pages`.

        Args:
          source: A picture file.
          target: The file to write.
          overwrite: Whether a `target` that exists is replaced.
          saturation: Takes the place of the colorizer's own.
          vividness: Takes the place of the colorizer's own choice of colors.
          max_pixels: Takes the place of `image_io.MAX_PIXELS`.
          hints: As of `colorize`; not for files of several pictures.
          faces: Takes the place of the colorizer's own.

        Raises:
          FileExistsError: `target` exists and `overwrite` is false.
          ValueError: `target` is `source`; `source` is no picture; the format cannot hold it.
          OSError: a file cannot be read or written.
        """
        if Path(target).resolve() == Path(source).resolve():
            raise ValueError(f"{source} would be written onto itself; choose another output")
        files.check_free(target, overwrite)

        from residual_encoder.inference import pages  # which import this module

        look = pages.Look(saturation, vividness)

        def color_one(picture: Picture, part: Path, _: list[Path]) -> tuple[str, ...]:
            colored = self.colorize(picture, **look._asdict(), hints=hints, faces=faces)
            image_io.write(part, colored, image_metadata.marked(picture.metadata))
            return ()

        source, target = Path(source), Path(target)
        if several := pages.inspect(source, max_pixels):
            check_one_picture(source, bool(hints))
            done = pages.colorize_pages(self, several, target, [target], color_one, look)
            for note in done.notes:
                warnings.warn(f"{source}: {note}", stacklevel=2)
        else:
            picture = image_io.read(source, max_pixels)
            color_one(picture, target, [])
            if picture.others:
                told = batch_report.others_left_out(picture.others)
                warnings.warn(f"{source}: {told}", stacklevel=2)

    # --- the steps of colorize, for callers that work on chroma in between ---

    def network_input(self, picture: PictureLike) -> np.ndarray:
        """Makes the network's input of a picture: its gray at the network's size.

        Args:
          picture: As `colorize` takes it.

        Returns:
          [h, w, 1] float32 in [0, 1]; h and w depend on the picture's size only.
        """
        picture = as_picture(picture)
        height, width = picture.pixels.shape[:2]
        size = network_size(height, width, self.size, self.recipe.multiple)
        return chroma_upsampling.shrunk_gray(picture, size, self.recipe.gray)

    def spreading_gray(self, picture: Picture, gray: np.ndarray) -> np.ndarray:
        """Returns the gray along which colors of hints are spread: [h', w', 1] float32 in [0, 1].

        Args:
          picture: What the network saw.
          gray: [h, w, 1], its `network_input`; returned itself where it is fine enough.
        """
        size = spreading_size(gray.shape, picture.pixels.shape)
        if size == gray.shape[:2]:
            return gray
        return chroma_upsampling.shrunk_gray(picture, size, self.recipe.gray)

    def predict(self, gray: Tensor) -> np.ndarray:
        """Runs the network.

        Args:
          gray: [B, h, w, 1] floats in [0, 1], as `network_input` gives it, else a ValueError; of
            other sizes the last row and column are repeated for the network.

        Returns:
          [B, h, w, 2] float32 in [0, 1], chroma in the recipe's color space, before saturation.
        """
        batch, height, width = (gray := as_grays(gray)).shape[:3]
        if batch == 0:
            return np.zeros((0, height, width, 2), np.float32)
        return self.engine.chroma(repeated(gray, self.recipe.multiple))[:, :height, :width]

    def predict_logits(self, gray: Tensor) -> np.ndarray:
        """Runs a network of classes up to its logits, from which `choose_colors` takes colors.

        Args:
          gray: As of `predict`.

        Returns:
          [B, h', w', Q] float32, at a quarter of the size of what the network sees, the recipe's
          margin included.

        Raises:
          ValueError: the model has no distribution, or is an export.
        """
        self._check_distribution()
        return self.engine.logits(as_grays(gray))

    def choose_colors(self, logits: np.ndarray, vividness: float | None = None) -> np.ndarray:
        """Takes colors from logits; the network does not run.

        Args:
          logits: As `predict_logits` gives them, in any type.
          vividness: Takes the place of the colorizer's own choice of colors.

        Returns:
          As `predict`.

        Raises:
          ValueError: the model has no distribution, or is an export; or out of range.
        """
        self._check_distribution()
        config = ColorChoice(vividness).applied(self.recipe.network)
        return self.engine.colors(logits, **settings(config))

    def _check_distribution(self) -> None:
        if not self.has_distribution:
            raise ValueError(
                f"{self.source} has no distribution to choose colors from, or it is an export, "
                "in which the choice was fixed at export. Use saturation (--saturation) instead."
            )

    def merge(
        self,
        picture: PictureLike,
        chroma: np.ndarray,
        gray: np.ndarray | None = None,
        *,
        saturation: float | None = None,
    ) -> np.ndarray:
        """Enlarges chroma to a picture's size and joins it to the picture's gray.

        Args:
          picture: As `colorize` takes it, H by W pixels.
          chroma: [h, w, 2] float32 in [0, 1], as `predict` gives it, without the batch.
          gray: [h, w, 1] float32, `network_input` of this picture; made again where it is left out.
          saturation: Takes the place of the colorizer's own.

        Returns:
          As `colorize`.
        """
        return chroma_upsampling.upsample(
            as_picture(picture),
            chroma,
            gray_kind=self.recipe.gray,
            space=self.recipe.array_space,
            saturation=self.saturation if saturation is None else checked_saturation(saturation),
            upsampling=self.upsampling,
            small_gray=gray,
        )

    def merge_area(
        self,
        picture: Picture,
        area: borders.Box,
        chroma: np.ndarray,
        gray: np.ndarray,
        *,
        saturation: float | None = None,
    ) -> np.ndarray:
        """Colors a part of a picture, as `merge` does; the rest stays gray.

        Args:
          picture: H by W pixels.
          area: The part.
          chroma: [h, w, 2] float32 in [0, 1], of the part.
          gray: [h, w, 1] float32, `network_input` of the part.
          saturation: Takes the place of the colorizer's own.

        Returns:
          As `colorize`, of the whole picture.
        """
        inside = borders.cropped(picture, area)
        colored = self.merge(inside, chroma, gray, saturation=saturation)
        if inside.pixels.shape[:2] == picture.pixels.shape[:2]:
            return colored
        return borders.pasted(colored, area, self.as_gray(picture))

    def as_gray(self, picture: Picture) -> np.ndarray:
        """Returns a picture's gray as the network sees it, in the form of `colorize`'s output."""
        neutral = np.full((1, 1, 2), self.recipe.array_space.neutral, np.float32)
        return self.merge(picture, neutral)


# Arguments of `Colorizer` that `ColoringConfig` has under the same names.
_NAMES = "size saturation upsampling vividness temperature prior_correction levels faces"


def configured(config: ColoringConfig, engine: str = "auto") -> Colorizer:
    """Loads the network that a config names, with the config's settings, into an engine.

    Raises:
      FileNotFoundError: there is no such model.
      ValueError: a wrong setting, or a damaged model.
    """
    settings = {name: getattr(config, name) for name in _NAMES.split()}
    return Colorizer(config.model, engine=engine, **settings)
