"""Takes pictures as arrays, as files and decoded."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from residual_encoder.imaging import image_io
from residual_encoder.imaging.image_io import Picture


def as_picture(picture: Any) -> Picture:
    """Returns what `Colorizer.colorize` takes as a `Picture`.

    Raises:
      ValueError: no picture, or of another shape or type.
      OSError: the file cannot be read.
    """
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
