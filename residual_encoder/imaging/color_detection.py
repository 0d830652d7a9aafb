"""Tells pictures in color from gray ones with a tint: sepia, cyanotypes, yellowed prints.

A tint gives each lightness one color, and age changes it slowly from place to place, most towards
the edges. So chroma is fitted as a smooth function of lightness and place, robustly; what that
leaves unexplained, over enough of the picture, is color.
"""

from __future__ import annotations

import cv2
import numpy as np

from residual_encoder.imaging import borders, thumbnails
from residual_encoder.imaging.image_io import Picture

SIDE = 96  # pixels of the copy's longer side: averages grain and JPEG's noise of chroma away
SHARE = 0.05  # of the picture that is in color
# Chroma in units of CIE Lab's a and b, of which 2.3 are just seen. Measured: 1,100 tinted
# pictures, with grain, JPEG down to quality 30, uneven yellowing and borders, stay at or below 3.5;
# photographs reach 8 to 32, and most at a third to a half of their saturation 4 or more.
UNEXPLAINED = 4.0
_BLUR = 1.5  # pixels of the copy, standard deviation: color comes in patches, noise does not
# Knots of the function of lightness; close near white, where a tint that is clipped falls steeply.
_KNOTS = (*np.linspace(0, 11 / 12, 12), 0.95, 0.975, 0.99, 1.0)
_REACHES = (0.08, 0.25)  # of half the picture: how far yellowing comes in from the edges
_ROBUST = 2.0  # chroma beyond which a pixel counts less and less in the fit
_ROUNDS = 6
_RIDGE = 1e-6  # of the number of pixels; keeps tones that do not occur at 0
_LEAST_PIXELS = 20  # for each unknown of the fit; smaller pictures get a simpler one


def in_color(picture: Picture) -> bool:
    """Returns whether a picture is in color, and not gray or gray with a tint.

    Uniform borders do not count. Parts in color below `SHARE`, as of a stamp, do not count either.

    Args:
      picture: Of any size.
    """
    if not picture.has_color:
        return False
    inside = borders.cropped(picture, borders.print_area(picture))
    lab = cv2.cvtColor(thumbnails.thumbnail(inside, SIDE), cv2.COLOR_RGB2Lab)
    spread = np.hypot(*np.moveaxis(lab[..., 1:] - np.median(lab[..., 1:], axis=(0, 1)), -1, 0))
    if _exceeded(spread) <= UNEXPLAINED / 2:  # one color for all tones: no need to fit
        return False
    return _exceeded(unexplained(lab)) > UNEXPLAINED


def unexplained(lab: np.ndarray) -> np.ndarray:
    """Returns the chroma that is no smooth function of lightness and place.

    Args:
      lab: [h, w, 3] float32, CIE Lab.

    Returns:
      [h, w] float32, in units of a and b.
    """
    height, width = lab.shape[:2]
    functions = _functions(lab[..., 0] / 100)
    chroma = np.ascontiguousarray(lab[..., 1:]).reshape(-1, 2)
    ridge = _RIDGE * len(chroma) * np.eye(functions.shape[1], dtype=np.float32)
    trust = np.ones((len(chroma), 1), np.float32)
    # OpenCV multiplies in this thread; those of NumPy would wait for cores on a busy machine.
    for _ in range(_ROUNDS):
        trusted = functions * trust
        normal = cv2.gemm(trusted, functions, 1.0, ridge, 1.0, flags=cv2.GEMM_1_T)
        fit = cv2.solve(normal, cv2.gemm(trusted, chroma, 1.0, None, 0.0, flags=cv2.GEMM_1_T))[1]
        rest = cv2.gemm(functions, fit, -1.0, chroma, 1.0)
        trust = 1 / (1 + np.sum(rest**2, axis=1, keepdims=True) / _ROBUST**2)
    rest = cv2.GaussianBlur(rest.reshape(height, width, 2), (0, 0), _BLUR)
    return np.hypot(rest[..., 0], rest[..., 1])


def _exceeded(chroma: np.ndarray) -> float:
    """Returns the value that a share `SHARE` of the pixels exceeds."""
    return float(np.quantile(chroma, 1 - SHARE))


def _functions(tone: np.ndarray) -> np.ndarray:
    """Returns the functions that a tint is made of, at each pixel: [h * w, functions] float32."""
    tones = [np.interp(tone, _KNOTS, one) for one in np.eye(len(_KNOTS))]
    places = [place * weight for place in _places(*tone.shape) for weight in (1, tone, tone**2)]
    columns = tones + places
    if tone.size < _LEAST_PIXELS * len(columns):
        columns = [np.ones_like(tone), tone, tone**2]
    return np.stack([column.ravel() for column in columns], axis=1).astype(np.float32)


def _places(height: int, width: int) -> list[np.ndarray]:
    """Returns the functions of place, [h, w] each: quadratics, and two that rise at the edges."""
    y = ((2 * np.arange(height) + 1) / height - 1)[:, None] + np.zeros((height, width))
    x = ((2 * np.arange(width) + 1) / width - 1)[None] + np.zeros((height, width))
    inwards = np.minimum(1 - np.abs(y), 1 - np.abs(x))
    return [x, y, x * x, x * y, y * y, *(np.exp(-inwards / reach) for reach in _REACHES)]
