"""Which data to read. Imports no TensorFlow, so that command lines list the kinds at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = ("imagenet", "tfrecord", "folder", "synthetic")
TFDS = "tfds:"  # begins a kind that names a data set of TensorFlow Datasets
SPLITS = ("train", "val")


def is_kind(text: str) -> bool:
    """Returns whether a text is one of `KINDS`, or tfds:NAME[:SPLIT]."""
    return text in KINDS or (text.startswith(TFDS) and bool(tfds_name_and_split(text)[0]))


def tfds_name_and_split(kind: str) -> tuple[str, str | None]:
    """Splits tfds:NAME[/CONFIG][:VERSION][:SPLIT].

    Returns:
      NAME, with what TFDS takes behind it, and SPLIT in TFDS's own syntax, such as "train[:80%]";
      None where there is none.
    """
    name, _, rest = kind.removeprefix(TFDS).partition(":")
    version, _, behind = rest.partition(":")
    if re.fullmatch(r"[\d*]+(\.[\d*]+)*", version):
        name, rest = f"{name}:{version}", behind
    return name, rest or None


def check_separate(training: DataConfig, evaluation: DataConfig) -> None:
    """Checks that the pictures to train on are not those to evaluate on.

    A kind that names its split is read from that split for either purpose; all others have two
    splits. Only equal names are found: that `train` holds `train[:10%]` is known to TFDS alone, see
    `tfds.check_disjoint`.

    Raises:
      ValueError: both name the same split; in another folder it holds the same pictures.
    """
    name, split = tfds_name_and_split(training.kind)
    if training.kind.startswith(TFDS) and split and training.kind == evaluation.kind:
        raise ValueError(
            f"{training.kind} names the split to train on, which would be evaluated on as well; "
            f"name another one to evaluate on (in training, --eval_data={TFDS}{name}:test), or "
            "leave the split out"
        )


@dataclass(frozen=True)
class DataConfig:
    """Settings of the pictures to read.

    Attributes:
      kind: "imagenet", "tfrecord", "folder", "synthetic", or "tfds:NAME[:SPLIT]" for any image data
        set of TensorFlow Datasets.
      data_dir: The folder with the data; synthetic needs none, and tfds has one of its own.
      manual_dir: For imagenet, where ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar lie; for
        tfds, where what one has to download by hand lies.
      skip_gray: Leave out pictures without color; they are counted.
      max_bad_records: Share of broken records in an epoch, 0 to 1, above which reading ends in an
        error; of fewer than 1,000 records it is taken of 1,000.
      synthetic_size: How many synthetic scenes a training epoch has, at least 1.
      train_limit: How many of the first training pictures are used, at least 1; None takes all.
    """

    kind: str
    data_dir: str | None = None
    manual_dir: str | None = None
    skip_gray: bool = False
    max_bad_records: float = 0.001
    synthetic_size: int = 2000
    train_limit: int | None = None

    def __post_init__(self) -> None:
        """Checks kind and ranges.

        Raises:
          ValueError: the kind is unknown, or a number is out of range.
        """
        if not is_kind(self.kind):
            raise ValueError(
                f"data is {self.kind!r}; choose from {', '.join(KINDS)}, or tfds:NAME[:SPLIT]"
            )
        if not 0 <= self.max_bad_records <= 1:
            raise ValueError(f"max_bad_records is {self.max_bad_records}; it is a share, 0 to 1")
        if self.synthetic_size < 1:
            raise ValueError(f"synthetic_size is {self.synthetic_size}; at least 1 is needed")
        if self.train_limit is not None and self.train_limit < 1:
            raise ValueError(f"train_limit is {self.train_limit}; at least 1 is needed, or None")
