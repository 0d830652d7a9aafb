"""Joins the network's chroma to a picture's gray at the picture's size, a few rows at a time.

These functions know pixels, a `ColorSpace` and numbers; `Colorizer` brings them together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import borders, guided_filter, levels, resizing
from residual_encoder.imaging.colorspace import GRAYS, ColorSpace
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows
from residual_encoder.utils.typing import Tensor

STRIPE = 1 << 16  # pixels in rows worked on at a time: their floats stay in a core's cache
BLOCK = 1 << 16  # pixels that one run of the compiled graph colors
UPSAMPLINGS = ("guided", "bilinear")


def upsample(
    picture: Picture,
    chroma: np.ndarray,
    *,
    gray_kind: str,
    space: ColorSpace,
    saturation: float,
    upsampling: str = "guided",
    small_gray: np.ndarray | None = None,
) -> np.ndarray:
    """Enlarges chroma to a picture's size and joins it to the picture's gray.

    Args:
      picture: H by W pixels.
      chroma: [h, w, 2] float32 in [0, 1].
      gray_kind: A key of `colorspace.GRAYS`: how a color picture's gray is made.
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
            output[place, :, :3] = merged(gray, large, space, saturation, _peak(picture))
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
    return GRAYS[gray_kind](pixels).numpy() if picture.has_color else pixels[..., None]


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


def merged(
    gray: np.ndarray, large: np.ndarray, space: ColorSpace, saturation: float, peak: int
) -> np.ndarray:
    """Colors rows of pixels.

    Args:
      gray: [rows, W, 1] float32 in [0, 1].
      large: [rows, W, 4] float32, `coefficients` enlarged.
      space: The color space of the chroma.
      saturation: Factor on the distance of the chroma from neutral.
      peak: The sample value of white.

    Returns:
      RGB [rows, W, 3] float32, whole numbers from 0 to `peak`.
    """
    merge, shape = _compiled_merge(space), gray.shape[:2]
    gray, large = gray.reshape(-1, 1), large.reshape(-1, 4)
    factor, white = np.float32(saturation), np.float32(peak)
    with tf.device("/CPU:0"):  # where the pixels are
        parts = [
            merge(_padded(gray[at : at + BLOCK]), _padded(large[at : at + BLOCK]), factor, white)
            for at in range(0, len(gray), BLOCK)
        ]
    return np.concatenate(parts)[: len(gray)].reshape(*shape, 3)


@functools.cache
def _compiled_merge(space: ColorSpace) -> Callable[..., Tensor]:
    """Compiles: gray [BLOCK, 1], coefficients [BLOCK, 4], saturation, peak -> RGB [BLOCK, 3].

    Compiled by XLA into one pass, once a process: pictures of all sizes come as so many pixels.
    """

    def merge(gray: Tensor, coefficients: Tensor, saturation: Tensor, peak: Tensor) -> Tensor:
        chroma = coefficients[:, :2] * gray + coefficients[:, 2:]
        chroma = space.neutral + saturation * (chroma - space.neutral)
        return tf.round(peak * space.merge(gray, chroma))

    pixels = [tf.TensorSpec([BLOCK, channels], tf.float32) for channels in (1, 4)]
    scalar = tf.TensorSpec([], tf.float32)
    return tf.function(merge, [*pixels, scalar, scalar], jit_compile=True)


def _padded(x: np.ndarray) -> np.ndarray:
    """Pads [n, C] with zeros at the end: [BLOCK, C]."""
    if len(x) == BLOCK:
        return x
    whole = np.zeros((BLOCK, x.shape[1]), np.float32)
    whole[: len(x)] = x
    return whole


def _peak(picture: Picture) -> int:
    """Returns the sample value of white."""
    return int(np.iinfo(picture.pixels.dtype).max)


def _stripes(rows: slice, width: int) -> Iterator[slice]:
    """Splits rows into groups of at most about `STRIPE` pixels."""
    count = max(1, STRIPE // width)
    tops = range(rows.start, rows.stop, count)
    return (slice(top, min(top + count, rows.stop)) for top in tops)
