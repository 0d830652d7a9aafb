"""Stretches the tones of a faded scan to the full range, as "auto levels" of editors does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture

CLIPPED = 0.005  # share of the pixels at either end that becomes black or white
LEAST_RANGE = 1 / 16  # of white; what has fewer tones is no faded picture but a blank one


def stretched(picture: Picture, box: Box) -> Picture:
    """Stretches the tones of a gray picture so that its darkest is black and its lightest white.

    Args:
      picture: H by W pixels, gray.
      box: The part that decides: the print without its borders. All of the picture is stretched.

    Returns:
      A picture of the same size and type; the same one where it has all tones, or hardly any.
    """
    peak = np.iinfo(picture.pixels.dtype).max
    part = picture.pixels[box.top : box.bottom, box.left : box.right]
    black, white = _ends(part, peak)
    if white - black < LEAST_RANGE * peak or (black, white) == (0, peak):
        return picture
    tones = (np.arange(peak + 1) - black) * (peak / (white - black))
    table = np.clip(np.rint(tones), 0, peak).astype(picture.pixels.dtype)
    return replace(picture, pixels=table[picture.pixels])


def _ends(pixels: np.ndarray, peak: int) -> tuple[int, int]:
    """Returns the tones that become black and white."""
    counts = np.zeros(peak + 1, np.int64)
    for rows in np.array_split(pixels, -(-pixels.size // 2**22)):  # keeps the copies small
        counts += np.bincount(rows.ravel(), minlength=peak + 1)
    share = np.cumsum(counts) / pixels.size
    return int(np.argmax(share > CLIPPED)), int(np.argmax(share >= 1 - CLIPPED))
