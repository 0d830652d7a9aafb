"""Classes that all kinds of data share: records, and a source that yields them.

A source gives the records of one epoch, shuffled or in their own order, and reads the picture in
one of them. It decodes nothing before it is asked to, so that records can be skipped cheaply.

The kinds are in imagenet.py, tfrecord.py, image_folder.py and synthetic.py; sources.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from residual_encoder.data.preprocessing import Window
from residual_encoder.utils.typing import Tensor


class Record(NamedTuple):
    """One record before it is decoded, or the end of a shard."""

    place: Tensor  # string: the file that it lies in
    offset: Tensor  # int64: its first byte in a shard, or the number of a scene
    data: Tensor  # string: the serialized example; empty where the picture is elsewhere
    end: Tensor  # bool: no record, but the end of a shard, or of its readable part


@dataclass(frozen=True)
class Source:
    """A split of a dataset.

    Attributes:
      records: Two int64 numbers that seed the order, or None for the source's own order -> a
        dataset of `Record`: one epoch.
      picture: A record and a window -> uint8 [height, width, 3] of the window, and the name.
      name: A record -> its name, without looking at the picture.
    """

    records: Callable[[Tensor | None], tf.data.Dataset]
    picture: Callable[[Record, Window], tuple[Tensor, Tensor]]
    name: Callable[[Record], Tensor]


def shuffled(records: tf.data.Dataset, held: int, seed: Tensor) -> tf.data.Dataset:
    """Shuffles by a seed of two int64 numbers, holding back `held` records."""
    shuffle_seed = tf.random.stateless_uniform([], seed, None, None, tf.int64)
    # The process-wide seed would take part in the order; within this graph it is a constant. (Not
    # 0: TensorFlow compares the pair of seeds with (0, 0), which a tensor does not allow.)
    tf.compat.v1.set_random_seed(1)
    return records.shuffle(held, shuffle_seed, reshuffle_each_iteration=False)


def first(source: Source, count: int) -> Source:
    """Returns a source of the first records of another one, shuffled among themselves.

    Args:
      source: Whose own order decides which are the first.
      count: Number of records; ends of shards do not count.
    """

    def numbered(before: Tensor, record: Record) -> tuple[Tensor, tuple[Tensor, Record]]:
        after = before + tf.where(record.end, tf.constant(0, tf.int64), 1)
        return after, (before, record)

    def records(seed: Tensor | None) -> tf.data.Dataset:
        few = source.records(None).scan(tf.constant(0, tf.int64), numbered)
        few = few.take_while(lambda before, _: before < count).map(lambda _, record: record)
        return few if seed is None else shuffled(few, count, seed)

    return Source(records, source.picture, source.name)


def existing_folder(folder: str | None, wanted: str) -> Path:
    """Returns `data_dir` as a path.

    Raises:
      ValueError: it is missing or no folder; the message names the expected folder.
    """
    if folder is None:
        raise ValueError(f"data_dir is missing; name {wanted}")
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(f"{folder} is no folder; data_dir should be {wanted}")
    return path


def listed_records(places: Sequence[str | bytes]) -> Callable[[Tensor | None], tf.data.Dataset]:
    """Returns the `records` of a source whose records are a place each: a stateless permutation."""
    table = tf.constant(list(places))
    last = len(places) - 1

    def record(position: Tensor) -> Record:
        return Record(table[position], position, "", False)

    def records(seed: Tensor | None) -> tf.data.Dataset:
        positions = tf.data.Dataset.range(len(places))
        if seed is not None:
            positions = positions.map(
                lambda position: tf.random.experimental.index_shuffle(position, seed, last)
            )
        return positions.map(record)

    return records
