"""Loads records in parallel and in order; records that do not load are left out, counted and named.

items         Item Item Item ...           a record each, and its place in the stream
_chunked      (0, chunk) (1, chunk) ... (n, chunk)   position n is the chunk's end
_load_chunked _Loaded                      in parallel; drops broken ones
scan          (_Past, _Loaded)             the gap before each shows the missing ones
_keeper       counts and names the gaps; drops ends of chunks, and gray pictures if asked to
pictures      Picture Picture ...
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from residual_encoder.data import preprocessing
from residual_encoder.data.record_stats import Cursor, RecordStats
from residual_encoder.data.records import Record
from residual_encoder.utils import errors
from residual_encoder.utils.typing import Tensor

# Records in a chunk, see `_chunked`. Sixteen make its cost too small to measure.
CHUNK = 16


class Item(NamedTuple):
    """A record with its place in the stream, and the tensors that its picture carries along."""

    record: Record
    epoch: Tensor  # int64
    index: Tensor  # int64: in its epoch
    extras: Any = ()  # tensors, or a (named) tuple of them


class Picture(NamedTuple):
    """A record that was loaded; in a batch every tensor has one more axis in front."""

    rgb: Tensor  # [S, S, 3] uint8
    name: Tensor  # string
    epoch: Tensor  # int64
    index: Tensor  # int64
    extras: Any  # as its `Item` had them


class _Loaded(NamedTuple):
    """A picture, or the end of a chunk; with the chunk, whose tensors are shared, not copied."""

    position: Tensor
    chunk: Item
    rgb: Tensor
    name: Tensor
    gray: Tensor


class _Past(NamedTuple):
    """What was loaded before a picture or an end: the last position, and any picture to keep."""

    position: Tensor  # int64; -1 at the beginning of a chunk
    kept: Tensor  # bool


@dataclass(frozen=True)
class Reading:
    """Settings of reading.

    Attributes:
      load: A record -> uint8 [size, size, 3], and its name; fails on a broken one.
      name: A record -> its name, which must not need the picture to be whole.
      size: Side of the pictures in pixels.
      skip_gray: Whether pictures without color are left out.
      max_bad_records: Share of broken records that ends reading.
    """

    load: Callable[[Item], tuple[Tensor, Tensor]]
    name: Callable[[Record], Tensor]
    size: int
    skip_gray: bool
    max_bad_records: float


def _at(chunk: Item, position: Tensor) -> Item:
    return tf.nest.map_structure(lambda column: column[position], chunk)


def _chunked(items: tf.data.Dataset) -> tf.data.Dataset:
    """Gives (position, chunk) for each record of a chunk, then one for the chunk's end.

    A record that fails to load is missing from the stream. As every other one carries its position
    and its chunk, the next one shows which records are missing; the end shows the last ones.
    Nothing but TensorFlow runs while records are good.
    """

    def positions(chunk: Item) -> tf.data.Dataset:
        count = tf.size(chunk.index, out_type=tf.int64)
        return tf.data.Dataset.range(count + 1).map(lambda position: (position, chunk))

    return items.batch(CHUNK).flat_map(positions)


def _load_chunked(reading: Reading) -> Callable[[Tensor, Item], _Loaded]:
    blank = tf.zeros([reading.size, reading.size, 3], tf.uint8)

    def load_chunked(position: Tensor, chunk: Item) -> _Loaded:
        rgb, name = tf.cond(
            position < tf.size(chunk.index, out_type=tf.int64),
            lambda: reading.load(_at(chunk, position)),
            lambda: (blank, tf.constant("")),
        )
        gray = preprocessing.is_gray(rgb) if reading.skip_gray else tf.constant(False)
        return _Loaded(position, chunk, rgb, name, gray)

    return load_chunked


def _with_past(past: _Past, loaded: _Loaded) -> tuple[_Past, tuple[_Past, _Loaded]]:
    """Adds what came before; where records are missing, the last position is not the one before."""
    ended = loaded.position == tf.size(loaded.chunk.index, out_type=tf.int64)
    position = tf.where(ended, tf.constant(-1, tf.int64), loaded.position)
    return _Past(position, past.kept | ~(ended | loaded.gray)), (past, loaded)


def _broken_shard(record: Record) -> tuple[str, str] | None:
    path, read = os.fsdecode(record.place.numpy()), int(record.offset)
    size = tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else None
    return None if read == size else (path, f"cannot be read beyond byte {read} of {size}")


def _text(name: Tensor) -> str:
    """Returns a name that can be printed; file names may hold bytes that are no UTF-8."""
    return name.numpy().decode(errors="backslashreplace")


def _fault(item: Item, reading: Reading) -> tuple[str, str] | None:
    """Returns name and reason of a record that did not load; None for a shard that ended well."""
    if bool(item.record.end):
        return _broken_shard(item.record)
    name = f"{_text(item.record.place)}@{int(item.record.offset)}"
    try:
        name = _text(reading.name(item.record))
        reading.load(item)
    except (tf.errors.OpError, ValueError) as error:
        return name, errors.first_line(error)
    return name, "failed to load, but not when it was tried again"


def _noter(reading: Reading, stats: RecordStats) -> Callable[..., bool]:
    """Returns the function that notes missing records, given the columns of their items.

    Its first argument is whether a picture was kept before them.
    """

    def note_missing(kept: bool, *columns: Any) -> bool:
        for row in zip(*columns, strict=True):
            *record, epoch, index = (tf.constant(value) for value in row[:6])
            item = Item(Record(*record), epoch, index)
            fault = _fault(item, reading)
            if fault:
                place = Cursor(int(epoch), int(index))
                stats.add_broken(*fault, place, reading.max_bad_records, bool(kept))
        return True

    return note_missing


def without_ends(
    items: tf.data.Dataset, reading: Reading, stats: RecordStats | None
) -> tf.data.Dataset:
    """Leaves out the ends of shards, which are no records.

    Args:
      items: A dataset of `Item`.
      reading: How to name a record, and the limits.
      stats: Counts and names the shards that could not be read to their end. What it raises is lost
        where `pictures` follows; it stays in `RecordStats.error`. None counts nothing.
    """

    def is_record(item: Item) -> Tensor:
        def drop() -> Tensor:
            if stats is None:
                return tf.constant(False)
            columns = [column[None] for column in tf.nest.flatten(item)]
            noted = tf.numpy_function(_noter(reading, stats), [False, *columns], tf.bool)
            return tf.logical_not(tf.ensure_shape(noted, []))

        return tf.cond(item.record.end, drop, lambda: True)

    return items.filter(is_record)


def _keeper(reading: Reading, stats: RecordStats) -> Callable[[_Past, _Loaded], Tensor]:
    """Returns the filter that keeps pictures, and counts and names those left out."""
    note_missing = _noter(reading, stats)

    def note_gray(kept: bool) -> bool:
        stats.add_gray(bool(kept))
        return False

    def keep(past: _Past, loaded: _Loaded) -> Tensor:
        first = past.position + 1

        def note() -> Tensor:
            missing = [column[first : loaded.position] for column in tf.nest.flatten(loaded.chunk)]
            return tf.numpy_function(note_missing, [past.kept, *missing], tf.bool)

        noted = tf.cond(first < loaded.position, note, lambda: True)
        with tf.control_dependencies([noted]):
            picture = loaded.position < tf.size(loaded.chunk.index, out_type=tf.int64)
            if not reading.skip_gray:
                return picture
            drop = tf.logical_and(picture, loaded.gray)
            return tf.cond(
                drop, lambda: tf.numpy_function(note_gray, [past.kept], tf.bool), lambda: picture
            )

    return keep


def pictures(items: tf.data.Dataset, reading: Reading, stats: RecordStats) -> tf.data.Dataset:
    """Loads records in parallel; their pictures come in the records' order.

    Args:
      items: A dataset of `Item`.
      reading: How to load and which to leave out.
      stats: Counts and names the records that are left out.

    Returns:
      A dataset of `Picture`. Iterating over it raises a `tf.errors.OpError` when by `stats` too
      much is left out.
    """
    loaded = _chunked(items).map(
        _load_chunked(reading),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    start = _Past(tf.constant(-1, tf.int64), tf.constant(False))
    followed = loaded.ignore_errors().scan(start, _with_past)

    def picture(_: _Past, loaded: _Loaded) -> Picture:
        item = _at(loaded.chunk, loaded.position)
        return Picture(loaded.rgb, loaded.name, item.epoch, item.index, item.extras)

    return followed.filter(_keeper(reading, stats)).map(picture)
