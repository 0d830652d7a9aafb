"""Joins the network's chroma to a picture's gray at the picture's size, a few rows at a time.

These functions know pixels, an `ArrayColorSpace` and numbers; `Colorizer` brings them together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from residual_encoder.imaging import array_colors, borders, guided_filter, levels, resizing
from residual_encoder.imaging.array_colors import GRAYS, ArrayColorSpace
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows

STRIPE = 1 << 16  # pixels in rows worked on at a time: their floats stay in a core's cache
UPSAMPLINGS = ("guided", "bilinear")


def upsample(
    picture: Picture,
    chroma: np.ndarray,
    *,
    gray_kind: str,
    space: ArrayColorSpace,
    saturation: float,
    upsampling: str = "guided",
    small_gray: np.ndarray | None = None,
) -> np.ndarray:
    """Enlarges chroma to a picture's size and joins it to the picture's gray.

    Args:
      picture: H by W pixels.
      chroma: [h, w, 2] float32 in [0, 1].
      gray_kind: A key of `array_colors.GRAYS`: how a color picture's gray is made.
      space: The color space of `chroma`.
      saturation: Factor on the distance of the chroma from neutral.
      upsampling: One of `UPSAMPLINGS`.
      small_gray: [h, w, 1] float32, the picture's gray at the size of `chroma`, as `shrunk_gray`
        gives it; made again where it is left out.

    Returns:
      [H, W, 3] RGB, or [H, W, 4] RGBA where the picture has alpha, of the picture's type. Of a
      picture of `Rows`, `Rows` that are computed when they are taken.
    """
    height, width = picture.pixels.shape[:2]
    small = coefficients(
        picture, chroma, gray_kind=gray_kind, upsampling=upsampling, small_gray=small_gray
    )
    shape = height, width, 3 if picture.alpha is None else 4

    def colored(rows: slice) -> np.ndarray:
        output = np.empty((rows.stop - rows.start, *shape[1:]), picture.pixels.dtype)
        for part in _stripes(rows, width):
            large = resizing.enlarged_rows(small, part, height, width)
            gray = gray_rows(picture, part, gray_kind)
            place = slice(part.start - rows.start, part.stop - rows.start)
            rgb = array_colors.colored(gray, large, space, saturation, _peak(picture))
            output[place, :, :3] = rgb
            if picture.alpha is not None:
                output[place, :, 3] = picture.alpha[part]
        return output

    if isinstance(picture.pixels, Rows):
        return cast(np.ndarray, Rows(shape, picture.pixels.dtype, colored))
    return colored(slice(0, height))


def coefficients(
    picture: Picture,
    chroma: np.ndarray,
    *,
    gray_kind: str,
    upsampling: str = "guided",
    small_gray: np.ndarray | None = None,
) -> np.ndarray:
    """Fits chroma as slope * gray + offset, to be enlarged; see `upsample` for the arguments.

    Sides that are longer than the picture's are brought down to them.

    Returns:
      [h, w, 4] float32, two slopes and two offsets.
    """
    height, width = picture.pixels.shape[:2]
    size = min(height, chroma.shape[0]), min(width, chroma.shape[1])
    chroma = resizing.resized(chroma, *size)
    if upsampling == "bilinear":
        return np.concatenate([np.zeros_like(chroma), chroma], axis=-1)
    if small_gray is None or small_gray.shape[:2] != size:
        small_gray = shrunk_gray(picture, size, gray_kind)
    return guided_filter.coefficients(small_gray, chroma)


def gray_rows(picture: Picture, rows: slice, gray_kind: str) -> np.ndarray:
    """Returns the gray of some rows: a gray picture's pixels, a color picture's by `gray_kind`.

    Returns:
      [rows, W, 1] float32 in [0, 1].
    """
    pixels = picture.pixels[rows] / np.float32(_peak(picture))
    return GRAYS[gray_kind](pixels) if picture.has_color else pixels[..., None]


def as_gray(picture: Picture, gray_kind: str) -> Picture:
    """Returns a picture with the gray of its pixels, in its own type; a gray one as it is."""
    if not picture.has_color:
        return picture
    height, width = picture.pixels.shape[:2]

    def gray(rows: slice) -> np.ndarray:
        output = np.empty((rows.stop - rows.start, width), picture.pixels.dtype)
        for part in _stripes(rows, width):
            place = slice(part.start - rows.start, part.stop - rows.start)
            output[place] = np.rint(gray_rows(picture, part, gray_kind)[..., 0] * _peak(picture))
        return output

    if isinstance(picture.pixels, Rows):
        return replace(picture, pixels=Rows((height, width), picture.pixels.dtype, gray))
    return replace(picture, pixels=gray(slice(0, height)))


def with_levels(picture: Picture, area: borders.Box, gray_kind: str) -> Picture:
    """Returns a picture's gray with its tones stretched to black and white; see `levels`."""
    return levels.stretched(as_gray(picture, gray_kind), area)


def shrunk_gray(picture: Picture, target: tuple[int, int], gray_kind: str) -> np.ndarray:
    """Returns a picture's gray at another size (h, w): [h, w, 1] float32 in [0, 1]."""
    size = picture.pixels.shape[0], picture.pixels.shape[1]
    stripes = (
        gray_rows(picture, rows, gray_kind)[..., 0] for rows in _stripes(slice(0, size[0]), size[1])
    )
    return resizing.shrunk(stripes, size, target)[..., None]


def _peak(picture: Picture) -> int:
    """Returns the sample value of white."""
    return int(np.iinfo(picture.pixels.dtype).max)


def _stripes(rows: slice, width: int) -> Iterator[slice]:
    """Splits rows into groups of at most about `STRIPE` pixels."""
    count = max(1, STRIPE // width)
    tops = range(rows.start, rows.stop, count)
    return (slice(top, min(top + count, rows.stop)) for top in tops)
