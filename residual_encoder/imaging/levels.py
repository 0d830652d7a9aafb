"""Stretches the tones of a faded scan to the full range, as "auto levels" of editors does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from residual_encoder.imaging import borders
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows, blocks, mapped

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
    black, white = _ends(borders.cropped(picture, box).pixels, peak)
    if white - black < LEAST_RANGE * peak or (black, white) == (0, peak):
        return picture
    tones = (np.arange(peak + 1) - black) * (peak / (white - black))
    table = np.clip(np.rint(tones), 0, peak).astype(picture.pixels.dtype)
    return replace(picture, pixels=mapped(lambda rows: table[rows], picture.pixels))


def _ends(pixels: np.ndarray | Rows, peak: int) -> tuple[int, int]:
    """Returns the tones that become black and white."""
    counts = np.zeros(peak + 1, np.int64)
    for rows in blocks(pixels):
        counts += np.bincount(pixels[rows].ravel(), minlength=peak + 1)
    share = np.cumsum(counts) / counts.sum()
    return int(np.argmax(share > CLIPPED)), int(np.argmax(share >= 1 - CLIPPED))
