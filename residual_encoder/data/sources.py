"""The kinds of data by name. A new one is an entry here, and its name in `configs.KINDS`."""

from __future__ import annotations

from collections.abc import Callable

from residual_encoder.data.configs import TFDS, DataConfig
from residual_encoder.data.image_folder import image_folder_source
from residual_encoder.data.imagenet import imagenet_source
from residual_encoder.data.records import Source, first
from residual_encoder.data.synthetic import VALIDATION_SCENES, synthetic_source
from residual_encoder.data.tfds import tfds_source
from residual_encoder.data.tfrecord import tfrecord_source


def _synthetic(config: DataConfig, split: str, size: int) -> Source:
    count = config.synthetic_size if split == "train" else VALIDATION_SCENES
    return synthetic_source(count, split, size)


# Settings, "train" or "val", and the side of the squares that are wanted -> where they come from.
SOURCES: dict[str, Callable[[DataConfig, str, int], Source]] = {
    "imagenet": lambda config, split, _: imagenet_source(config.data_dir, config.manual_dir, split),
    "tfrecord": lambda config, split, _: tfrecord_source(config.data_dir, split),
    "folder": lambda config, split, _: image_folder_source(config.data_dir, split),
    "synthetic": _synthetic,
}


def make_source(config: DataConfig, split: str, size: int) -> Source:
    """Makes the source of a split.

    Args:
      config: Which kind, and where it lies; of its training split the first `train_limit`.
      split: "train" or "val".
      size: Side of the squares that are wanted, in pixels; scenes are rendered at that size.

    Raises:
      ValueError: there is no data where it should be.
    """
    if config.kind.startswith(TFDS):
        source = tfds_source(config, split)
    else:
        source = SOURCES[config.kind](config, split, size)
    if split == "train" and config.train_limit is not None:
        return first(source, config.train_limit)
    return source
