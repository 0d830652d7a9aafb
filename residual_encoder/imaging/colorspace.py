"""JPEG YUV, CIE Lab, HSV and gray: split a color picture into gray and chroma, and merge again.

Everything here takes tensors or arrays of any leading shape and returns float32 tensors. RGB and
gray are sRGB code values in [0, 1]. Chroma is two channels in [0, 1], whatever the color space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

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
from residual_encoder.utils.typing import Tensor


class Truth(NamedTuple):
    """A batch of color pictures, split into the network's input and its target."""

    rgb: Tensor  # [B, H, W, 3] float32 in [0, 1]
    gray: Tensor  # [B, H, W, 1] float32 in [0, 1]
    chroma: Tensor  # [B, H, W, 2] float32 in [0, 1]


def _float(x: Tensor) -> Tensor:
    return tf.cast(tf.convert_to_tensor(x), tf.float32)


def _mix(x: Tensor, rows: Any) -> Tensor:
    """Multiplies the last axis by a matrix of one row for each output channel."""
    return tf.linalg.matmul(x, tf.constant(rows, tf.float32), transpose_b=True)


# --- gray -----------------------------------------------------------------------------------------


def mean_gray(rgb: Tensor) -> Tensor:
    """Computes (R + G + B) / 3, the original's gray. [..., 3] in [0, 1] -> [..., 1]."""
    return tf.reduce_mean(_float(rgb), axis=-1, keepdims=True)


def luma_gray(rgb: Tensor) -> Tensor:
    """Computes BT.601 luma, the Y of YUV. [..., 3] in [0, 1] -> [..., 1].

    Merged with the true chroma it gives the picture back.
    """
    return _mix(_float(rgb), [LUMA])


def lightness_gray(rgb: Tensor) -> Tensor:
    """Computes the gray with the Lab L of the color. [..., 3] in [0, 1] -> [..., 1]."""
    luminance = _mix(_linear(_float(rgb)), [XYZ_FROM_RGB[1]])
    return _companded(luminance)


def value_gray(rgb: Tensor) -> Tensor:
    """Computes the value of HSV, max(R, G, B). [..., 3] in [0, 1] -> [..., 1]."""
    return tf.reduce_max(_float(rgb), axis=-1, keepdims=True)


GRAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": mean_gray,
    "luma": luma_gray,
    "lightness": lightness_gray,
    "value": value_gray,
}

# --- JPEG YUV -------------------------------------------------------------------------------------


def rgb_to_yuv(rgb: Tensor) -> Tensor:
    """Converts RGB [..., 3] in [0, 1] to Y, U, V in [0, 1], clipped as in the script."""
    yuv = _mix(_float(rgb), YUV_FROM_RGB) + tf.constant([0.0, YUV_NEUTRAL, YUV_NEUTRAL])
    return tf.clip_by_value(yuv, 0.0, 1.0)


def yuv_to_rgb(yuv: Tensor) -> Tensor:
    """Converts Y, U, V [..., 3] in [0, 1] to RGB, clipped to [0, 1]."""
    y, u, v = tf.split(_float(yuv), 3, axis=-1)
    u, v = u - YUV_NEUTRAL, v - YUV_NEUTRAL
    rgb = tf.concat([y + 1.402 * v, y - 0.34414 * u - 0.71414 * v, y + 1.772 * u], axis=-1)
    return tf.clip_by_value(rgb, 0.0, 1.0)


# --- CIE Lab --------------------------------------------------------------------------------------


def _linear(code: Tensor) -> Tensor:
    """Converts sRGB code values to linear light, IEC 61966-2-1."""
    power = ((tf.maximum(code, 0.04045) + 0.055) / 1.055) ** 2.4
    return tf.where(code > 0.04045, power, code / 12.92)


def _companded(linear: Tensor) -> Tensor:
    """Converts linear light to sRGB code values."""
    power = 1.055 * tf.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return tf.where(linear > 0.0031308, power, linear * 12.92)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Converts RGB [..., 3] in [0, 1] to L in [0, 100], a and b in about [-128, 127]."""
    xyz = _mix(_linear(_float(rgb)), XYZ_FROM_RGB) / tf.constant(WHITE)
    root = tf.maximum(xyz, LAB_EPSILON) ** (1 / 3)
    f = tf.where(xyz > LAB_EPSILON, root, LAB_SLOPE * xyz + LAB_OFFSET)
    x, y, z = tf.split(f, 3, axis=-1)
    return tf.concat([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lightness(gray: Tensor) -> Tensor:
    """Computes L in [0, 100] of gray in [0, 1]. [..., 1] -> [..., 1]."""
    gray = _float(gray)
    return rgb_to_lab(tf.concat([gray, gray, gray], axis=-1))[..., :1]


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Converts L, a, b [..., 3] to RGB, clipped to [0, 1]."""
    level, a, b = tf.split(_float(lab), 3, axis=-1)
    y = (level + 16) / 116
    f = tf.concat([y + a / 500, y, y - b / 200], axis=-1)
    xyz = tf.where(f**3 > LAB_EPSILON, f**3, (f - LAB_OFFSET) / LAB_SLOPE) * tf.constant(WHITE)
    linear = tf.clip_by_value(_mix(xyz, RGB_FROM_XYZ), 0.0, 1.0)
    return tf.clip_by_value(_companded(linear), 0.0, 1.0)


# --- the one interface that networks, losses and inference share ----------------------------------


def _yuv_chroma(rgb: Tensor) -> Tensor:
    return rgb_to_yuv(rgb)[..., 1:]


def _yuv_merge(gray: Tensor, chroma: Tensor) -> Tensor:
    return yuv_to_rgb(tf.concat([_float(gray), _float(chroma)], axis=-1))


def _lab_chroma(rgb: Tensor) -> Tensor:
    return tf.clip_by_value(rgb_to_lab(rgb)[..., 1:] / AB_SCALE + 0.5, 0.0, 1.0)


def _lab_merge(gray: Tensor, chroma: Tensor) -> Tensor:
    return lab_to_rgb(tf.concat([lightness(gray), (_float(chroma) - 0.5) * AB_SCALE], axis=-1))


def _lab_luma_merge(gray: Tensor, chroma: Tensor) -> Tensor:
    """Merges at the gray's own L, then adds to R, G and B alike what the luma lacks.

    The luma is thus the gray, unless a color leaves the range of RGB. True ab give a photograph
    back to 0.3 of 255 on average. More exact would be to look for the L whose luma is the gray;
    over a network's colors the two measure the same.
    """
    rgb = _lab_merge(gray, chroma)
    return tf.clip_by_value(rgb + _float(gray) - luma_gray(rgb), 0.0, 1.0)


def _hsv_chroma(rgb: Tensor) -> Tensor:
    return tf.image.rgb_to_hsv(_float(rgb))[..., :2]


def _hsv_merge(gray: Tensor, chroma: Tensor) -> Tensor:
    """Merges with hue clipped, not wrapped at red, as the article left it."""
    hsv = tf.concat([_float(chroma), _float(gray)], axis=-1)
    return tf.image.hsv_to_rgb(tf.clip_by_value(hsv, 0.0, 1.0))


@dataclass(frozen=True)
class ColorSpace:
    """A color space of chroma.

    Attributes:
      name: The name that recipes use.
      neutral: The value of both chroma channels for a gray pixel.
      chroma: RGB [..., 3] in [0, 1] -> chroma [..., 2] in [0, 1].
      merge: gray [..., 1] and chroma [..., 2], in [0, 1] -> RGB [..., 3], clipped to [0, 1].
    """

    name: str
    neutral: float
    chroma: Callable[[Tensor], Tensor]
    merge: Callable[[Tensor, Tensor], Tensor]


YUV = ColorSpace("yuv", YUV_NEUTRAL, _yuv_chroma, _yuv_merge)
LAB = ColorSpace("lab", 0.5, _lab_chroma, _lab_merge)  # ab / 256 + 0.5
# The same chroma, but what is kept of a gray picture is its luma, not its L.
LAB_LUMA = ColorSpace("lab_luma", 0.5, _lab_chroma, _lab_luma_merge)
# Hue (0 and 1 are both red) and saturation, whose 0 is gray at any hue; the gray of it is "value".
HSV = ColorSpace("hsv", 0.0, _hsv_chroma, _hsv_merge)
COLOR_SPACES = {space.name: space for space in (YUV, LAB, LAB_LUMA, HSV)}


def split(rgb_u8: Tensor, space: ColorSpace, gray: str) -> Truth:
    """Splits color pictures into a network's input and its target.

    Args:
      rgb_u8: [..., 3] uint8, sRGB.
      space: The color space of the chroma.
      gray: "mean", "luma" or "lightness", a key of `GRAYS`.
    """
    rgb = _float(rgb_u8) / 255
    return Truth(rgb, GRAYS[gray](rgb), space.chroma(rgb))
