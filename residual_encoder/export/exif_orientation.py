"""Reads the EXIF orientation of JPEG, PNG and WebP files by TensorFlow's operations, for a graph.

No operation fails where a file has no EXIF data or senseless ones: TensorFlow would log that.
"""

from __future__ import annotations

import tensorflow as tf

from residual_encoder.imaging.image_headers import JPEG, PNG, RIFF
from residual_encoder.imaging.image_metadata import ORIENTATION
from residual_encoder.utils.typing import Tensor

UPRIGHT = 1
# Bytes searched for EXIF data in a JPEG, where it lies in one of the first segments, none of which
# is larger; and the most that are read of EXIF data.
SEARCHED = 1 << 16
EXIF_MARK = b"Exif\x00\x00"
ENTRY = 12  # bytes of a TIFF directory's entry


def orientation(contents: Tensor) -> Tensor:
    """Reads the EXIF orientation of a picture file.

    Args:
      contents: Scalar string, the file's bytes.

    Returns:
      int32 scalar: 1 to 8, or whatever else is there; 1 where there is none.
    """
    start, count = tf.case(
        [
            (begins(contents, JPEG), lambda: _in_jpeg(contents)),
            (begins(contents, PNG), lambda: _chunk(contents, 8, b"eXIf", length_first=True)),
            (begins(contents, RIFF), lambda: _chunk(contents, 12, b"EXIF", length_first=False)),
        ],
        default=_nowhere,
    )
    data = tf.strings.substr(contents, start, tf.minimum(count, SEARCHED))
    marked = begins(data, EXIF_MARK)  # in a WebP from some programs
    data = tf.strings.substr(data, tf.where(marked, len(EXIF_MARK), 0), SEARCHED)
    tiff = byte_values(data, 0, SEARCHED)
    return tf.cond(tf.size(tiff) >= 8, lambda: _of_tiff(tiff), lambda: tf.constant(UPRIGHT))


def _nowhere() -> tuple[Tensor, Tensor]:
    return tf.constant(0), tf.constant(0)


def _in_jpeg(contents: Tensor) -> tuple[Tensor, Tensor]:
    """Finds EXIF data: where it starts, behind its mark, and how many bytes there are at most."""
    head = byte_values(contents, 0, SEARCHED)
    length = tf.maximum(tf.size(head) - len(EXIF_MARK) + 1, 0)
    windows = tf.stack([head[i : i + length] for i in range(len(EXIF_MARK))], axis=1)
    places = tf.where(tf.reduce_all(tf.equal(windows, tuple(EXIF_MARK)), axis=1))
    ends = tf.cast(places[:, 0], tf.int32) + len(EXIF_MARK)
    start = tf.concat([ends, [tf.strings.length(contents)]], 0)[0]
    return start, tf.strings.length(contents) - start


def _chunk(
    contents: Tensor, first: int, wanted: bytes, length_first: bool
) -> tuple[Tensor, Tensor]:
    """Finds a chunk of a PNG, whose lengths come first, or of a RIFF: start and length of its data.

    Args:
      contents: The file's bytes.
      first: Where the first chunk begins.
      wanted: The chunk's name, of four bytes.
      length_first: Whether it is a PNG: a chunk ends with a checksum of four bytes, and the highest
        byte of a length comes first. In a RIFF data of odd length have a byte behind them.
    """
    size = tf.strings.length(contents)

    def unfinished(at: Tensor, start: Tensor, _: Tensor) -> Tensor:
        return tf.logical_and(start == 0, at + 8 <= size)

    def step(at: Tensor, start: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        name = tf.strings.substr(contents, at + 4 if length_first else at, 4)
        digits = byte_values(contents, at if length_first else at + 4, 4)
        length = number(digits, tf.constant(not length_first))
        rest = size - at - 8
        length = tf.where(tf.logical_or(length < 0, length > rest), rest, length)
        found = tf.equal(name, wanted)
        behind = at + 8 + length + (4 if length_first else length % 2)
        return behind, tf.where(found, at + 8, start), tf.where(found, length, count)

    _, start, count = tf.while_loop(unfinished, step, (tf.constant(first), *_nowhere()))
    return start, count


def _of_tiff(tiff: Tensor) -> Tensor:
    """Reads the first directory behind a TIFF header, int32 [n] bytes, n at least 8."""
    little = tf.equal(tiff[0], ord("I"))
    offset, size = number(tiff[4:8], little), tf.size(tiff)
    inside = tf.logical_and(offset >= 8, offset <= size - 2)
    directory = tiff[tf.where(inside, offset, size) :]
    room = tf.maximum(tf.size(directory) - 2, 0) // ENTRY
    count = tf.minimum(number(directory[:2], little), room)
    entries = tf.reshape(directory[2 : 2 + ENTRY * count], [count, ENTRY])
    of_orientation = tf.equal(number(entries[:, :2], little), ORIENTATION)
    values = tf.boolean_mask(number(entries[:, 8:10], little), of_orientation)
    return tf.concat([values, [UPRIGHT]], 0)[0]


# --- bytes ----------------------------------------------------------------------------------------


def begins(contents: Tensor, start: bytes) -> Tensor:
    """Returns whether a string starts with some bytes."""
    return tf.equal(tf.strings.substr(contents, 0, len(start)), start)


def byte_values(contents: Tensor, at: int | Tensor, count: int | Tensor) -> Tensor:
    """Returns up to `count` bytes from `at` on, int32 [n]."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, at, count), tf.uint8), tf.int32)


def number(digits: Tensor, little: Tensor) -> Tensor:
    """Combines int32 [..., n] bytes, the lowest one first if `little`, into numbers [...]."""
    lowest_first = tf.cond(little, lambda: digits, lambda: tf.reverse(digits, [-1]))
    powers = tf.bitwise.left_shift(1, 8 * tf.range(tf.shape(digits)[-1]))
    return tf.reduce_sum(lowest_first * powers, axis=-1)
