"""The color spaces of `colorspace` for NumPy arrays, without TensorFlow: what coloring needs.

Everything takes arrays of any leading shape and returns float32 arrays. RGB and gray are sRGB code
values in [0, 1]. Channels are worked on as planes, and curves in two parts are written as a minimum
or a sum of both: a choice by pixel costs more than a power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from residual_encoder.imaging.color_constants import (
    AB_SCALE,
    LAB_EPSILON,
    LAB_OFFSET,
    LAB_SLOPE,
    LUMA,
    RGB_FROM_XYZ,
    WHITE,
    XYZ_FROM_RGB,
    YUV_FROM_RGB,
    YUV_NEUTRAL,
)

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]

# Where the two parts of the curves meet.
_CODE_KNEE, _LINEAR_KNEE, _ROOT_KNEE = 0.04045, 0.0031308, LAB_EPSILON ** (1 / 3)


def _planes(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Splits the last axis: [..., C] -> C times [...] float32, contiguous."""
    return tuple(np.ascontiguousarray(x[..., k], np.float32) for k in range(x.shape[-1]))


def _weighted(planes: tuple[np.ndarray, ...], weights: tuple[float, ...]) -> np.ndarray:
    total = planes[0] * np.float32(weights[0])
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total += plane * np.float32(weight)
    return total


def _power(x: np.ndarray, exponent: float) -> np.ndarray:
    return np.asarray(cv2.pow(x, exponent)).reshape(x.shape)  # a tenth of NumPy's time


# --- curves ---------------------------------------------------------------------------------------


def _linear(code: np.ndarray) -> np.ndarray:
    """Converts sRGB code values to linear light, IEC 61966-2-1."""
    above = _power((np.maximum(code, np.float32(_CODE_KNEE)) + 0.055) / 1.055, 2.4)
    knee = ((_CODE_KNEE + 0.055) / 1.055) ** 2.4
    return above + (np.minimum(code, np.float32(_CODE_KNEE)) / 12.92 - np.float32(knee)) * (
        code <= _CODE_KNEE
    )


def _companded(linear: np.ndarray) -> np.ndarray:
    """Converts linear light to sRGB code values. The straight part lies above the bent one."""
    bent = _power(np.maximum(linear, np.float32(_LINEAR_KNEE)), 1 / 2.4)
    bent *= np.float32(1.055)
    bent -= np.float32(0.055)
    return np.minimum(bent, linear * np.float32(12.92), out=bent)


def _root(ratio: np.ndarray) -> np.ndarray:
    """Computes the f of CIE Lab. The straight part lies above the cube root, which it touches."""
    bent = np.cbrt(np.maximum(ratio, np.float32(LAB_EPSILON)))
    return np.minimum(bent, ratio * np.float32(LAB_SLOPE) + np.float32(LAB_OFFSET), out=bent)


def _cube(f: np.ndarray) -> np.ndarray:
    """Reverses `_root`: the cube above the knee, and the straight part below it."""
    above = np.maximum(f, np.float32(_ROOT_KNEE))
    cube = above * above
    cube *= above
    below = np.minimum(f, np.float32(_ROOT_KNEE))
    below -= np.float32(_ROOT_KNEE)
    below /= np.float32(LAB_SLOPE)
    cube += below
    return cube


# --- gray -----------------------------------------------------------------------------------------


def mean_gray(rgb: np.ndarray) -> np.ndarray:
    """Computes (R + G + B) / 3. [..., 3] in [0, 1] -> [..., 1]."""
    return _weighted(_planes(rgb), (1 / 3, 1 / 3, 1 / 3))[..., None]


def luma_gray(rgb: np.ndarray) -> np.ndarray:
    """Computes BT.601 luma, the Y of YUV. [..., 3] in [0, 1] -> [..., 1]."""
    return _weighted(_planes(rgb), LUMA)[..., None]


def lightness_gray(rgb: np.ndarray) -> np.ndarray:
    """Computes the gray with the Lab L of the color. [..., 3] in [0, 1] -> [..., 1]."""
    light = tuple(_linear(plane) for plane in _planes(rgb))
    return _companded(_weighted(light, XYZ_FROM_RGB[1]))[..., None]


def value_gray(rgb: np.ndarray) -> np.ndarray:
    """Computes the value of HSV, max(R, G, B). [..., 3] in [0, 1] -> [..., 1]."""
    return rgb.max(axis=-1, keepdims=True).astype(np.float32)


GRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": mean_gray,
    "luma": luma_gray,
    "lightness": lightness_gray,
    "value": value_gray,
}

# --- CIE Lab --------------------------------------------------------------------------------------


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """Converts RGB [..., 3] in [0, 1] to L in [0, 100], a and b in about [-128, 127]."""
    light = tuple(_linear(plane) for plane in _planes(rgb))
    x, y, z = (
        _root(_weighted(light, row) / np.float32(white))
        for row, white in zip(XYZ_FROM_RGB, WHITE, strict=True)
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lightness(gray: np.ndarray) -> np.ndarray:
    """Computes L in [0, 100] of gray in [0, 1]. [..., 1] -> [..., 1]."""
    return 116 * _root(_linear(np.asarray(gray, np.float32))) - 16


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Converts L, a, b [..., 3] to RGB, clipped to [0, 1]."""
    level, a, b = _planes(lab)
    return np.stack(_of_root((level + 16) / 116, a, b), axis=-1)


def _of_root(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> Planes:
    """Converts (L + 16) / 116, a and b to the planes of RGB, clipped to [0, 1]."""
    f = y + a * np.float32(1 / 500), y, y - b * np.float32(1 / 200)
    xyz = tuple(_cube(part) for part in f)
    rows = (tuple(n * w for n, w in zip(row, WHITE, strict=True)) for row in RGB_FROM_XYZ)
    red, green, blue = (_companded(_clipped(_weighted(xyz, row))) for row in rows)
    return red, green, blue


def _clipped(x: np.ndarray) -> np.ndarray:
    """Clips to [0, 1], in place."""
    np.maximum(x, np.float32(0), out=x)
    return np.minimum(x, np.float32(1), out=x)


# --- merging: planes of gray and of chroma in [0, 1] -> planes of RGB, clipped to [0, 1] ----------


def _yuv_planes(gray: np.ndarray, u: np.ndarray, v: np.ndarray) -> Planes:
    u, v = u - np.float32(YUV_NEUTRAL), v - np.float32(YUV_NEUTRAL)
    return (
        _clipped(gray + np.float32(1.402) * v),
        _clipped(gray - np.float32(0.34414) * u - np.float32(0.71414) * v),
        _clipped(gray + np.float32(1.772) * u),
    )


def _lab_planes(gray: np.ndarray, a: np.ndarray, b: np.ndarray) -> Planes:
    a, b = ((plane - np.float32(0.5)) * np.float32(AB_SCALE) for plane in (a, b))
    return _of_root(_root(_linear(gray)), a, b)


def _lab_luma_planes(gray: np.ndarray, a: np.ndarray, b: np.ndarray) -> Planes:
    """Merges at the gray's own L, then adds to R, G and B alike what the luma lacks."""
    rgb = _lab_planes(gray, a, b)
    lacking = gray - _weighted(rgb, LUMA)
    for plane in rgb:
        plane += lacking
        _clipped(plane)
    return rgb


def _hsv_planes(gray: np.ndarray, hue: np.ndarray, saturation: np.ndarray) -> Planes:
    """Merges with hue clipped, not wrapped at red, as the article left it."""
    hue, saturation, value = (np.clip(x, 0, 1) for x in (hue, saturation, gray))
    sixth, span = hue * 6, value * saturation
    shares = np.abs(sixth - 3) - 1, 2 - np.abs(sixth - 2), 2 - np.abs(sixth - 4)
    red, green, blue = (value - span * (1 - np.clip(share, 0, 1)) for share in shares)
    return red, green, blue


# --- chroma of colors -----------------------------------------------------------------------------


def _yuv_chroma(rgb: np.ndarray) -> np.ndarray:
    planes = _planes(rgb)
    both = [_weighted(planes, row) + np.float32(YUV_NEUTRAL) for row in YUV_FROM_RGB[1:]]
    return np.clip(np.stack(both, axis=-1), 0, 1)


def _lab_chroma(rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb_to_lab(rgb)[..., 1:] / np.float32(AB_SCALE) + np.float32(0.5), 0, 1)


def _hsv_chroma(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = _planes(rgb)
    value = np.maximum(np.maximum(red, green), blue)
    span = value - np.minimum(np.minimum(red, green), blue)
    by = np.where(span > 0, span, 1)
    sixth = np.select(
        [red == value, green == value],
        [(green - blue) / by, 2 + (blue - red) / by],
        4 + (red - green) / by,
    )
    hue = np.where(span > 0, sixth / 6 % 1, 0)
    return np.stack([hue, np.where(value > 0, span / np.where(value > 0, value, 1), 0)], -1).astype(
        np.float32
    )


@dataclass(frozen=True)
class ArrayColorSpace:
    """A color space of chroma, on arrays; see `colorspace.ColorSpace`.

    Attributes:
      name: The name that recipes use.
      neutral: The value of both chroma channels for a gray pixel.
      chroma: RGB [..., 3] in [0, 1] -> chroma [..., 2] in [0, 1].
      planes: Gray and the two of chroma, [...] in [0, 1] -> red, green, blue, clipped to [0, 1].
    """

    name: str
    neutral: float
    chroma: Callable[[np.ndarray], np.ndarray]
    planes: Callable[[np.ndarray, np.ndarray, np.ndarray], Planes]

    def merge(self, gray: np.ndarray, chroma: np.ndarray) -> np.ndarray:
        """Merges gray [..., 1] and chroma [..., 2], in [0, 1], to RGB [..., 3], clipped."""
        return np.stack(self.planes(*_planes(gray), *_planes(chroma)), axis=-1)


YUV = ArrayColorSpace("yuv", YUV_NEUTRAL, _yuv_chroma, _yuv_planes)
LAB = ArrayColorSpace("lab", 0.5, _lab_chroma, _lab_planes)
LAB_LUMA = ArrayColorSpace("lab_luma", 0.5, _lab_chroma, _lab_luma_planes)
HSV = ArrayColorSpace("hsv", 0.0, _hsv_chroma, _hsv_planes)
COLOR_SPACES = {space.name: space for space in (YUV, LAB, LAB_LUMA, HSV)}


def colored(
    gray: np.ndarray, fit: np.ndarray, space: ArrayColorSpace, saturation: float, peak: int
) -> np.ndarray:
    """Colors pixels whose chroma is a slope times their gray and an offset.

    Args:
      gray: [rows, W, 1] float32 in [0, 1].
      fit: [rows, W, 4] float32, two slopes and two offsets.
      space: The color space of the chroma.
      saturation: Factor on the distance of the chroma from neutral.
      peak: The sample value of white.

    Returns:
      RGB [rows, W, 3] float32, whole numbers from 0 to `peak`.
    """
    level = np.ascontiguousarray(gray[..., 0], np.float32)
    neutral, factor = np.float32(space.neutral), np.float32(saturation)
    first, second, *offsets = cv2.split(fit)
    both = []
    scaled = space is not HSV, True  # hue is a direction, not a distance from gray
    for slope, offset, is_scaled in zip((first, second), offsets, scaled, strict=True):
        slope *= level
        slope += offset
        if is_scaled and factor != 1:
            slope -= neutral
            slope *= factor
            slope += neutral
        both.append(slope)
    rgb = cv2.merge(space.planes(level, *both))
    rgb *= np.float32(peak)
    return np.rint(rgb, out=rgb)
