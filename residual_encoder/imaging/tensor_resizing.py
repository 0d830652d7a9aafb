"""Resizing as TensorFlow operations, for graphs: input pipelines and exported networks.

`resizing` does the same on NumPy arrays a few rows at a time, so that a photograph of any size
fits into memory; a graph has no such loop, and holds the whole picture.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from residual_encoder.utils.typing import Tensor


def resize(x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resizes bilinearly, pixel centers aligned; averages when it shrinks.

    Args:
      x: [B, H, W, C] or [H, W, C], any numeric type.
      height: int32 scalar, pixels wanted.
      width: int32 scalar, pixels wanted.

    Returns:
      [B, height, width, C] or [height, width, C] float32; the values of `x` where the size is
      right already.
    """

    def resized() -> Tensor:
        return tf.image.resize(x, [height, width], method="bilinear", antialias=True)

    shape = tf.shape(x)
    same = tf.logical_and(tf.equal(shape[-3], height), tf.equal(shape[-2], width))
    return tf.cond(same, lambda: tf.cast(x, tf.float32), resized)


def resize_u8(rgb: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resizes as `resize` and rounds. [H, W, C] uint8 -> [height, width, C] uint8."""
    # Means of values in 0..255 stay in that range; the clip is for their last bit.
    return tf.cast(tf.clip_by_value(tf.round(resize(rgb, height, width)), 0, 255), tf.uint8)


def center_square_u8(rgb: np.ndarray, side: int) -> np.ndarray:
    """Crops the center square and resizes it. [H, W, C] uint8 -> [side, side, C] uint8."""
    height, width = rgb.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return resize_u8(rgb[top : top + short, left : left + short], side, side).numpy()
