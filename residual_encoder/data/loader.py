"""Loads records in parallel and in order; what does not load is left out, counted and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from residual_encoder.data import preprocessing, sources
from residual_encoder.data.record_stats import Cursor, Tally
from residual_encoder.utils import errors
from residual_encoder.utils.typing import Tensor

# Records dealt out together, see `_deal`. Sixteen make its cost too small to measure.
CHUNK = 16


class Item(NamedTuple):
    """A record with its place in the stream, and what its picture is to bring along."""

    record: sources.Record
    epoch: Tensor
    index: Tensor
    luggage: tuple[Tensor, ...] = ()


class _Loaded(NamedTuple):
    """A picture, or the end of a chunk; with the chunk, whose tensors are shared, not copied."""

    position: Tensor
    chunk: Item
    rgb: Tensor
    name: Tensor
    gray: Tensor


@dataclass(frozen=True)
class Reading:
    """How to read.

    Attributes:
      load: A record -> uint8 [size, size, 3], and its name; fails on a broken one.
      name: A record -> its name, which must not need the picture to be whole.
      size: Side of the pictures in pixels.
      skip_gray: Whether pictures without color are left out.
      max_bad_records: Share of broken records that ends reading.
    """

    load: Callable[[Item], tuple[Tensor, Tensor]]
    name: Callable[[sources.Record], Tensor]
    size: int
    skip_gray: bool
    max_bad_records: float


def _at(chunk: Item, position: Tensor) -> Item:
    return tf.nest.map_structure(lambda column: column[position], chunk)


def _deal(items: tf.data.Dataset) -> tf.data.Dataset:
    """Deals out records in chunks: (position, chunk) for each, then one for the chunk's end.

    What fails to load vanishes from the stream without a trace. As every survivor carries its
    position and its chunk, the next one shows which records are gone; the end shows the last ones.
    Nothing but TensorFlow runs while records are good.
    """

    def positions(chunk: Item) -> tf.data.Dataset:
        count = tf.size(chunk.index, out_type=tf.int64)
        return tf.data.Dataset.range(count + 1).map(lambda position: (position, chunk))

    return items.batch(CHUNK).flat_map(positions)


def _load_dealt(reading: Reading) -> Callable[[Tensor, Item], _Loaded]:
    blank = tf.zeros([reading.size, reading.size, 3], tf.uint8)

    def load_dealt(position: Tensor, chunk: Item) -> _Loaded:
        rgb, name = tf.cond(
            position < tf.size(chunk.index, out_type=tf.int64),
            lambda: reading.load(_at(chunk, position)),
            lambda: (blank, tf.constant("")),
        )
        gray = preprocessing.is_gray(rgb) if reading.skip_gray else tf.constant(False)
        return _Loaded(position, chunk, rgb, name, gray)

    return load_dealt


def _with_first_missing(previous: Tensor, loaded: _Loaded) -> tuple[Tensor, tuple[Tensor, _Loaded]]:
    """Scan step: adds the position that should have come, which is later when records are gone."""
    ended = loaded.position == tf.size(loaded.chunk.index, out_type=tf.int64)
    return tf.where(ended, tf.constant(-1, tf.int64), loaded.position), (previous + 1, loaded)


def _broken_shard(record: sources.Record) -> tuple[str, str] | None:
    path, read = record.place.numpy().decode(), int(record.offset)
    size = tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else None
    return None if read == size else (path, f"cannot be read beyond byte {read} of {size}")


def _fault(item: Item, reading: Reading) -> tuple[str, str] | None:
    """Name and reason of a record that did not load; None for a shard that ended as it should."""
    if bool(item.record.end):
        return _broken_shard(item.record)
    name = f"{item.record.place.numpy().decode()}@{int(item.record.offset)}"
    try:
        name = reading.name(item.record).numpy().decode()
        reading.load(item)
    except (tf.errors.OpError, ValueError) as error:
        return name, errors.first_line(error)
    return name, "failed to load, but not when it was tried again"


def _noter(reading: Reading, tally: Tally) -> Callable[..., bool]:
    """Counts and names missing records, given the columns of their items; says True."""

    def note_missing(*columns: Any) -> bool:
        for row in zip(*columns, strict=True):
            place, offset, data, end, epoch, index, *_ = (tf.constant(value) for value in row)
            item = Item(sources.Record(place, offset, data, end), epoch, index)
            fault = _fault(item, reading)
            if fault:
                tally.note_bad(*fault, Cursor(int(epoch), int(index)), reading.max_bad_records)
        return True

    return note_missing


def without_ends(items: tf.data.Dataset, reading: Reading, tally: Tally | None) -> tf.data.Dataset:
    """Records without the ends of shards.

    Args:
      items: A dataset of `Item`.
      reading: How to name a record, and what is too much.
      tally: Counts and names the shards that could not be read to their end. What it raises is lost
        where `pictures` follows; it stays in `Tally.error`. None counts nothing.
    """

    def is_record(item: Item) -> Tensor:
        def drop() -> Tensor:
            if tally is None:
                return tf.constant(False)
            columns = [column[None] for column in tf.nest.flatten(item)]
            noted = tf.numpy_function(_noter(reading, tally), columns, tf.bool)
            return tf.logical_not(tf.ensure_shape(noted, []))

        return tf.cond(item.record.end, drop, lambda: True)

    return items.filter(is_record)


def _keeper(reading: Reading, tally: Tally) -> Callable[[Tensor, _Loaded], Tensor]:
    """The filter that keeps pictures, and counts and names what is left out."""
    note_missing = _noter(reading, tally)

    def note_gray() -> bool:
        tally.note_gray()
        return False

    def keep(first: Tensor, loaded: _Loaded) -> Tensor:
        def note() -> Tensor:
            missing = [column[first : loaded.position] for column in tf.nest.flatten(loaded.chunk)]
            return tf.numpy_function(note_missing, missing, tf.bool)

        noted = tf.cond(first < loaded.position, note, lambda: True)
        with tf.control_dependencies([noted]):
            picture = loaded.position < tf.size(loaded.chunk.index, out_type=tf.int64)
            if not reading.skip_gray:
                return picture
            drop = tf.logical_and(picture, loaded.gray)
            return tf.cond(drop, lambda: tf.numpy_function(note_gray, [], tf.bool), lambda: picture)

    return keep


def pictures(items: tf.data.Dataset, reading: Reading, tally: Tally) -> tf.data.Dataset:
    """Loads records in parallel and gives the pictures in the records' order.

    Args:
      items: A dataset of `Item`.
      reading: How to load one of them, and what to leave out.
      tally: Counts and names what is left out.

    Returns:
      A dataset of rgb uint8 [S, S, 3], name, epoch, index and the luggage. Iterating over it raises
      a `tf.errors.OpError` when `tally` says that too much is left out.
    """
    loaded = _deal(items).map(
        _load_dealt(reading),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    followed = loaded.ignore_errors().scan(tf.constant(-1, tf.int64), _with_first_missing)

    def picture(_: Tensor, loaded: _Loaded) -> tuple[Tensor, ...]:
        item = _at(loaded.chunk, loaded.position)
        return loaded.rgb, loaded.name, item.epoch, item.index, *item.luggage

    return followed.filter(_keeper(reading, tally)).map(picture)
