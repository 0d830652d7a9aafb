"""Shows why the article left HSV: hue wraps, so that two reds can lie farthest apart."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from residual_encoder.evaluation.tables import Table
from residual_encoder.imaging import colorspace
from residual_encoder.imaging.colorspace import ColorSpace, Truth
from residual_encoder.training import losses
from residual_encoder.utils.typing import Tensor

STEP = 1 / 256  # one code of hue
HUES = {"red": 0.0, "green": 1 / 3, "blue": 2 / 3}
PATCH = 64  # pixels


def _flat(hue: float) -> Tensor:
    """Makes a picture of one color of full saturation and value, [1, 8, 8, 3] in [0, 1]."""
    hsv = tf.constant([[hue % 1.0, 1.0, 1.0]])
    return tf.broadcast_to(tf.image.hsv_to_rgb(hsv), [1, 8, 8, 3])


def step_loss(hue: float, space: ColorSpace) -> float:
    """Computes the squared chroma distance of two pictures, their hues half a code either side."""
    below, above = _flat(hue - STEP / 2), _flat(hue + STEP / 2)
    truth = Truth(above, colorspace.value_gray(above), space.chroma(above))
    return float(losses.euclidean(truth, space.chroma(below)))


def step_losses() -> dict[str, dict[str, float]]:
    """Computes the loss of one code of hue, by hue, by color space."""
    spaces = (colorspace.HSV, colorspace.YUV)
    return {
        name: {space.name: step_loss(hue, space) for space in spaces} for name, hue in HUES.items()
    }


def table() -> Table:
    """Puts `step_losses` into a table."""
    head = ["a picture one code of hue off", "loss in HSV", "loss in YUV"]
    return [head] + [
        [name, f"{found['hsv']:.2e}", f"{found['yuv']:.2e}"]
        for name, found in step_losses().items()
    ]


def picture() -> np.ndarray:
    """Draws red below the wrap and above it, and their means in HSV and YUV. [H, W, 3] uint8."""
    below, above = _flat(-0.02), _flat(0.02)
    patches = [below, above]
    for space in (colorspace.HSV, colorspace.YUV):
        gray = colorspace.value_gray(below) if space is colorspace.HSV else _mean_luma(below, above)
        patches.append(space.merge(gray, (space.chroma(below) + space.chroma(above)) / 2))
    colors = [np.rint(255 * np.asarray(patch)[0, 0, 0]).astype(np.uint8) for patch in patches]
    return np.concatenate([np.tile(color, (PATCH, PATCH, 1)) for color in colors], axis=1)


def _mean_luma(one: Tensor, other: Tensor) -> Tensor:
    return (colorspace.luma_gray(one) + colorspace.luma_gray(other)) / 2
