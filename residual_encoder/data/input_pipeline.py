"""Photographs for training and evaluation as `tf.data`: batches that are the same on every run.

An epoch is a function of its number and the seed alone: the order of the records, and what is done
to each of them, do not depend on the machine, on other epochs or on where reading began. A broken
record is left out, counted and named; its place in the order stays empty.

    source.records    Record ...      where the pictures lie, in an order by seed and epoch
    epoch_items       Item ...        with epoch and index
    _own              Item ...        of several workers: this one's share of every batch
    loader.pictures   Picture ...     decoded, cropped, resized, augmented, in parallel and in order
    _with_copies      Picture ...     of several workers: copies in the place of what was left out
    batch             TrainBatch or EvalBatch
    _finished         the same, counted and read ahead
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from residual_encoder.data import augmentation, loader, preprocessing
from residual_encoder.data.configs import SPLITS, DataConfig
from residual_encoder.data.record_stats import Cursor, RecordStats
from residual_encoder.data.records import Source
from residual_encoder.data.sources import make_source
from residual_encoder.imaging.augment_config import Augment
from residual_encoder.utils.typing import Tensor

BEGINNING = Cursor(0, 0)


class WorkerShare(NamedTuple):
    """Share of every batch that one of several workers reads.

    Attributes:
      worker: Which one, from 0.
      workers: How many there are.
      batch_size: Pictures of the whole batch; a multiple of `workers`.
    """

    worker: int
    workers: int
    batch_size: int


class TrainBatch(NamedTuple):
    """Pictures for one step, where in the stream each of them lies, and what comes next."""

    rgb: Tensor  # [B, S, S, 3] uint8
    epoch: Tensor  # [B] int64
    index: Tensor  # [B] int64
    next_cursor: Tensor  # [2] int64: the `Cursor` after this batch, or after the shared one


class _OwnPlace(NamedTuple):
    """Places that the pictures of a worker's share carry along."""

    number: Tensor  # int64: of the record among the worker's own
    next_cursor: Tensor  # [2] int64: the `Cursor` after the shared batch


class EvalBatch(NamedTuple):
    """Pictures for evaluation; the last batch may be smaller."""

    rgb: Tensor  # [b, S, S, 3] uint8
    name: Tensor  # [b] string


def _load_function(
    source: Source, size: int, augment: Augment, seed: int
) -> Callable[..., tuple[Tensor, Tensor]]:
    def load(item: loader.Item) -> tuple[Tensor, Tensor]:
        place = tf.stack([tf.constant(seed, tf.int64), item.epoch])
        window_seed, look_seed = tf.unstack(
            tf.random.split(tf.random.fold_in(place, item.index), 2)
        )
        rgb, name = source.picture(
            item.record,
            lambda height, width: preprocessing.square(
                height, width, augment.min_crop, window_seed, augment.max_crop
            ),
        )
        return augmentation.augmented(preprocessing.resize(rgb, size), augment, look_seed), name

    return load


def _reading(
    config: DataConfig, source: Source, size: int, augment: Augment, seed: int
) -> loader.Reading:
    load = _load_function(source, size, augment, seed)
    return loader.Reading(load, source.name, size, config.skip_gray, config.max_bad_records)


def _check_sizes(batch_size: int, image_size: int) -> None:
    if batch_size < 1 or image_size < 1:
        raise ValueError(f"batch_size {batch_size} and image_size {image_size} must be at least 1")


def _finished(batches: tf.data.Dataset, stats: RecordStats) -> tf.data.Dataset:
    """Counts the kept pictures, reads ahead, and fixes the order whatever the default is."""

    def count(batch: Any) -> Any:
        rgb = batch[0]
        with tf.control_dependencies([tf.numpy_function(stats.add_kept, [tf.shape(rgb)[0]], [])]):
            return type(batch)(tf.identity(rgb), *batch[1:])

    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    return batches.map(count).prefetch(tf.data.AUTOTUNE).with_options(options)


@tf.autograph.experimental.do_not_convert  # nothing here needs it; it takes seconds
def train_batches(
    config: DataConfig,
    *,
    batch_size: int,
    image_size: int,
    augment: Augment,
    seed: int,
    start: Cursor = BEGINNING,
    share: WorkerShare | None = None,
    stats: RecordStats | None = None,
) -> tf.data.Dataset:
    """Builds an endless dataset of full `TrainBatch`es, every epoch in an order of its own.

    A run that saves `next_cursor` of its last batch and starts there gets exactly the batches that
    would have come. Earlier epochs are not read; earlier records of the same epoch are not decoded.

    Workers that share batches decode their own share of each, so that together they see what one
    worker alone would see, in its order. A worker does not know what the others leave out: a copy
    of its own next picture takes the place of each that it leaves out, and all stay in step.

    Args:
      config: Which pictures.
      batch_size: Pictures a batch; of one replica, where several share it.
      image_size: Side S of the square pictures, in pixels.
      augment: Random changes to each picture.
      seed: Decides the order and the augmentation.
      start: Where to begin.
      share: The part of a shared batch that this worker reads; None reads everything.
      stats: Counts the records that are read and left out.

    Raises:
      ValueError: a setting is out of range, or there is no data. Too many broken records raise
        while reading, as a `tf.errors.OpError`; `RecordStats.reraising` makes it a ValueError.
    """
    _check_sizes(batch_size, image_size)
    if min(start) < 0:
        raise ValueError(f"start is {start}; neither number may be negative")
    # Scenes are rendered so large that the smallest crop needs no enlargement.
    source = make_source(config, "train", round(image_size / augment.min_crop))

    def epoch_items(epoch: Tensor) -> tf.data.Dataset:
        order = tf.stack([tf.constant(seed, tf.int64), epoch])
        first = tf.where(epoch == start.epoch, tf.constant(start.index, tf.int64), 0)
        numbered = source.records(order).enumerate().skip(first)
        return numbered.map(lambda index, record: loader.Item(record, epoch, index))

    items = tf.data.Dataset.range(start.epoch, tf.int64.max).flat_map(epoch_items)
    stats = stats or RecordStats()
    reading = _reading(config, source, image_size, augment, seed)
    if share:
        # One worker looks for broken shards; records that do not load are seen by their owner.
        records = loader.without_ends(items, reading, None if share.worker else stats)
        pictures = _with_copies(loader.pictures(_own(records, share), reading, stats))
        batches = pictures.batch(batch_size, drop_remainder=True).map(_shared_batch)
    else:
        pictures = loader.pictures(items, reading, stats)
        batches = pictures.batch(batch_size, drop_remainder=True).map(_whole_batch)
    # Without it, workers would ask each other before every batch whether there is one.
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return _finished(batches, stats).apply(endless)


def _whole_batch(batch: loader.Picture) -> TrainBatch:
    return TrainBatch(batch.rgb, batch.epoch, batch.index, _cursor_after(batch))


def _cursor_after(batch: loader.Item | loader.Picture) -> Tensor:
    return tf.stack([batch.epoch[-1], batch.index[-1] + 1])


def _own(items: tf.data.Dataset, share: WorkerShare) -> tf.data.Dataset:
    """Takes a worker's share of every batch of records, undecoded; `_OwnPlace` is their extras."""
    size = share.batch_size // share.workers

    def own(number: Tensor, batch: loader.Item) -> loader.Item:
        begin = share.worker * size
        mine = tf.nest.map_structure(lambda column: column[begin : begin + size], batch)
        numbers = number * size + tf.range(size, dtype=tf.int64)
        cursors = tf.tile(_cursor_after(batch)[None], [size, 1])
        return mine._replace(extras=_OwnPlace(numbers, cursors))

    return items.batch(share.batch_size, drop_remainder=True).enumerate().map(own).unbatch()


def _with_copies(pictures: tf.data.Dataset) -> tf.data.Dataset:
    """Puts copies of a picture in the places of those that are missing right before it."""

    def counted(before: Tensor, picture: loader.Picture) -> Any:
        number = picture.extras.number
        return number, (number - before, picture)

    def copies(count: Tensor, picture: loader.Picture) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(picture).repeat(count)

    return pictures.scan(tf.constant(-1, tf.int64), counted).flat_map(copies)


def _shared_batch(batch: loader.Picture) -> TrainBatch:
    # The first row's cursor: copies in the place of the last rows carry that of a later batch.
    return TrainBatch(batch.rgb, batch.epoch, batch.index, batch.extras.next_cursor[0])


@tf.autograph.experimental.do_not_convert
def eval_batches(
    config: DataConfig,
    *,
    batch_size: int,
    image_size: int,
    limit: int | None = None,
    split: str = "val",
    stats: RecordStats | None = None,
) -> tf.data.Dataset:
    """Builds one pass of `EvalBatch`es in the data's own order: the center square of each picture.

    Args:
      config: Which pictures.
      batch_size: Pictures a batch; the last one may have fewer.
      image_size: Side S of the square pictures, in pixels.
      limit: Stop after so many pictures.
      split: "val" or "train".
      stats: Counts the records that are read and left out.

    Raises:
      ValueError: a setting is out of range, or there is no data; see `train_batches`.
    """
    _check_sizes(batch_size, image_size)
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; choose from {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; at least 1 is needed, or None for all pictures")
    source = make_source(config, split, image_size)
    zero = tf.constant(0, tf.int64)
    items = (
        source.records(None).enumerate().map(lambda index, record: loader.Item(record, zero, index))
    )
    stats = stats or RecordStats()
    reading = _reading(config, source, image_size, Augment(), 0)
    pictures = loader.pictures(items, reading, stats)
    batches = pictures.take(-1 if limit is None else limit).batch(batch_size)
    return _finished(batches.map(lambda batch: EvalBatch(batch.rgb, batch.name)), stats)
