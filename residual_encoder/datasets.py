"""Photographs for training and evaluation as `tf.data`: batches that are the same on every run.

An epoch is a function of its number and the seed alone: the order of the records, and what is done
to each of them, do not depend on the machine, on other epochs or on where reading began. A broken
record is left out, counted and named; its place in the order stays empty.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from residual_encoder import sources
from residual_encoder.colorspace import Tensor

KINDS = ("imagenet", "tfrecord", "folder", "synthetic")
SPLITS = ("train", "val")

# Records dealt out together, see `_deal`. Sixteen make its cost too small to measure.
CHUNK = 16
# The broken share is of this many records at least, so that one bad file ends no small run.
BAD_SHARE_OF = 1000
NAMED = 10  # broken records that an error names

# Gray as a color picture: largest difference between channels, in code values. A JPEG of a gray
# picture with chroma planes decodes within 3; a toned print is beyond 8 in most places.
GRAY_SPREAD = 8


@dataclass(frozen=True)
class DataConfig:
    """Which pictures to read.

    Attributes:
      kind: "imagenet", "tfrecord", "folder" or "synthetic".
      data_dir: The folder with the data; synthetic needs none.
      manual_dir: For imagenet, where ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar lie.
      skip_gray: Leave out pictures without color; they are counted.
      max_bad_records: Share of broken records in an epoch above which reading ends in an error.
      synthetic_size: How many synthetic scenes a training epoch has.
    """

    kind: str
    data_dir: str | None = None
    manual_dir: str | None = None
    skip_gray: bool = False
    max_bad_records: float = 0.001
    synthetic_size: int = 2000

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"data is {self.kind!r}; choose from {', '.join(KINDS)}")
        if not 0 <= self.max_bad_records <= 1:
            raise ValueError(f"max_bad_records is {self.max_bad_records}; it is a share, 0 to 1")
        if self.synthetic_size < 1:
            raise ValueError(f"synthetic_size is {self.synthetic_size}; at least 1 is needed")


class Cursor(NamedTuple):
    """A position in the endless stream: the next record to read."""

    epoch: int
    index: int


@dataclass(frozen=True)
class Augment:
    """What training does to a picture; nothing by default: the centre square.

    Attributes:
      min_crop: Smallest side of the cropped square, as a share of the picture's short side. The
        side is uniform in [min_crop, 1] and its place anywhere in the picture. At 1 the square is
        the centre one.
      flip: Mirror every second picture, left to right.
    """

    min_crop: float = 1.0
    flip: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.min_crop <= 1:
            raise ValueError(f"min_crop is {self.min_crop}; it is a share of the side, in (0, 1]")


class TrainBatch(NamedTuple):
    """Pictures for one step, and where in the stream each of them lies."""

    rgb: Tensor  # [B, S, S, 3] uint8
    epoch: Tensor  # [B] int64
    index: Tensor  # [B] int64


class EvalBatch(NamedTuple):
    """Pictures for evaluation; the last batch may be smaller."""

    rgb: Tensor  # [b, S, S, 3] uint8
    name: Tensor  # [b] string


# --- counting what is left out --------------------------------------------------------------------------


class Tally:
    """Counts what was read and what was left out. Safe to use from several threads.

    Reading runs ahead of training by a few batches, and so do the counts.

    Attributes:
      kept: Pictures put into batches.
      bad: Broken records and broken shards, counted again in every epoch.
      gray: Pictures left out because they have no color.
      names: The broken ones by name, each with the reason; the first thousand of them.
      error: Why reading ended, if it did.
    """

    def __init__(self) -> None:
        self.kept = self.bad = self.gray = 0
        self.names: dict[str, str] = {}
        self.error: str | None = None
        self._bad_of_epoch: dict[int, int] = {}
        self._lock = threading.Lock()

    @property
    def seen(self) -> int:
        """Records read so far: kept, bad and gray ones."""
        return self.kept + self.bad + self.gray

    def note_kept(self, count: int) -> None:
        """Counts pictures that went into a batch."""
        with self._lock:
            self.kept += int(count)

    def note_gray(self) -> None:
        """Counts a picture without color.

        Raises:
          ValueError: a thousand records held no color at all.
        """
        with self._lock:
            self.gray += 1
            if not self.kept and self.gray >= BAD_SHARE_OF:
                self._end(f"the first {self.gray} pictures have no color; read them with skip_gray off")

    def note_bad(self, name: str, reason: str, place: Cursor, limit: float) -> None:
        """Counts and names a broken record.

        Args:
          name: What to call it.
          reason: What is wrong with it.
          place: Where in the stream it lies.
          limit: The largest share of broken records that is put up with.

        Raises:
          ValueError: more than that are broken in this epoch.
        """
        with self._lock:
            self.bad += 1
            if name not in self.names and len(self.names) < BAD_SHARE_OF:
                self.names[name] = reason
                logging.warning("left out %s: %s", name, reason)
            bad = self._bad_of_epoch[place.epoch] = self._bad_of_epoch.get(place.epoch, 0) + 1
            read = max(place.index + 1, BAD_SHARE_OF)
            if bad > limit * read:
                self._end(self._too_many(bad, read, limit))

    def _too_many(self, bad: int, read: int, limit: float) -> str:
        first = "; ".join(f"{name} ({why})" for name, why in list(self.names.items())[:NAMED])
        return (
            f"{bad} broken records, {bad / read:.2%} of {read}, where max_bad_records allows"
            f" {limit:.2%}: {first}. Replace or remove them, or allow more"
        )

    def _end(self, error: str) -> None:
        self.error = error
        raise ValueError(error)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Around reading: turns TensorFlow's error into the ValueError that ended it.

        Raises:
          ValueError: too many records are broken, or none has color.
        """
        try:
            yield
        except tf.errors.OpError:
            if self.error is None:
                raise
            raise ValueError(self.error) from None


# --- reading one record -----------------------------------------------------------------------------------


class _Item(NamedTuple):
    """A record with its place in the stream."""

    record: sources.Record
    epoch: Tensor
    index: Tensor


class _Loaded(NamedTuple):
    """A picture, or the end of a chunk; with the chunk, whose tensors are shared, not copied."""

    position: Tensor
    chunk: _Item
    rgb: Tensor
    name: Tensor
    gray: Tensor


Load = Callable[[_Item], tuple[Tensor, Tensor]]  # -> uint8 [S, S, 3], name


def _window(height: Tensor, width: Tensor, min_crop: float, seed: Tensor) -> Tensor:
    """The square to crop: int32 [top, left, side, side]."""
    short = tf.minimum(height, width)
    if min_crop == 1.0:
        return tf.stack([(height - short) // 2, (width - short) // 2, short, short])
    share = tf.random.stateless_uniform([3], seed)
    side = tf.cast(short, tf.float32) * (min_crop + (1 - min_crop) * share[0])
    side = tf.clip_by_value(tf.cast(tf.round(side), tf.int32), 1, short)
    room = tf.stack([height - side, width - side])
    corner = tf.cast(tf.floor(share[1:] * tf.cast(room + 1, tf.float32)), tf.int32)
    corner = tf.minimum(corner, room)
    return tf.stack([corner[0], corner[1], side, side])


def resize(rgb: Tensor, size: int) -> Tensor:
    """A square picture at another size: uint8 [s, s, 3] -> uint8 [size, size, 3].

    Bilinear, averaging over the pixels that fall together, rounded; as it is when it fits already.
    """

    def resized() -> Tensor:
        smooth = tf.image.resize(rgb, [size, size], "bilinear", antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(smooth), 0, 255), tf.uint8)

    fits = tf.reduce_all(tf.equal(tf.shape(rgb)[:2], size))
    return tf.ensure_shape(tf.cond(fits, lambda: rgb, resized), [size, size, 3])


def _loader(source: sources.Source, size: int, augment: Augment, seed: int) -> Load:
    def load(item: _Item) -> tuple[Tensor, Tensor]:
        place = tf.stack([tf.constant(seed, tf.int64), item.epoch])
        window_seed, flip_seed = tf.unstack(
            tf.random.split(tf.random.fold_in(place, item.index), 2)
        )
        rgb, name = source.picture(
            item.record, lambda height, width: _window(height, width, augment.min_crop, window_seed)
        )
        rgb = resize(rgb, size)
        if augment.flip:
            mirrored = tf.random.stateless_uniform([], flip_seed) < 0.5
            rgb = tf.cond(mirrored, lambda: tf.reverse(rgb, [1]), lambda: rgb)
        return rgb, name

    return load


def _has_color(rgb: Tensor) -> Tensor:
    wide = tf.cast(rgb, tf.int32)
    return tf.reduce_max(tf.reduce_max(wide, -1) - tf.reduce_min(wide, -1)) > GRAY_SPREAD


# --- reading many, leaving out the broken ones --------------------------------------------------------


def _at(chunk: _Item, position: Tensor) -> _Item:
    return tf.nest.map_structure(lambda column: column[position], chunk)


def _deal(items: tf.data.Dataset) -> tf.data.Dataset:
    """Deals out records in chunks: (position, chunk) for each, then one for the chunk's end.

    What fails to load vanishes from the stream without a trace. As every survivor carries its
    position and its chunk, the next one shows which records are gone; the end shows the last ones.
    Nothing but TensorFlow runs while records are good.
    """

    def positions(chunk: _Item) -> tf.data.Dataset:
        count = tf.size(chunk.index, out_type=tf.int64)
        return tf.data.Dataset.range(count + 1).map(lambda position: (position, chunk))

    return items.batch(CHUNK).flat_map(positions)


def _load_dealt(load: Load, size: int) -> Callable[[Tensor, _Item], _Loaded]:
    def load_dealt(position: Tensor, chunk: _Item) -> _Loaded:
        rgb, name = tf.cond(
            position < tf.size(chunk.index, out_type=tf.int64),
            lambda: load(_at(chunk, position)),
            lambda: (tf.zeros([size, size, 3], tf.uint8), tf.constant("")),
        )
        return _Loaded(position, chunk, rgb, name, tf.logical_not(_has_color(rgb)))

    return load_dealt


def _with_first_missing(previous: Tensor, loaded: _Loaded) -> tuple[Tensor, tuple[Tensor, _Loaded]]:
    """Scan step: adds the position that should have come, which is later when records are gone."""
    ended = loaded.position == tf.size(loaded.chunk.index, out_type=tf.int64)
    return tf.where(ended, tf.constant(-1, tf.int64), loaded.position), (previous + 1, loaded)


def _reason(error: Exception) -> str:
    """The first line of TensorFlow's message without the names of its nodes."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", line).strip()


def _fault(item: _Item, load: Load) -> tuple[str, str] | None:
    """Name and reason of a record that did not load; None for a shard that ended as it should."""
    record = item.record
    place = f"{record.place.numpy().decode()}@{int(record.offset)}"
    if bool(record.end):
        path = record.place.numpy().decode()
        size = tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else None
        if size == int(record.offset):
            return None
        return path, f"cannot be read beyond byte {int(record.offset)} of {size}"
    try:
        load(item)
    except (tf.errors.OpError, ValueError) as error:
        return place, _reason(error)
    return place, "could not be read at first, but could later"


def _keeper(load: Load, config: DataConfig, tally: Tally) -> Callable[[Tensor, _Loaded], Tensor]:
    """The filter that keeps pictures, and counts and names what is left out."""

    def note_missing(*columns: Any) -> bool:
        for row in zip(*columns, strict=True):
            place, offset, data, end, epoch, index = (tf.constant(value) for value in row)
            item = _Item(sources.Record(place, offset, data, end), epoch, index)
            fault = _fault(item, load)
            if fault:
                tally.note_bad(*fault, Cursor(int(epoch), int(index)), config.max_bad_records)
        return True

    def note_gray() -> bool:
        tally.note_gray()
        return False

    def keep(first: Tensor, loaded: _Loaded) -> Tensor:
        missing = [column[first : loaded.position] for column in tf.nest.flatten(loaded.chunk)]
        noted = tf.cond(
            first < loaded.position,
            lambda: tf.numpy_function(note_missing, missing, tf.bool),
            lambda: True,
        )
        with tf.control_dependencies([noted]):
            picture = loaded.position < tf.size(loaded.chunk.index, out_type=tf.int64)
            if not config.skip_gray:
                return picture
            drop = tf.logical_and(picture, loaded.gray)
            return tf.cond(drop, lambda: tf.numpy_function(note_gray, [], tf.bool), lambda: picture)

    return keep


def _pictures(
    items: tf.data.Dataset, load: Load, size: int, config: DataConfig, tally: Tally
) -> tf.data.Dataset:
    """Items -> (rgb, name, epoch, index) of those that load, in the same order."""
    loaded = _deal(items).map(
        _load_dealt(load, size), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    followed = loaded.ignore_errors().scan(tf.constant(-1, tf.int64), _with_first_missing)

    def picture(_: Tensor, loaded: _Loaded) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        item = _at(loaded.chunk, loaded.position)
        return loaded.rgb, loaded.name, item.epoch, item.index

    return followed.filter(_keeper(load, config, tally)).map(picture)


# --- the two functions --------------------------------------------------------------------------------


def _source(config: DataConfig, split: str, size: int) -> sources.Source:
    if config.kind == "imagenet":
        return sources.imagenet(config.data_dir, config.manual_dir, split)
    if config.kind == "tfrecord":
        return sources.tfrecord(config.data_dir, split)
    if config.kind == "folder":
        return sources.folder(config.data_dir, split)
    count = config.synthetic_size if split == "train" else sources.VALIDATION_SCENES
    return sources.synthetic(count, split, size)


def _check_sizes(batch_size: int, image_size: int) -> None:
    if batch_size < 1 or image_size < 1:
        raise ValueError(f"batch_size {batch_size} and image_size {image_size} must be at least 1")


def _finished(batches: tf.data.Dataset, tally: Tally) -> tf.data.Dataset:
    """Counts what is kept, reads ahead, and fixes order and sharding whatever the defaults are."""

    def count(batch: Any) -> Any:
        rgb = batch[0]
        with tf.control_dependencies([tf.numpy_function(tally.note_kept, [tf.shape(rgb)[0]], [])]):
            return type(batch)(tf.identity(rgb), *batch[1:])

    options = tf.data.Options()
    options.deterministic = True
    # Several workers read the same stream and take turns: a stream of records has no files to split.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.map(count).prefetch(tf.data.AUTOTUNE).with_options(options)


def train_batches(
    config: DataConfig,
    *,
    batch_size: int,
    image_size: int,
    augment: Augment,
    seed: int,
    start: Cursor = Cursor(0, 0),
    tally: Tally | None = None,
) -> tf.data.Dataset:
    """An endless dataset of full `TrainBatch`es, every epoch in an order of its own.

    A run that saves `Cursor(epoch[-1], index[-1] + 1)` of its last batch goes on from there with
    exactly the batches that would have come. Earlier epochs are not read; earlier records of the
    same epoch are not decoded.

    Args:
      config: Which pictures.
      batch_size: Pictures a batch.
      image_size: Side S of the square pictures, in pixels.
      augment: What is done to each picture.
      seed: Decides the order and the augmentation.
      start: Where to begin.
      tally: Counts what is read and left out.

    Raises:
      ValueError: a setting is out of range, or there is no data. Too many broken records raise
        while reading, as a `tf.errors.OpError`; `Tally.explained` makes it a ValueError.
    """
    _check_sizes(batch_size, image_size)
    if min(start) < 0:
        raise ValueError(f"start is {start}; neither number may be negative")
    # Scenes are rendered so large that the smallest crop needs no enlargement.
    source = _source(config, "train", round(image_size / augment.min_crop))

    def epoch_items(epoch: Tensor) -> tf.data.Dataset:
        order = tf.stack([tf.constant(seed, tf.int64), epoch])
        first = tf.where(epoch == start.epoch, tf.constant(start.index, tf.int64), 0)
        numbered = source.records(order).enumerate().skip(first)
        return numbered.map(lambda index, record: _Item(record, epoch, index))

    items = tf.data.Dataset.range(start.epoch, tf.int64.max).flat_map(epoch_items)
    tally = tally or Tally()
    load = _loader(source, image_size, augment, seed)
    pictures = _pictures(items, load, image_size, config, tally)
    batches = pictures.batch(batch_size, drop_remainder=True)
    return _finished(batches.map(lambda rgb, _, epoch, index: TrainBatch(rgb, epoch, index)), tally)


def eval_batches(
    config: DataConfig,
    *,
    batch_size: int,
    image_size: int,
    limit: int | None = None,
    split: str = "val",
    tally: Tally | None = None,
) -> tf.data.Dataset:
    """One pass of `EvalBatch`es in the data's own order: the centre square of every picture.

    Args:
      config: Which pictures.
      batch_size: Pictures a batch; the last one may have fewer.
      image_size: Side S of the square pictures, in pixels.
      limit: Stop after so many pictures.
      split: "val" or "train".
      tally: Counts what is read and left out.

    Raises:
      ValueError: a setting is out of range, or there is no data; see `train_batches`.
    """
    _check_sizes(batch_size, image_size)
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; choose from {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; at least 1 is needed, or None for all pictures")
    source = _source(config, split, image_size)
    zero = tf.constant(0, tf.int64)
    items = source.records(None).enumerate().map(lambda index, record: _Item(record, zero, index))
    tally = tally or Tally()
    load = _loader(source, image_size, Augment(), 0)
    pictures = _pictures(items, load, image_size, config, tally)
    batches = pictures.take(-1 if limit is None else limit).batch(batch_size)
    return _finished(batches.map(lambda rgb, name, *_: EvalBatch(rgb, name)), tally)
