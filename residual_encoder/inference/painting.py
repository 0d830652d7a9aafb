"""Colors one picture or film into its files; what `batch` and `apps.archive` share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residual_encoder.imaging import image_io
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import video
from residual_encoder.inference.colorizer import Colorizer

# What one bad input may raise; the others go on.
FAULTS = (ValueError, OSError, MemoryError)


def beside(target: Path) -> Path:
    """Where gray | colored of a picture goes."""
    return target.with_name(f"{target.stem}_compare{target.suffix}")


def paint(colorizer: Colorizer, picture: Picture, target: Path, wanted: list[Path]) -> None:
    """Colors a picture into those of `target` and `beside(target)` that are wanted.

    Files of these names are replaced; folders are made.

    Raises:
      ValueError: the format of `target` cannot hold the picture.
      OSError: a file cannot be written.
    """
    colored = colorizer.colorize(picture)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target in wanted:
        image_io.write(target, colored, picture.metadata)
    if beside(target) in wanted:
        pair = np.concatenate([_gray(colorizer, picture), colored], axis=1)
        image_io.write(beside(target), pair, picture.metadata)


def _gray(colorizer: Colorizer, picture: Picture) -> np.ndarray:
    """The picture's gray as the network sees it, of the output's shape and type."""
    neutral = np.full((1, 1, 2), colorizer.recipe.space.neutral, np.float32)
    return colorizer.merge(picture, neutral)


def paint_film(
    colorizer: Colorizer, source: Path, target: Path, overwrite: bool = False
) -> video.FilmSummary:
    """Colors a film; see `video.colorize_film`. Folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    film = video.FilmConfig(str(source), str(target), overwrite=overwrite)
    return video.colorize_film(colorizer, film)
