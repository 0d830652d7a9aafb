"""Sources of pictures: their splits, and places and settings that cannot be."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from helpers.training_batches import pictures, read, shards, write_shards  # noqa: F401

from residual_encoder.data import configs, image_folder, sources
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import eval_batches
from residual_encoder.recipes import RECIPES
from residual_encoder.training.run import TrainConfig


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


@pytest.mark.parametrize("module", ["data.configs", "recipes", "reproduction.experiments"])
def test_choices_of_flags_are_known_without_tensorflow(module):
    code = f"import residual_encoder.{module}, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("limit", [5, 17, 40, 100])
def test_the_first_training_pictures_are_as_many_as_wanted(limit, shards):
    """Shards of 16, 16 and 15; their ends are no pictures."""
    few = dataclasses.replace(shards, train_limit=limit)
    batches = eval_batches(few, batch_size=50, image_size=8, split="train")
    read_names = [name for batch in batches for name in batch.name.numpy()]
    every = eval_batches(shards, batch_size=50, image_size=8, split="train")
    assert read_names == [name for batch in every for name in batch.name.numpy()][:limit]
    epoch = read(few, 1, batch_size=min(limit, 47), size=8)[0]
    assert set(epoch[1]) == {0}


def test_a_split_that_is_named_is_not_trained_and_evaluated_on():
    train, test = (DataConfig(f"tfds:mnist:{split}") for split in ("train", "test"))
    for both in (train, test), (train, DataConfig("tfds:mnist")):
        configs.check_separate(*both)
    for kind in ("tfds:mnist", "folder", "synthetic"):
        configs.check_separate(DataConfig(kind), DataConfig(kind))
    with pytest.raises(ValueError, match="tfds:mnist:train names the split to train on"):
        configs.check_separate(train, train)
    with pytest.raises(ValueError, match="tfds:mnist:train names the split to train on"):
        configs.check_separate(train, dataclasses.replace(train, data_dir="elsewhere"))
    recipe = RECIPES["tinyclouds2016"]
    with pytest.raises(ValueError, match="would be evaluated on as well"):
        TrainConfig(recipe, train, "run")
    assert TrainConfig(recipe, train, "run", eval_data=test)
    assert TrainConfig(recipe, train, "run", eval_every=0)
