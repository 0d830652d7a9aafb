"""Where records come from: TFRecord shards, ImageNet, a folder of pictures, synthetic scenes.

A source gives the records of one epoch, shuffled or in their own order, and reads the picture in
one of them. It decodes nothing before it is asked to, so that records can be skipped cheaply.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from residual_encoder.data import scenes
from residual_encoder.data.preprocessing import Window, decode
from residual_encoder.utils.typing import Tensor

# Records held back while shuffling. Shards are written in random order, or hold photographs of one
# class side by side; with 16 shards read in turns 4,096 records mix both kinds well, and of
# ImageNet (110 kB a photograph) they take 450 MB.
SHUFFLE_RECORDS = 4096
SHARDS_AT_ONCE, RECORDS_IN_TURN = 16, 16

TFRECORD_FRAME = 16  # bytes around each record: length 8, its CRC 4, the data's CRC 4

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
)  # what TensorFlow decodes
VALIDATION_SHARE = 0.05  # of a folder's pictures

SCENE_SEEDS = {"train": 0, "val": 1}
VALIDATION_SCENES = 200

IMAGENET = "imagenet2012"
IMAGENET_TARS = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


class Record(NamedTuple):
    """One record before it is decoded, or the end of a shard."""

    place: Tensor  # string: the file that it lies in
    offset: Tensor  # int64: its first byte in a shard, or the number of a scene
    data: Tensor  # string: the serialized example; empty where the picture is elsewhere
    end: Tensor  # bool: no record, but the end of what could be read of a shard


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


def _shuffled(records: tf.data.Dataset, held: int, seed: Tensor) -> tf.data.Dataset:
    """Shuffled by two int64 numbers, holding back so many records."""
    shuffle_seed = tf.random.stateless_uniform([], seed, None, None, tf.int64)
    # The process-wide seed would take part in the order; within this graph it is a constant. (Not
    # 0: TensorFlow compares the pair of seeds with (0, 0), which a tensor does not allow.)
    tf.compat.v1.set_random_seed(1)
    return records.shuffle(held, shuffle_seed, reshuffle_each_iteration=False)


def first(source: Source, count: int) -> Source:
    """A source of the first records of another one, shuffled among themselves.

    Args:
      source: Whose own order decides which are the first.
      count: How many.
    """

    def records(seed: Tensor | None) -> tf.data.Dataset:
        few = source.records(None).take(count)
        return few if seed is None else _shuffled(few, count, seed)

    return Source(records, source.picture, source.name)


# --- TFRecord shards ------------------------------------------------------------------------------


def _shard_records(path: Tensor) -> tf.data.Dataset:
    """The records of one shard, then its end; an unreadable rest is left out.

    The end carries the number of bytes read, which tells a whole shard from a broken one.
    """
    records = tf.data.TFRecordDataset(path).ignore_errors().map(lambda data: (data, False))
    marked = records.concatenate(tf.data.Dataset.from_tensors(("", True)))

    def place(offset: Tensor, item: tuple[Tensor, Tensor]) -> tuple[Tensor, Record]:
        data, end = item
        length = tf.cast(tf.strings.length(data), tf.int64)
        return offset + TFRECORD_FRAME + length, Record(path, offset, data, end)

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
    return _shuffled(records, SHUFFLE_RECORDS, seed)


def shards(paths: list[str], image_key: str, name_key: str) -> Source:
    """Records of TFRecord files: serialized `tf.train.Example`s that hold an encoded picture.

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


def _existing_folder(folder: str | None, wanted: str) -> Path:
    if folder is None:
        raise ValueError(f"data_dir is missing; name {wanted}")
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(f"{folder} is no folder; data_dir should be {wanted}")
    return path


def _warn_of_missing_shards(paths: list[Path]) -> None:
    counts = {int(m[1]) for p in paths if (m := re.search(r"-of-(\d+)", p.name))}
    if counts and sum(counts) != len(paths):
        logging.warning(
            "%s holds %d of %d shards; the others are missing",
            paths[0].parent,
            len(paths),
            sum(counts),
        )


def tfrecord(data_dir: str | None, split: str) -> Source:
    """The classic ImageNet shards: `train-*`, and `val-*` or `validation-*`, below one folder.

    Raises:
      ValueError: no such folder, no such shards, or nothing in them.
    """
    folder = _existing_folder(data_dir, "a folder of TFRecord shards named train-* and val-*")
    prefixes = {"train": ("train-",), "val": ("val-", "validation-")}[split]
    found = sorted(p for p in folder.iterdir() if p.name.startswith(prefixes) and p.is_file())
    paths = [p for p in found if p.suffix not in (".json", ".txt", ".tmp")]
    if not paths:
        names = " or ".join(f"{prefix}*" for prefix in prefixes)
        raise ValueError(f"{folder} has no shards {names}; tools/make_shards.py writes them")
    if not any(p.stat().st_size for p in paths):
        raise ValueError(f"the {len(paths)} shards {paths[0]}, ... are empty; write them again")
    _warn_of_missing_shards(paths)
    return shards([str(p) for p in paths], "image/encoded", "image/filename")


# --- ImageNet -------------------------------------------------------------------------------------


def _imagenet_tars(manual_dir: str | None, data_dir: Path) -> Path:
    if manual_dir is None:
        raise ValueError(
            f"{data_dir / IMAGENET} is not prepared yet and manual_dir is missing; name the folder"
            f" with {' and '.join(IMAGENET_TARS)}, see data/README.md"
        )
    missing = [name for name in IMAGENET_TARS if not (Path(manual_dir) / name).is_file()]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} not found in {manual_dir}; data/README.md says where to get"
            " ImageNet"
        )
    return Path(manual_dir)


def _prepared_imagenet(data_dir: Path) -> Path | None:
    """The folder of the newest version that is prepared as TFRecord files."""
    done = (data_dir / IMAGENET).glob("*/dataset_info.json")
    return max((info.parent for info in done), default=None)


def _prepare_imagenet(data_dir: Path, manual_dir: Path) -> None:
    import tensorflow_datasets as tfds

    logging.info("preparing ImageNet in %s from the archives in %s", data_dir, manual_dir)
    builder = tfds.builder(IMAGENET, data_dir=str(data_dir), file_format="tfrecord")
    config = tfds.download.DownloadConfig(manual_dir=str(manual_dir), try_download_gcs=False)
    builder.download_and_prepare(download_config=config)


def imagenet(data_dir: str | None, manual_dir: str | None, split: str) -> Source:
    """ImageNet 2012 as TensorFlow Datasets prepares it, in TFRecord files that are read directly.

    Args:
      data_dir: Where it is prepared, or shall be: the folder that holds `imagenet2012/`.
      manual_dir: Where the two archives lie; needed only while it is not prepared.
      split: "train" or "val".

    Raises:
      ValueError: it is not prepared and an archive is missing, or it is prepared in another format.
    """
    if data_dir is None:
        raise ValueError(
            "data_dir is missing; name the folder where ImageNet is or will be prepared"
        )
    folder = _prepared_imagenet(Path(data_dir))
    if folder is None:
        _prepare_imagenet(Path(data_dir), _imagenet_tars(manual_dir, Path(data_dir)))
        folder = _prepared_imagenet(Path(data_dir))
    return shards(_imagenet_files(folder, split), "image", "file_name")


def _imagenet_files(folder: Path | None, split: str) -> list[str]:
    import tensorflow_datasets as tfds

    if folder is None:
        raise ValueError("TensorFlow Datasets prepared no ImageNet; see its messages above")
    info = tfds.builder_from_directory(str(folder)).info
    name = {"train": "train", "val": "validation"}[split]
    if info.file_format.value != "tfrecord":
        raise ValueError(f"{folder} is {info.file_format.value}; prepare it as tfrecord instead")
    if name not in info.splits:
        raise ValueError(
            f"{folder} has no split {name}, only {list(info.splits)}; prepare it again"
        )
    return [str(path) for path in info.splits[name].filepaths]


# --- folder ---------------------------------------------------------------------------------------


def in_validation(relative_path: str) -> bool:
    """Whether a folder's picture belongs to validation; depends on its relative path alone."""
    digest = hashlib.sha256(relative_path.encode()).digest()
    return int.from_bytes(digest[:8], "big") < VALIDATION_SHARE * 2**64


def pictures_below(folder: str | os.PathLike[str]) -> list[str]:
    """Relative POSIX paths of all pictures below a folder, sorted; hidden files are skipped."""
    found: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(parent).relative_to(folder)
        found += [
            (relative / name).as_posix()
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ]
    return sorted(found)


def folder(data_dir: str | None, split: str) -> Source:
    """Any tree of pictures; 5 % of them, by a stable hash of the relative path, are validation.

    Raises:
      ValueError: no such folder, no pictures in it, or none of them in this split.
    """
    root = _existing_folder(data_dir, "a folder of pictures")
    every = pictures_below(root)
    if not every:
        raise ValueError(f"{root} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    names = [name for name in every if in_validation(name) == (split == "val")]
    if not names:
        raise ValueError(
            f"none of the {len(every)} pictures in {root} belongs to {split}: a hash of the path"
            f" gives {VALIDATION_SHARE:.0%} to val; use more pictures or another folder for it"
        )
    start = len(str(root / "x")) - 1

    def name(record: Record) -> Tensor:
        return tf.strings.substr(record.place, start, -1)

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        return decode(tf.io.read_file(record.place), window), name(record)

    return Source(_list_records([str(root / name) for name in names]), picture, name)


def _list_records(places: list[str]) -> Callable[[Tensor | None], tf.data.Dataset]:
    """Records that are a place each, in a stateless permutation."""
    table = tf.constant(places)
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


# --- synthetic ------------------------------------------------------------------------------------


def synthetic(count: int, split: str, size: int) -> Source:
    """Rendered scenes, always the same ones for a split.

    Args:
      count: How many there are.
      split: "train" or "val"; they share no scene.
      size: Side of the rendered squares in pixels.
    """
    seed = SCENE_SEEDS[split]

    def render(number: Any) -> Any:
        return scenes.render(seed, int(number), size)

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        rgb = tf.numpy_function(render, [record.offset], tf.uint8, stateful=False)
        rgb = tf.ensure_shape(rgb, [size, size, 3])
        top, left, height, width = tf.unstack(window(tf.constant(size), tf.constant(size)))
        return rgb[top : top + height, left : left + width], record.place

    places = [f"scene-{split}-{n:06d}" for n in range(count)]
    return Source(_list_records(places), picture, lambda record: record.place)
