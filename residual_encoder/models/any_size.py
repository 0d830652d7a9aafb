"""Runs a network at its own size and resizes its chroma to the picture's size, on tensors."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from residual_encoder.imaging.tensor_resizing import resize
from residual_encoder.models.network_size import LONGEST
from residual_encoder.utils.typing import Tensor


def network_size(
    height: Tensor, width: Tensor, size: int, multiple: int = 8
) -> tuple[Tensor, Tensor]:
    """Computes the network's input size for a picture: its aspect, short side about `size`.

    Args:
      height: int32 scalar, pixels.
      width: int32 scalar, pixels.
      size: Short side in pixels.
      multiple: The number that both sides are rounded to multiples of.

    Returns:
      (height, width), int32 scalars.
    """
    short = tf.cast(tf.minimum(height, width), tf.float32)

    def scaled(side: Tensor) -> Tensor:
        ratio = tf.minimum(tf.cast(side, tf.float32) / short, LONGEST)
        return multiple * tf.maximum(1, tf.cast(tf.round(ratio * size / multiple), tf.int32))

    return scaled(height), scaled(width)


def with_margin(network: Callable[[Tensor], Tensor], margin: int) -> Callable[[Tensor], Tensor]:
    """Wraps a network so that it sees the picture's border mirrored around it.

    Args:
      network: gray [B, h, w, 1] -> chroma [B, h, w, 2], for h and w that are multiples.
      margin: Pixels on each side, a multiple as well, at most the smaller of h and w.
    """

    def inside(gray: Tensor) -> Tensor:
        return without_margin(network(mirrored(gray, margin)), margin)

    return inside if margin else network


def with_border(
    network: Callable[[Tensor], Tensor], margin: int, multiple: int
) -> Callable[[Tensor], Tensor]:
    """Wraps a network so that it takes any height and width, at its own scale.

    Args:
      network: gray [B, h, w, 1] -> chroma [B, h, w, 2], for h and w that are multiples.
      margin: As of `with_margin`, which is applied to what `repeated` makes.
      multiple: The number that h and w must be multiples of.
    """
    inside = with_margin(network, margin)

    def any_sides(gray: Tensor) -> Tensor:
        height, width = tf.shape(gray)[1], tf.shape(gray)[2]
        return inside(repeated(gray, multiple))[:, :height, :width]

    return any_sides


def repeated(gray: Tensor, multiple: int) -> Tensor:
    """Repeats the last row and column until both sides are multiples. [B, H, W, C] -> the same."""
    for axis in (1, 2):
        if gray.shape[axis] and gray.shape[axis] % multiple == 0:
            continue
        side = tf.shape(gray)[axis]
        places = tf.range(multiple * ((side + multiple - 1) // multiple))
        gray = tf.gather(gray, tf.minimum(places, side - 1), axis=axis)
    return gray


def mirrored(gray: Tensor, margin: int) -> Tensor:
    """Adds a picture's border mirrored around it. [B, h, w, C] -> [B, h + 2m, w + 2m, C]."""
    return tf.pad(gray, [[0, 0], [margin, margin], [margin, margin], [0, 0]], "SYMMETRIC")


def without_margin(chroma: Tensor, margin: int) -> Tensor:
    """Takes off what `mirrored` added. [B, h + 2m, w + 2m, C] -> [B, h, w, C]."""
    return chroma[:, margin:-margin, margin:-margin] if margin else chroma


def chroma_at(
    network: Callable[[Tensor], Tensor], gray: Tensor, size: int, multiple: int = 8
) -> Tensor:
    """Computes the chroma of pictures of any size.

    Args:
      network: gray [B, h, w, 1] -> chroma [B, h, w, 2], for h and w that are multiples.
      gray: [B, H, W, 1] float32 in [0, 1], any H and W from 1 up.
      size: Short side in pixels that the network sees.
      multiple: The number that h and w must be multiples of.

    Returns:
      [B, H, W, 2] float32 in [0, 1].
    """
    height, width = tf.shape(gray)[1], tf.shape(gray)[2]
    chroma = network(resize(gray, *network_size(height, width, size, multiple)))
    return tf.ensure_shape(resize(chroma, height, width), [gray.shape[0], None, None, 2])
