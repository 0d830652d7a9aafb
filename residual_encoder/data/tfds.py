"""Image data sets of TensorFlow Datasets: --data=tfds:NAME[:SPLIT]."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from residual_encoder.data.configs import TFDS, DataConfig, tfds_name_and_split
from residual_encoder.data.image_folder import VALIDATION_SHARE
from residual_encoder.data.preprocessing import Window, decode
from residual_encoder.data.records import Record, Source, shuffled
from residual_encoder.data.tfrecord import SHUFFLE_RECORDS
from residual_encoder.utils.errors import first_line
from residual_encoder.utils.typing import Tensor

# Splits that are read for validation, the first that there is.
VALIDATION_SPLITS = ("validation", "valid", "val", "test", "dev")


def tfds_source(config: DataConfig, split: str) -> Source:
    """Returns a split of an image data set, downloaded and prepared if it is not yet.

    Where the config names a split of the data set, in the syntax of TFDS, that is read. Else
    "train" is `train`, and "val" the first of `VALIDATION_SPLITS`; of a data set without one the
    last 5 % of `train` are "val", and the others "train".

    Args:
      config: Its kind is tfds:NAME or tfds:NAME:SPLIT; without `data_dir`, TFDS's own folder.
      split: "train" or "val".

    Raises:
      ValueError: there is no such data set, split or image in it, or it cannot be prepared.
    """
    name, _ = tfds_name_and_split(config.kind)
    builder = _prepared(name, config)
    key = _image_key(name, builder.info.features)
    asked = _asked(builder, config, split)
    try:
        examples = _examples(builder, asked, key)
    except ValueError as error:
        known = ", ".join(builder.info.splits) or "none"
        reason = first_line(error).rstrip(".!")
        raise ValueError(f"{name}, {asked!r}: {reason}; its splits are {known}") from error

    def record(example: dict[str, Tensor]) -> Record:
        return Record(example["tfds_id"], tf.constant(0, tf.int64), example[key], False)

    def records(seed: Tensor | None) -> tf.data.Dataset:
        every = examples.map(record)
        return every if seed is None else shuffled(every, SHUFFLE_RECORDS, seed)

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        return decode(record.data, window), record.place

    return Source(records, picture, lambda record: record.place)


def check_disjoint(training: DataConfig, evaluation: DataConfig) -> None:
    """Checks that no picture of one data set is both trained and evaluated on.

    TFDS resolves splits to places in files. Of two versions or configs of a data set nobody can
    tell, and a warning says so.

    Raises:
      ValueError: some are; or a split is unknown, or the data cannot be prepared.
    """
    uses = {"train": training, "val": evaluation}
    if not all(config.kind.startswith(TFDS) for config in uses.values()):
        return
    names = {use: tfds_name_and_split(config.kind)[0] for use, config in uses.items()}
    if len({re.split("[/:]", name)[0] for name in names.values()}) > 1:  # data sets of their own
        return
    builders = {use: _prepared(names[use], config) for use, config in uses.items()}
    whole = [builder.info.full_name for builder in builders.values()]
    if len(set(whole)) > 1:
        logging.warning(
            "%s is trained on and %s evaluated on: whether they share pictures is not known.",
            *whole,
        )
        return
    asked = {use: _asked(builders[use], config, use) for use, config in uses.items()}
    trained, evaluated = (_places(builders[use], asked[use]) for use in uses)
    trained = _first_places(trained, training.train_limit)
    if shared := _in_both(trained, evaluated):
        raise ValueError(
            f"{shared} pictures of {names['train']} are in {asked['train']!r}, to train on, and in "
            f"{asked['val']!r}, to evaluate on; name splits that share none, such as "
            f"train[:80%] and train[80%:]"
        )


class _Place(NamedTuple):
    """A part of a file."""

    file: str
    begin: int  # the first record
    end: int  # the one behind the last


def _places(builder: Any, split: str) -> list[_Place]:
    """Returns where the records of a split are, in their order; copies elsewhere count as one."""
    parts = builder.info.splits[split].file_instructions
    return [_Place(part.basename(), part.skip, part.skip + part.take) for part in parts]


def _first_places(places: list[_Place], limit: int | None) -> list[_Place]:
    """Returns where the first so many records are; None is all."""
    if limit is None:
        return places
    found = []
    for place in places:
        end = min(place.end, place.begin + limit)
        found.append(place._replace(end=end))
        limit -= end - place.begin
    return found


def _in_both(one: list[_Place], other: list[_Place]) -> int:
    """Counts the records in both; those that a split names twice count twice."""
    return sum(
        max(0, min(a.end, b.end) - max(a.begin, b.begin))
        for a in one
        for b in other
        if a.file == b.file
    )


def _prepared(name: str, config: DataConfig) -> Any:
    """Returns the builder of a data set, after preparing it where that was not done before."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=config.data_dir)
        if not builder.is_prepared():
            logging.warning("Downloading and preparing %s in %s, once.", name, builder.data_dir)
            manual = tfds.download.DownloadConfig(manual_dir=config.manual_dir)
            builder.download_and_prepare(download_config=manual)
        return builder
    except Exception as error:  # of a hundred programs for as many data sets
        raise ValueError(
            f"TensorFlow Datasets cannot prepare {name!r}: {first_line(error).rstrip('.:')}. Names "
            "are in its catalog, https://www.tensorflow.org/datasets/catalog."
        ) from error


def _image_key(name: str, features: Any) -> str:
    """Returns the feature with the picture: "image", or else the first of images of 8 bits."""
    import tensorflow_datasets as tfds

    found = [
        key
        for key, feature in sorted(dict(features).items())
        if isinstance(feature, tfds.features.Image) and np.dtype(feature.np_dtype) == np.uint8
    ]
    if not found:
        raise ValueError(f"{name} holds no pictures of 8 bits; its features are {list(features)}")
    return "image" if "image" in found else found[0]


def _asked(builder: Any, config: DataConfig, split: str) -> str:
    """Returns the split that a config names, or what "train" or "val" is called in the data set."""
    if own := tfds_name_and_split(config.kind)[1]:
        return own
    validation = [name for name in VALIDATION_SPLITS if name in builder.info.splits]
    if validation:
        return validation[0] if split == "val" else "train"
    first = round(100 * (1 - VALIDATION_SHARE))
    return f"train[{first}%:]" if split == "val" else f"train[:{first}%]"


def _examples(builder: Any, split: str, key: str) -> tf.data.Dataset:
    """Reads encoded pictures and their ids, in TFDS's order, the same every time."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(
            {key: True}, decoders={key: tfds.decode.SkipDecoding()}
        ),
        read_config=tfds.ReadConfig(add_tfds_id=True, try_autocache=False),
    )
