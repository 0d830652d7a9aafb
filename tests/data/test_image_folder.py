"""A folder of pictures: its splits by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residual_encoder.data.configs import DataConfig
from residual_encoder.data.image_folder import in_validation
from residual_encoder.data.input_pipeline import eval_batches


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
