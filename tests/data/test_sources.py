"""Sources of pictures: their splits, and places and settings that cannot be."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from helpers.training_batches import pictures, read, shards, write_shards  # noqa: F401

from residual_encoder.data import configs, image_folder, sources
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import eval_batches


def test_folder_split_is_disjoint_and_stable(pictures):
    names = image_folder.pictures_below(pictures.data_dir)
    assert len(names) == 60
    val = {name for name in names if image_folder.in_validation(name)}
    read_names = {
        split: {
            name.decode()
            for batch in eval_batches(pictures, batch_size=8, image_size=8, split=split)
            for name in batch.name.numpy()
        }
        for split in ("train", "val")
    }
    assert read_names == {"train": set(names) - val, "val": val}


def test_the_hash_of_a_path_decides_its_split():
    # `printf class/5.jpg | sha256sum` begins with 0139, class/0.jpg with 8a41; 5 % is below 0ccc.
    assert image_folder.in_validation("class/5.jpg")
    assert not image_folder.in_validation("class/0.jpg")
    share = np.mean([image_folder.in_validation(f"a/{n}.jpg") for n in range(4000)])
    assert 0.04 < share < 0.06


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda p: DataConfig("tfrecord"), "data_dir is missing"),
        (lambda p: DataConfig("tfrecord", str(p / "no")), "is no folder"),
        (lambda p: DataConfig("tfrecord", str(p)), "no shards train-"),
        (lambda p: DataConfig("folder", str(p)), "no pictures"),
        (lambda p: DataConfig("movies"), "choose from imagenet"),
        (lambda p: DataConfig("synthetic", synthetic_size=0), "at least 1"),
        (lambda p: DataConfig("synthetic", max_bad_records=2), "share"),
    ],
)
def test_places_and_settings_that_cannot_be(config, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(config(tmp_path), 1)


def test_empty_shards_are_an_error(tmp_path):
    (tmp_path / "train-00000-of-00001").touch()
    with pytest.raises(ValueError, match="empty"):
        read(DataConfig("tfrecord", str(tmp_path)), 1)


def test_a_manifest_next_to_the_shards_is_no_shard(tmp_path):
    write_shards(tmp_path, "val", 3, shards=1)
    (tmp_path / "val-manifest.json").write_text("{}")
    assert len(
        list(eval_batches(DataConfig("tfrecord", str(tmp_path)), batch_size=3, image_size=8))
    )


def test_every_kind_has_a_source():
    assert set(sources.SOURCES) == set(configs.KINDS)


def test_kinds_are_known_without_tensorflow():
    code = "import residual_encoder.data.configs, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
