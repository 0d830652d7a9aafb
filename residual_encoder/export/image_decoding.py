"""Decodes untrusted picture files inside a graph: a bad one gives a reason, not an error.

A SavedModel runs where this package is not installed, so it cannot call `imaging.image_io`; headers
and pixels are read here once more, by TensorFlow's operations.

A graph cannot catch exceptions, but a `tf.data` pipeline can leave out what fails: whatever may
fail runs in a pipeline of one element. Only TensorFlow's own operations are used, so that a
SavedModel holds all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from residual_encoder.export.exif_orientation import (
    UPRIGHT,
    begins,
    byte_values,
    number,
    orientation,
)
from residual_encoder.imaging.image_headers import BMP, JPEG, PNG, RIFF
from residual_encoder.imaging.image_metadata import (
    MIRRORED,
    TRANSPOSED,
    UPSIDE_DOWN,
)
from residual_encoder.utils.typing import Tensor

NO_PICTURE = "no picture: a JPEG, PNG, BMP or WebP file is wanted"
TOO_LARGE = "too large: {} pixels, wanted are at most {}"
BROKEN = "broken: the file does not decode"
# How the files begin. GIF is not among them: its header does not bound the frames behind it.
KNOWN = (JPEG, PNG, BMP, RIFF)


@tf.autograph.experimental.do_not_convert
def decode(contents: Tensor, max_pixels: int) -> tuple[Tensor, Tensor]:
    """Decodes a picture file, turned upright by its EXIF data.

    The size is read from the header first, so that a picture beyond the limit is never decoded.
    Alpha is dropped; of an animation the first frame is taken.

    Args:
      contents: Scalar string, the file's bytes: JPEG, PNG, BMP or WebP.
      max_pixels: How many pixels a picture may have, its height times its width.

    Returns:
      uint8 [H, W, 3] and ""; or [0, 0, 3] and why the file cannot be used.
    """
    nothing = tf.zeros([0, 0, 3], tf.uint8)

    def measured_and_decoded(contents: Tensor) -> tuple[Tensor, Tensor]:
        pixels = tf.reduce_prod(tf.cast(tf.maximum(_declared_size(contents), 0), tf.int64))
        fits = tf.logical_and(pixels > 0, pixels <= max_pixels)
        return pixels, tf.cond(fits, lambda: _decoded(contents), lambda: nothing)

    unknown = (tf.constant(0, tf.int64), nothing)
    pixels, rgb = _attempt(measured_and_decoded, contents, unknown)
    turned = _turned(rgb, _attempt(orientation, contents, tf.constant(UPRIGHT)))
    return tf.ensure_shape(turned, [None, None, 3]), _reason(contents, pixels, max_pixels, rgb)


def _attempt(function: Callable[[Tensor], Any], contents: Tensor, default: Any) -> Any:
    """Returns `function(contents)`, or `default` where that fails."""
    outcome = tf.data.Dataset.from_tensors(contents).map(function).ignore_errors()
    outcome = outcome.concatenate(tf.data.Dataset.from_tensors(default))
    return outcome.take(1).get_single_element()


def _reason(contents: Tensor, pixels: Tensor, max_pixels: int, rgb: Tensor) -> Tensor:
    known = [begins(contents, start) for start in KNOWN]
    return tf.case(
        [
            (tf.size(rgb) > 0, lambda: tf.constant("")),
            (tf.logical_not(tf.reduce_any(known)), lambda: tf.constant(NO_PICTURE)),
            (pixels > max_pixels, lambda: tf.strings.format(TOO_LARGE, (pixels, max_pixels))),
        ],
        default=lambda: tf.constant(BROKEN),
    )


# --- sizes ----------------------------------------------------------------------------------------


def _declared_size(contents: Tensor) -> Tensor:
    """Reads both sides in pixels, int32 [2], from the header; fails where it has none."""
    size = tf.case(
        [
            (begins(contents, JPEG), lambda: tf.image.extract_jpeg_shape(contents)[:2]),
            (begins(contents, PNG), lambda: _numbers(contents, 16, 4, little=False)),
            (begins(contents, BMP), lambda: tf.abs(_numbers(contents, 18, 4))),
        ],
        default=lambda: _webp_size(contents),
    )
    return tf.ensure_shape(size, [2])


def _webp_size(contents: Tensor) -> Tensor:
    """Reads the first chunk: extended, lossless (two numbers of 14 bits), or lossy."""
    chunk = tf.strings.substr(contents, 12, 4)
    return tf.case(
        [
            (tf.equal(chunk, b"VP8X"), lambda: 1 + _numbers(contents, 24, 3)),
            (tf.equal(chunk, b"VP8L"), lambda: 1 + _pair_of_14_bits(contents, 21)),
        ],
        default=lambda: _numbers(contents, 26, 2) % (1 << 14),
    )


def _pair_of_14_bits(contents: Tensor, at: int) -> Tensor:
    both = tf.reduce_sum(byte_values(contents, at, 4) * (1, 1 << 8, 1 << 16, 1 << 24))
    return tf.stack([both % (1 << 14), both // (1 << 14) % (1 << 14)])


def _numbers(contents: Tensor, at: int, width: int, little: bool = True) -> Tensor:
    """Reads two neighboring whole numbers of `width` bytes each, int32 [2]."""
    return number(tf.reshape(byte_values(contents, at, 2 * width), [2, width]), tf.constant(little))


# --- pixels ---------------------------------------------------------------------------------------


def _decoded(contents: Tensor) -> Tensor:
    """Decodes to uint8 [H, W, 3]; fails on a broken file."""

    def jpeg() -> Tensor:  # the accurate transform is the same on every machine
        return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")

    def other() -> Tensor:
        return tf.io.decode_image(contents, channels=3, expand_animations=False)

    rgb = tf.cond(begins(contents, JPEG), jpeg, other)
    return tf.ensure_shape(rgb, [None, None, 3])


def _turned(rgb: Tensor, kind: Tensor) -> Tensor:
    """Turns [H, W, 3] upright from any of the eight orientations; leaves it for other numbers."""

    def is_among(values: tuple[int, ...]) -> Tensor:
        return tf.reduce_any(tf.equal(kind, values))

    transposed, mirrored = is_among(TRANSPOSED), is_among(MIRRORED)
    rgb = tf.cond(transposed, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    rgb = tf.cond(mirrored, lambda: tf.reverse(rgb, [1]), lambda: rgb)
    return tf.cond(is_among(UPSIDE_DOWN), lambda: tf.reverse(rgb, [0]), lambda: rgb)
