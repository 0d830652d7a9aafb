"""From the bytes of a picture to a square of pixels, as TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from residual_encoder.imaging import tensor_resizing
from residual_encoder.utils.typing import Tensor

# A picture is gray where no two channels of any pixel differ by more code values. A JPEG of a gray
# picture with chroma planes decodes within 3; a toned print is beyond 8 in most places.
GRAY_SPREAD = 8

Window = Callable[[Tensor, Tensor], Tensor]  # height, width -> int32 [top, left, height, width]


def _decode_jpeg(contents: Tensor, window: Window) -> Tensor:
    shape = tf.image.extract_jpeg_shape(contents)
    top, left, height, width = tf.unstack(window(shape[0], shape[1]))
    # Two columns more on either side, if there are: where a window begins or ends with a block, the
    # decoder would not know the chroma beyond, and be off by a little.
    first, last = tf.maximum(left - 2, 0), tf.minimum(left + width + 2, shape[1])
    wide = tf.image.decode_and_crop_jpeg(
        contents,
        tf.stack([top, first, height, last - first]),
        channels=3,
        dct_method="INTEGER_ACCURATE",  # the same on every machine; the default is the builder's
    )
    return wide[:, left - first : left - first + width]


def _decode_other(contents: Tensor, window: Window) -> Tensor:
    picture = tf.io.decode_image(contents, channels=3, expand_animations=False)
    shape = tf.shape(picture)
    top, left, height, width = tf.unstack(window(shape[0], shape[1]))
    return picture[top : top + height, left : left + width]


def decode(contents: Tensor, window: Window) -> Tensor:
    """Decodes a window of a JPEG (also CMYK), PNG, BMP, WebP or GIF (its first frame).

    Of a JPEG only the blocks under the window are decoded. EXIF orientation is not applied: the
    ImageNet tools never did, and a picture on its side still has its colors. Alpha is dropped.
    This is not `imaging.image_io.decode` since it runs inside a `tf.data` pipeline.

    Args:
      contents: Scalar string, the file's bytes.
      window: Height and width of the picture -> int32 [top, left, height, width].

    Returns:
      uint8 [height, width, 3].

    Raises:
      tf.errors.InvalidArgumentError: the bytes are no picture, or a broken one.
    """
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: _decode_jpeg(contents, window),
        lambda: _decode_other(contents, window),
    )


def square(
    height: Tensor, width: Tensor, min_crop: float, seed: Tensor, max_crop: float = 1.0
) -> Tensor:
    """Chooses the square to crop from a picture: int32 [top, left, side, side].

    At `min_crop` 1 it is the center square. Otherwise its side is uniform in [min_crop, max_crop]
    of the short side, its place anywhere, both decided by `seed`, two integers.
    """
    short = tf.minimum(height, width)
    if min_crop == 1.0:
        return tf.stack([(height - short) // 2, (width - short) // 2, short, short])
    share = tf.random.stateless_uniform([3], seed)
    side = tf.cast(short, tf.float32) * (min_crop + (max_crop - min_crop) * share[0])
    side = tf.clip_by_value(tf.cast(tf.round(side), tf.int32), 1, short)
    room = tf.stack([height - side, width - side])
    corner = tf.cast(tf.floor(share[1:] * tf.cast(room + 1, tf.float32)), tf.int32)
    corner = tf.minimum(corner, room)
    return tf.stack([corner[0], corner[1], side, side])


def resize(rgb: Tensor, size: int) -> Tensor:
    """Resizes a square picture: uint8 [s, s, 3] -> uint8 [size, size, 3].

    Bilinear, averaging over the pixels that fall together, rounded; as it is when it fits already.
    """
    small = tensor_resizing.resize_u8(rgb, tf.constant(size), tf.constant(size))
    return tf.ensure_shape(small, [size, size, 3])


def is_gray(rgb: Tensor) -> Tensor:
    """Returns whether a picture has no color: uint8 [H, W, 3] -> scalar bool."""
    wide = tf.cast(rgb, tf.int32)
    return tf.reduce_max(tf.reduce_max(wide, -1) - tf.reduce_min(wide, -1)) <= GRAY_SPREAD
