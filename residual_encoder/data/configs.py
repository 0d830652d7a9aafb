"""Which data to read. Imports no TensorFlow, so that command lines list the kinds at once."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("imagenet", "tfrecord", "folder", "synthetic")
SPLITS = ("train", "val")


@dataclass(frozen=True)
class DataConfig:
    """Settings of the pictures to read.

    Attributes:
      kind: "imagenet", "tfrecord", "folder" or "synthetic".
      data_dir: The folder with the data; synthetic needs none.
      manual_dir: For imagenet, where ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar lie.
      skip_gray: Leave out pictures without color; they are counted.
      max_bad_records: Share of broken records in an epoch above which reading ends in an error.
      synthetic_size: How many synthetic scenes a training epoch has.
      train_limit: How many of the first training pictures are used; None takes all.
    """

    kind: str
    data_dir: str | None = None
    manual_dir: str | None = None
    skip_gray: bool = False
    max_bad_records: float = 0.001
    synthetic_size: int = 2000
    train_limit: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"data is {self.kind!r}; choose from {', '.join(KINDS)}")
        if not 0 <= self.max_bad_records <= 1:
            raise ValueError(f"max_bad_records is {self.max_bad_records}; it is a share, 0 to 1")
        if self.synthetic_size < 1:
            raise ValueError(f"synthetic_size is {self.synthetic_size}; at least 1 is needed")
        if self.train_limit is not None and self.train_limit < 1:
            raise ValueError(f"train_limit is {self.train_limit}; at least 1 is needed, or None")
