"""A folder of pictures, at any depth, split by a hash of their paths."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import tensorflow as tf

from residual_encoder.data.configs import SPLITS
from residual_encoder.data.preprocessing import Window, decode
from residual_encoder.data.records import Record, Source, existing_folder, listed_records
from residual_encoder.utils import files
from residual_encoder.utils.typing import Tensor

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
)  # what TensorFlow decodes
VALIDATION_SHARE = 0.05  # of a folder's pictures


def in_validation(relative_path: str) -> bool:
    """Returns whether a picture belongs to validation, which its relative path alone decides."""
    digest = hashlib.sha256(os.fsencode(relative_path)).digest()
    return int.from_bytes(digest[:8], "big") < VALIDATION_SHARE * 2**64


def pictures_below(folder: str | os.PathLike[str]) -> list[str]:
    """Lists all pictures below a folder by their relative POSIX paths, sorted; none is hidden."""
    root = Path(folder)
    return sorted(
        path.relative_to(root).as_posix() for path in files.files_below(root, PICTURE_SUFFIXES)
    )


def image_folder_source(data_dir: str | None, split: str) -> Source:
    """Returns any tree of pictures, of which 5 % are for validation by a hash of their paths.

    Where the folder holds two folders `train` and `val`, these are the splits instead.

    Args:
      data_dir: The folder.
      split: "train" or "val".

    Raises:
      ValueError: no such folder, no pictures in it, or none of them in this split.
    """
    root = existing_folder(data_dir, "a folder of pictures")
    every = pictures_below(root)
    if not every:
        raise ValueError(f"{root} holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    named = all((root / name).is_dir() for name in SPLITS)
    names = [
        name
        for name in every
        if (name.startswith(f"{split}/") if named else in_validation(name) == (split == "val"))
    ]
    if not names:
        raise ValueError(
            f"none of the {len(every)} pictures in {root} belongs to {split}: a hash of the path"
            f" gives {VALIDATION_SHARE:.0%} to val; use more pictures, or put them into two folders"
            " train and val in it"
        )
    start = len(os.fsencode(root / "x")) - 1  # strings of TensorFlow are bytes

    def name(record: Record) -> Tensor:
        return tf.strings.substr(record.place, start, -1)

    def picture(record: Record, window: Window) -> tuple[Tensor, Tensor]:
        return decode(tf.io.read_file(record.place), window), name(record)

    places = [os.fsencode(root / name) for name in names]
    return Source(listed_records(places), picture, name)
