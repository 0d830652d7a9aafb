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

from residual_encoder.imaging.image_headers import BMP, JPEG, PNG, RIFF
from residual_encoder.imaging.image_metadata import (
    MIRRORED,
    ORIENTATION,
    TRANSPOSED,
    UPSIDE_DOWN,
)
from residual_encoder.utils.typing import Tensor

NO_PICTURE = "no picture: a JPEG, PNG, BMP or WebP file is wanted"
TOO_LARGE = "too large: {} pixels, wanted are at most {}"
BROKEN = "broken: the file does not decode"
# How the files begin. GIF is not among them: its header does not bound the frames behind it.
KNOWN = (JPEG, PNG, BMP, RIFF)
# Bytes searched for EXIF data. It lies in one of a JPEG's first segments, none of which is larger.
SEARCHED = 1 << 16
EXIF_MARK = tuple(b"Exif\x00\x00")


@tf.autograph.experimental.do_not_convert
def decode(contents: Tensor, max_pixels: int) -> tuple[Tensor, Tensor]:
    """Decodes a picture file, turned upright by the EXIF data of a JPEG.

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
    turned = _turned(rgb, _attempt(_orientation, contents, tf.constant(1)))
    return tf.ensure_shape(turned, [None, None, 3]), _reason(contents, pixels, max_pixels, rgb)


def _attempt(function: Callable[[Tensor], Any], contents: Tensor, default: Any) -> Any:
    """Returns `function(contents)`, or `default` where that fails."""
    outcome = tf.data.Dataset.from_tensors(contents).map(function).ignore_errors()
    outcome = outcome.concatenate(tf.data.Dataset.from_tensors(default))
    return outcome.take(1).get_single_element()


def _reason(contents: Tensor, pixels: Tensor, max_pixels: int, rgb: Tensor) -> Tensor:
    known = [_begins(contents, start) for start in KNOWN]
    return tf.case(
        [
            (tf.size(rgb) > 0, lambda: tf.constant("")),
            (tf.logical_not(tf.reduce_any(known)), lambda: tf.constant(NO_PICTURE)),
            (pixels > max_pixels, lambda: tf.strings.format(TOO_LARGE, (pixels, max_pixels))),
        ],
        default=lambda: tf.constant(BROKEN),
    )


def _begins(contents: Tensor, start: bytes) -> Tensor:
    return tf.equal(tf.strings.substr(contents, 0, len(start)), start)


# --- sizes ----------------------------------------------------------------------------------------


def _declared_size(contents: Tensor) -> Tensor:
    """Reads both sides in pixels, int32 [2], from the header; fails where it has none."""
    size = tf.case(
        [
            (_begins(contents, JPEG), lambda: tf.image.extract_jpeg_shape(contents)[:2]),
            (_begins(contents, PNG), lambda: _numbers(contents, 16, 4, little=False)),
            (_begins(contents, BMP), lambda: tf.abs(_numbers(contents, 18, 4))),
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
    both = tf.reduce_sum(_bytes(contents, at, 4) * (1, 1 << 8, 1 << 16, 1 << 24))
    return tf.stack([both % (1 << 14), both // (1 << 14) % (1 << 14)])


def _numbers(contents: Tensor, at: int, width: int, little: bool = True) -> Tensor:
    """Reads two neighboring whole numbers of `width` bytes each, int32 [2]."""
    return _number(tf.reshape(_bytes(contents, at, 2 * width), [2, width]), tf.constant(little))


def _number(digits: Tensor, little: Tensor) -> Tensor:
    """Combines int32 [..., n] bytes, the lowest one first if `little`, into numbers [...]."""
    lowest_first = tf.cond(little, lambda: digits, lambda: tf.reverse(digits, [-1]))
    powers = tf.bitwise.left_shift(1, 8 * tf.range(tf.shape(digits)[-1]))
    return tf.reduce_sum(lowest_first * powers, axis=-1)


def _bytes(contents: Tensor, at: int, count: int | Tensor) -> Tensor:
    """Returns up to `count` bytes from `at` on, int32 [n]."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, at, count), tf.uint8), tf.int32)


# --- pixels ---------------------------------------------------------------------------------------


def _decoded(contents: Tensor) -> Tensor:
    """Decodes to uint8 [H, W, 3]; fails on a broken file."""

    def jpeg() -> Tensor:  # the accurate transform is the same on every machine
        return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")

    def other() -> Tensor:
        return tf.io.decode_image(contents, channels=3, expand_animations=False)

    rgb = tf.cond(_begins(contents, JPEG), jpeg, other)
    return tf.ensure_shape(rgb, [None, None, 3])


def _orientation(contents: Tensor) -> Tensor:
    """Reads the EXIF orientation of a JPEG; fails where it has none."""
    searched = tf.where(_begins(contents, JPEG), SEARCHED, 0)
    head = _bytes(contents, 0, searched)
    windows = tf.stack([head[i : tf.size(head) - 5 + i] for i in range(6)], axis=1)
    start = _first(tf.reduce_all(tf.equal(windows, EXIF_MARK), axis=1))
    tiff = head[start + 6 :]  # a TIFF header, then a directory of entries of 12 bytes
    little = tf.equal(tiff[0], ord("I"))
    directory = tiff[_number(tiff[4:8], little) :]
    count = _number(directory[:2], little)
    entries = tf.reshape(directory[2 : 2 + 12 * count], [count, 12])
    found = _first(tf.equal(_number(entries[:, :2], little), ORIENTATION))
    return _number(entries[found, 8:10], little)


def _first(flags: Tensor) -> Tensor:
    """Returns the index of the first true element; fails where there is none."""
    return tf.cast(tf.where(flags)[0, 0], tf.int32)


def _turned(rgb: Tensor, orientation: Tensor) -> Tensor:
    """Turns [H, W, 3] upright from any of the eight orientations; leaves it for other numbers."""

    def is_among(values: tuple[int, ...]) -> Tensor:
        return tf.reduce_any(tf.equal(orientation, values))

    transposed, mirrored = is_among(TRANSPOSED), is_among(MIRRORED)
    rgb = tf.cond(transposed, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    rgb = tf.cond(mirrored, lambda: tf.reverse(rgb, [1]), lambda: rgb)
    return tf.cond(is_among(UPSIDE_DOWN), lambda: tf.reverse(rgb, [0]), lambda: rgb)
