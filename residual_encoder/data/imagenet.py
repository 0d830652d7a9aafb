"""ImageNet 2012: prepared once from its two archives, then read as TFRecord shards."""

from __future__ import annotations

import re
from pathlib import Path

from absl import logging

from residual_encoder.data.records import Source
from residual_encoder.data.tfrecord import read_shards

IMAGENET = "imagenet2012"
IMAGENET_TARS = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def _imagenet_tars(manual_dir: str | None, data_dir: Path) -> Path:
    if manual_dir is None:
        raise ValueError(
            f"{data_dir / IMAGENET} is not prepared yet and manual_dir is missing; name the folder"
            f" with {' and '.join(IMAGENET_TARS)}, see data/README.md"
        )
    missing = [name for name in IMAGENET_TARS if not (Path(manual_dir) / name).is_file()]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} not found in {manual_dir}; data/README.md tells where to get"
            " ImageNet"
        )
    return Path(manual_dir)


def _prepared_imagenet(data_dir: Path) -> Path | None:
    """Returns the folder of the newest version that is prepared as TFRecord files."""
    done = (data_dir / IMAGENET).glob("*/dataset_info.json")
    return max((info.parent for info in done), key=_version, default=None)


def _version(folder: Path) -> list[int]:
    """Returns [5, 1, 0] for a folder 5.1.0, which as text would sort after 10.0.0."""
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _prepare_imagenet(data_dir: Path, manual_dir: Path) -> None:
    import tensorflow_datasets as tfds

    # A warning, as the tools show no less: it takes hours.
    logging.warning(
        "Preparing ImageNet in %s from the archives in %s; this takes hours, once.",
        data_dir,
        manual_dir,
    )
    builder = tfds.builder(IMAGENET, data_dir=str(data_dir), file_format="tfrecord")
    config = tfds.download.DownloadConfig(manual_dir=str(manual_dir), try_download_gcs=False)
    builder.download_and_prepare(download_config=config)


def imagenet_source(data_dir: str | None, manual_dir: str | None, split: str) -> Source:
    """Returns ImageNet 2012 as TensorFlow Datasets prepares it: TFRecord files, read directly.

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
    return read_shards(_imagenet_files(folder, split), "image", "file_name")


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
