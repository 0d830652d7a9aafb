"""Makes small copies of pictures, for decisions about the whole picture."""

from __future__ import annotations

import math

import cv2
import numpy as np

from residual_encoder.imaging import color_constants
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows

LUMA = np.array(color_constants.LUMA, np.float32)


def thumbnail(picture: Picture, side: int) -> np.ndarray:
    """Shrinks a picture by averaging; a smaller one keeps its size.

    Args:
      picture: H by W pixels.
      side: Pixels of the longer side, at most.

    Returns:
      [h, w] gray or [h, w, 3] RGB, float32 in [0, 1].
    """
    height, width = picture.pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if isinstance(picture.pixels, Rows):
        small = _by_blocks(picture.pixels, math.ceil(max(height, width) / side))
    else:
        small = cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.iinfo(picture.pixels.dtype).max


def _by_blocks(pixels: Rows, factor: int) -> np.ndarray:
    """Shrinks a picture that is too large for memory by a whole number, from the top."""
    width = -(-pixels.shape[1] // factor)
    blocks = (pixels[top : top + factor] for top in range(0, len(pixels), factor))
    return np.concatenate(
        [cv2.resize(block, (width, 1), interpolation=cv2.INTER_AREA) for block in blocks]
    )


def luma(pixels: np.ndarray) -> np.ndarray:
    """Returns the luma of [..., H, W, 3] RGB float32 as [..., H, W]; gray [H, W] as it is."""
    return pixels if pixels.ndim == 2 else pixels @ LUMA
