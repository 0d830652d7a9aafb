"""TFRecord shards: serialized `tf.train.Example`s, such as the classic ones of ImageNet."""

from __future__ import annotations

import re
from pathlib import Path

import tensorflow as tf
from absl import logging

from residual_encoder.data.preprocessing import Window, decode
from residual_encoder.data.records import Record, Source, existing_folder, shuffled
from residual_encoder.utils.typing import Tensor

# Records held back while shuffling. Shards are written in random order, or hold photographs of one
# class side by side; with 16 shards read in turns 4,096 records mix both kinds well, and of
# ImageNet (110 kB a photograph) they take 450 MB.
SHUFFLE_RECORDS = 4096
SHARDS_AT_ONCE, RECORDS_IN_TURN = 16, 16

FRAME_BYTES = 16  # around each record: length 8, its CRC 4, the data's CRC 4


def _shard_records(path: Tensor) -> tf.data.Dataset:
    """Reads the records of one shard, then its end; an unreadable rest is left out.

    The end carries the number of bytes read, which tells a whole shard from a broken one.
    """
    records = tf.data.TFRecordDataset(path).ignore_errors().map(lambda data: (data, False))
    marked = records.concatenate(tf.data.Dataset.from_tensors(("", True)))

    def place(offset: Tensor, item: tuple[Tensor, Tensor]) -> tuple[Tensor, Record]:
        data, end = item
        length = tf.cast(tf.strings.length(data), tf.int64)
        return offset + FRAME_BYTES + length, Record(path, offset, data, end)

    return marked.scan(tf.constant(0, tf.int64), place)


def _shuffled_shards(paths: list[str], seed: Tensor) -> tf.data.Dataset:
    order = tf.random.experimental.stateless_shuffle(tf.constant(paths), seed)
    records = tf.data.Dataset.from_tensor_slices(order).interleave(
        _shard_records,
        cycle_length=SHARDS_AT_ONCE,
        block_length=RECORDS_IN_TURN,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return shuffled(records, SHUFFLE_RECORDS, seed)


def read_shards(paths: list[str], image_key: str, name_key: str) -> Source:
    """Returns a source of TFRecord files, whose `tf.train.Example`s hold an encoded picture.

    Args:
      paths: The files, in order.
      image_key: The feature with the picture's bytes.
      name_key: The feature with its name; a record without it is named by its place.
    """

    def records(seed: Tensor | None) -> tf.data.Dataset:
        if seed is None:
            return tf.data.Dataset.from_tensor_slices(paths).flat_map(_shard_records)
        return _shuffled_shards(paths, seed)

    image = {image_key: tf.io.FixedLenFeature([], tf.string)}
    title = {name_key: tf.io.FixedLenFeature([], tf.string, default_value="")}

    def named(record: Record, title: Tensor) -> Tensor:
        place = tf.strings.join([record.place, "@", tf.strings.as_string(record.offset)])
        return tf.where(title == "", place, title)

    def name(record: Record) -> Tensor:
        return named(record, tf.io.parse_single_example(record.data, title)[name_key])

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        example = tf.io.parse_single_example(record.data, image | title)
        return decode(example[image_key], window), named(record, example[name_key])

    return Source(records, picture, name)


def _warn_of_missing_shards(paths: list[Path]) -> None:
    counts = {int(m[1]) for p in paths if (m := re.search(r"-of-(\d+)", p.name))}
    if counts and sum(counts) != len(paths):
        logging.warning(
            "%s holds %d of %d shards; the others are missing",
            paths[0].parent,
            len(paths),
            sum(counts),
        )


def tfrecord_source(data_dir: str | None, split: str) -> Source:
    """Returns the classic ImageNet shards: `train-*`, and `val-*` or `validation-*`, in one folder.

    Args:
      data_dir: The folder.
      split: "train" or "val".

    Raises:
      ValueError: no such folder, no such shards, or nothing in them.
    """
    folder = existing_folder(data_dir, "a folder of TFRecord shards named train-* and val-*")
    prefixes = {"train": ("train-",), "val": ("val-", "validation-")}[split]
    found = sorted(p for p in folder.iterdir() if p.name.startswith(prefixes) and p.is_file())
    paths = [p for p in found if p.suffix not in (".json", ".txt", ".tmp")]
    if not paths:
        names = " or ".join(f"{prefix}*" for prefix in prefixes)
        raise ValueError(f"{folder} has no shards {names}; tools/make_shards.py writes them")
    if not any(p.stat().st_size for p in paths):
        raise ValueError(f"the {len(paths)} shards {paths[0]}, ... are empty; write them again")
    _warn_of_missing_shards(paths)
    return read_shards([str(p) for p in paths], "image/encoded", "image/filename")
