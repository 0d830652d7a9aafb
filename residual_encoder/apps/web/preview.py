"""Makes a small copy of a picture that is quick to color again, and its file at full size."""

from __future__ import annotations

import copy
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import borders, color_detection, image_io
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import face_detail, likely_colors, output_paths, pages
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hint_application import apply, mark
from residual_encoder.inference.hints import Hint, check_one_picture
from residual_encoder.utils import files

SIDE = 1600  # pixels of a preview's longer side: sharp on a wide screen, merged in 0.1 s
AREA = SIDE * SIDE // 2  # pixels that a long, narrow picture may have in place of that


class Preview(NamedTuple):
    """Keeps one picture while its vividness and saturation are chosen."""

    source: Path  # the picture's file
    picture: Picture  # 8 bits, no side longer than `SIDE`, or of at most `AREA` pixels
    area: borders.Box  # of it, what its borders surround
    full_area: borders.Box  # the same, of the picture at full size
    gray: np.ndarray  # [h, w, 1] float32 in [0, 1], the network's input, of the area at full size
    fine_gray: np.ndarray  # [h', w', 1] float32 in [0, 1], along which colors of hints are spread
    chroma: np.ndarray  # [h, w, 2] float32 in [0, 1], what the network predicts
    logits: np.ndarray | None  # [h', w', Q] float32 of a model with a distribution, else None
    height: int  # of the file's picture, pixels
    width: int
    pictures: int  # pages or frames of the file, of which the first is shown
    in_color: bool  # whether the file is in color already
    others: int  # further pictures of a HEIC or AVIF file, which are left out


class Likely(NamedTuple):
    """What colors a place may have."""

    colors: np.ndarray  # uint8 [n, 3], the likeliest first
    gray: float  # of the place, in [0, 1]


def make_preview(colorizer: Colorizer, source: str | os.PathLike[str]) -> Preview:
    """Reads a picture and runs the network on it, once.

    Raises:
      ValueError: no picture; the message begins with the file's name, without its folder.
      OSError: the file cannot be read.
    """
    source = Path(source)
    try:
        picture = image_io.decode(source.read_bytes())
    except ValueError as error:
        raise ValueError(f"{source.name} {error}") from error
    pictures, in_color = _count(source), color_detection.in_color(picture)
    area, (height, width) = borders.print_area(picture), picture.pixels.shape[:2]
    inside = borders.cropped(picture, area)
    gray = colorizer.network_input(inside)
    fine = colorizer.spreading_gray(inside, gray)
    chroma, logits = _predicted(colorizer, gray)
    small = _reduced(picture)
    part = borders.scaled(area, (height, width), small.pixels.shape[:2])
    pixels = small, part, area, gray, fine, chroma, logits
    return Preview(source, *pixels, height, width, pictures, in_color, picture.others)


def _count(source: Path) -> int:
    """Returns how many pages or frames a file has."""
    try:
        several = pages.inspect(source)
    except ValueError as error:
        raise ValueError(str(error).replace(f"{source.parent}/", "")) from error
    return several.count if several else 1


def _predicted(colorizer: Colorizer, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Runs the network. -> chroma, and the logits it was chosen from where there are any."""
    if not colorizer.has_distribution:
        return colorizer.predict(gray[None])[0], None
    logits = colorizer.predict_logits(gray[None])
    # In float32: rounded to float16 they would change up to 1 of 500 samples of the file's.
    return colorizer.choose_colors(logits)[0], logits[0]


def render_preview(
    colorizer: Colorizer,
    shown: Preview,
    saturation: float,
    vividness: float | None = None,
    hints: Sequence[Hint] = (),
    faces: bool = False,
) -> np.ndarray:
    """Colors the small copy; the network runs for small faces only.

    Args:
      colorizer: The colorizer to use.
      shown: The picture.
      saturation: As in `Colorizer`.
      vividness: As in `Colorizer`; None leaves the colorizer's own choice of colors.
      hints: In pixels of the picture at full size.
      faces: Whether small faces are colored from close-ups; see `face_detail`.

    Returns:
      uint8 [h, w, 3], on white where clear.

    Raises:
      ValueError: a hint lies outside the picture or on its border, or is for a file of several
        pictures; or `vividness` is out of range.
    """
    if shown.pictures > 1:
        check_one_picture(Path(shown.source.name), bool(hints))
    chroma, factor = apply(
        _chroma(colorizer, shown, vividness),
        shown.fine_gray,
        hints,
        shown.full_area,
        (shown.height, shown.width),
        colorizer.recipe.array_space,
        saturation,
    )
    pixels = colorizer.merge_area(shown.picture, shown.area, chroma, shown.gray, saturation=factor)
    if faces:
        pixels = _with_faces(colorizer, shown, pixels, saturation, vividness, hints)
    if shown.picture.alpha is None:
        return pixels
    opacity = pixels[..., 3:] / np.float32(255)
    return np.rint(255 + opacity * (pixels[..., :3] - np.float32(255))).astype(np.uint8)


def _with_faces(
    colorizer: Colorizer,
    shown: Preview,
    colored: np.ndarray,
    saturation: float,
    vividness: float | None,
    hints: Sequence[Hint],
) -> np.ndarray:
    """Colors the small faces of the small copy as the colorizer does those of the picture."""

    def close_up(part: Picture) -> np.ndarray:
        gray = colorizer.network_input(part)
        chroma, logits = _predicted(colorizer, gray)
        if vividness is not None and logits is not None:
            chroma = colorizer.choose_colors(logits[None], vividness)[0]
        return colorizer.merge(part, chroma, gray, saturation=saturation)

    height, width = shown.picture.pixels.shape[:2]
    down, across = height / shown.height, width / shown.width
    small = [hint._replace(x=hint.x * across, y=hint.y * down) for hint in hints]
    return face_detail.with_faces(
        shown.picture, shown.area, colored, colorizer.size, small, close_up
    )


def _chroma(colorizer: Colorizer, shown: Preview, vividness: float | None) -> np.ndarray:
    """Returns the network's chroma, [h, w, 2], at a vividness where there is a distribution."""
    if vividness is None or shown.logits is None:
        return shown.chroma
    return colorizer.choose_colors(shown.logits[None], vividness)[0]


def likely_at(
    colorizer: Colorizer, shown: Preview, x: float, y: float, vividness: float | None = None
) -> Likely:
    """Finds colors that a place is likely to have.

    Args:
      colorizer: The colorizer to use.
      shown: The picture.
      x: The place, in pixels of the picture at full size.
      y: As `x`.
      vividness: As in `Colorizer`.

    Raises:
      ValueError: the place lies outside the picture or on its border.
    """
    shape, space = (shown.height, shown.width), colorizer.recipe.array_space
    row, column, _ = mark(
        Hint(x, y, None), "the place", shown.gray.shape, shown.full_area, shape, space
    )
    gray = float(shown.gray[row, column, 0])
    chroma = _chroma(colorizer, shown, vividness)[row, column]
    if shown.logits is None:
        likely = likely_colors.around(likely_colors.ab_of(gray, chroma, space))
    else:
        margin = colorizer.recipe.margin
        height, width = shown.gray.shape[0] + 2 * margin, shown.gray.shape[1] + 2 * margin
        across, down = (column + 0.5 + margin) / width, (row + 0.5 + margin) / height
        likely = likely_colors.of_distribution(shown.logits, down, across)
    return Likely(likely_colors.peaks(likely, gray), gray)


def render_full_size(
    colorizer: Colorizer,
    shown: Preview,
    saturation: float,
    folder: Path,
    vividness: float | None = None,
    hints: Sequence[Hint] = (),
    faces: bool = False,
) -> Path:
    """Writes the picture in full size, byte for byte as colorize would.

    Args:
      colorizer: The colorizer to use.
      shown: Of which file.
      saturation: As in `Colorizer`.
      folder: A new folder is made in it for the file.
      vividness: As in `Colorizer`; None leaves the colorizer's own choice of colors.
      hints: As in `Colorizer.colorize`.
      faces: As in `Colorizer`.

    Returns:
      The file: NAME_colored, with the suffix that the tool would give it.

    Raises:
      ValueError: the format cannot hold the picture.
      OSError: the picture is gone, or the folder cannot be written.
    """
    target = Path(tempfile.mkdtemp(dir=folder)) / colored_name(shown.source.name)
    own = copy.copy(colorizer)  # other visitors' is not touched
    own.faces = faces
    own.colorize_file(shown.source, target, saturation=saturation, vividness=vividness, hints=hints)
    return target


def colored_name(name: str) -> str:
    """Returns the name of a file's colored copy: NAME_colored."""
    written = output_paths.output_name(Path(name))
    return files.fitting_name(written.stem, f"_colored{written.suffix}")


def _reduced(picture: Picture) -> Picture:
    """Reduces a picture to 8 bits and at most `SIDE` pixels a side, or `AREA` in all."""
    alpha = None if picture.alpha is None else _small_u8(picture.alpha)
    return Picture(_small_u8(picture.pixels), alpha)


def _small_u8(pixels: np.ndarray) -> np.ndarray:
    """Converts uint8 or uint16 [H, W] or [H, W, 3] -> uint8, small; see `_reduced`."""
    from PIL import Image

    small = Image.fromarray(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))
    side = int(max(SIDE, max(small.size) * math.sqrt(AREA / (small.width * small.height))))
    small.thumbnail((side, side), reducing_gap=2.0)
    return np.array(small)
