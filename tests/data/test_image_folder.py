"""A folder of pictures: its splits by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residual_encoder.data.configs import DataConfig
from residual_encoder.data.image_folder import in_validation
from residual_encoder.data.input_pipeline import RecordStats, eval_batches


def fill(folder: Path, *names: str) -> DataConfig:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(folder / name)
    return DataConfig("folder", str(folder))


def names(data: DataConfig, split: str) -> set[str]:
    batches = eval_batches(data, batch_size=4, image_size=16, split=split)
    return {name.decode() for batch in batches for name in batch.name.numpy()}


def test_folders_train_and_val_are_the_splits(tmp_path: Path) -> None:
    data = fill(tmp_path, "train/a.png", "train/deep/b.png", "val/c.png", "other/d.png")
    assert names(data, "train") == {"train/a.png", "train/deep/b.png"}
    assert names(data, "val") == {"val/c.png"}


def test_one_of_them_alone_is_a_folder_like_any_other(tmp_path: Path) -> None:
    validation = next(name for n in range(1000) if in_validation(name := f"train/{n}.png"))
    training = next(name for n in range(1000) if not in_validation(name := f"train/{n}.png"))
    data = fill(tmp_path, validation, training)
    assert names(data, "val") == {validation} and names(data, "train") == {training}
    with pytest.raises(ValueError, match="two folders train and val in it"):
        names(fill(tmp_path / "few", "train/a.png"), "val")


def test_names_are_relative_in_a_folder_of_any_name(tmp_path: Path) -> None:
    data = fill(tmp_path / "été", "train/a.png", "val/ü/b.png")
    assert names(data, "val") == {"val/ü/b.png"}


def test_a_name_that_is_no_utf8_is_read_like_any_other(tmp_path: Path) -> None:
    """As Latin-1 of old archives; the broken one of them is named so that it can be printed."""
    fill(tmp_path, "train/a.png", "val/b.png")
    for name, content in ((b"\xe9.png", (tmp_path / "val/b.png").read_bytes()), (b"\xe8.png", b"")):
        try:
            (tmp_path / "val" / os.fsdecode(name)).write_bytes(content)
        except OSError:
            pytest.skip("the file system takes UTF-8 only")
    stats = RecordStats()
    data = DataConfig("folder", str(tmp_path))
    (batch,) = eval_batches(data, batch_size=4, image_size=16, stats=stats)
    assert list(batch.name.numpy()) == [b"val/b.png", b"val/\xe9.png"]
    assert list(stats.names) == ["val/\\xe8.png"]
