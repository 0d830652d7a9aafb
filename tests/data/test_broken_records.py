"""Broken and gray records are left out, counted and named; too many of them end reading."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import dataclasses
import logging

import numpy as np
import pytest
from helpers.tfrecords import example, jpeg_of, write_shard
from helpers.training_batches import colored, pictures, read, same, shards, write_shards  # noqa: F401

from residual_encoder import models
from residual_encoder.data import image_folder, record_stats
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import Cursor, RecordStats, WorkerShare, eval_batches
from residual_encoder.export import litert
from residual_encoder.models.configs import AbClassesConfig
from residual_encoder.recipes import RECIPES
from residual_encoder.reproduction import released_model
from residual_encoder.training import trunk_init


@pytest.fixture
def broken(tmp_path):
    """Nine good records among five broken ones."""
    good = [example(jpeg_of(colored(n)), f"good{n}") for n in range(9)]
    bad = [
        example(jpeg_of(colored(50))[:400], "truncated"),
        example(b"this is no picture", "text"),
        example(b"", "empty"),
        example(jpeg_of(colored(51)), "no picture feature", key="image/other"),
        b"no example at all",
    ]
    records = [bad[0], *good[:4], bad[1], bad[2], *good[4:8], bad[3], good[8], bad[4]]
    for split in ("train", "val"):
        write_shard(tmp_path / f"{split}-00000-of-00001", records)
    return DataConfig("tfrecord", str(tmp_path), max_bad_records=0.01)


def test_broken_records_are_left_out_counted_and_named(broken, caplog):
    logging.getLogger("absl").propagate = True
    stats = RecordStats()
    with caplog.at_level(logging.WARNING, logger="absl"):
        (batch,) = eval_batches(broken, batch_size=20, image_size=8, stats=stats)
    assert [name.decode() for name in batch.name.numpy()] == [f"good{n}" for n in range(9)]
    assert (stats.seen, stats.kept, stats.bad) == (14, 9, 5)
    named = list(stats.names)
    assert named[:4] == ["truncated", "text", "empty", "no picture feature"]
    assert "val-00000-of-00001@" in named[4]
    for name in named:
        assert name in caplog.text


def test_epochs_with_broken_records_resume_too(broken):
    whole = read(broken, 8, batch_size=2)  # 16 pictures, 9 an epoch
    for done in (2, 4, 5):
        rest = read(broken, 8 - done, batch_size=2, start=Cursor(*whole[done - 1][-1]))
        assert same(rest, whole[done:])


def parts(config, count, workers, batch_size, **rest):
    """What each of several workers reads, with its stats."""
    for worker in range(workers):
        stats = RecordStats()
        share = WorkerShare(worker, workers, batch_size)
        size = batch_size // workers
        yield read(config, count, batch_size=size, share=share, stats=stats, **rest), stats


def test_parts_make_the_batches_of_one_worker(shards):
    """From the middle of a run, over the ends of shards and of epochs, with augmentation."""
    whole = read(shards, 6, batch_size=12)
    shares = [share for share, _ in parts(shards, 5, 2, 12, start=Cursor(*whole[0][-1]))]
    for number, batch in enumerate(whole[1:]):
        for column in range(3):
            joined = np.concatenate([share[number][column] for share in shares])
            np.testing.assert_array_equal(joined, batch[column])
        for share in shares:
            assert tuple(share[number][-1]) == tuple(batch[-1])


def test_copies_keep_workers_in_step_where_records_are_broken(broken):
    """14 records, 5 of them broken; the copy is of the worker's next picture."""
    (first, seen), (second, too) = parts(broken, 5, 2, 4)
    for ours, theirs in zip(first, second, strict=True):
        assert tuple(ours[-1]) == tuple(theirs[-1])
    for share in (first, second):
        places = [tuple(place) for batch in share for place in zip(*batch[1:3], strict=True)]
        assert places == sorted(places) and len(set(places)) < len(places)
    assert seen.names.keys() | too.names.keys() >= {"truncated", "text", "empty"}
    again = [share for share, _ in parts(broken, 3, 2, 4, start=Cursor(*first[1][-1]))]
    assert same(again[0], first[2:]) and same(again[1], second[2:])


def test_too_many_broken_records_end_reading(broken):
    strict = DataConfig("tfrecord", broken.data_dir, max_bad_records=0.002)
    stats = RecordStats()
    with pytest.raises(ValueError, match="3 broken records.*truncated.*allow") as caught:
        with stats.reraising():
            list(eval_batches(strict, batch_size=2, image_size=8, stats=stats))
    assert "text" in str(caught.value)


def test_the_share_is_of_an_epoch_not_of_all_of_them(broken):
    stats = RecordStats()
    with stats.reraising():
        read(broken, 30, batch_size=9, stats=stats)  # 150 broken ones, 5 an epoch, 10 allowed
    assert stats.bad >= 140
    assert len(stats.names) == 5


def test_a_truncated_shard_and_a_wrong_checksum_are_named_and_passed(tmp_path):
    write_shards(tmp_path, "val", 12, shards=3)
    first, second = tmp_path / "val-00000-of-00003", tmp_path / "val-00001-of-00003"
    first.write_bytes(first.read_bytes()[:-40])
    data = bytearray(second.read_bytes())
    data[40] ^= 1
    second.write_bytes(data)
    stats = RecordStats()
    config = DataConfig("tfrecord", str(tmp_path), max_bad_records=0.002)
    (batch,) = eval_batches(config, batch_size=20, image_size=8, stats=stats)
    names = [name.decode() for name in batch.name.numpy()]
    assert names == [f"val{n:03d}.jpg" for n in (0, 3, 6, 2, 5, 8, 11)]
    assert stats.names.keys() == {str(first), str(second)}
    assert stats.bad == 2


def test_shards_that_are_all_broken_do_not_loop_forever(tmp_path):
    for k in range(3):
        (tmp_path / f"train-{k:05d}-of-00003").write_bytes(b"\x01" * 64)
    stats = RecordStats()
    with pytest.raises(ValueError, match="broken records"), stats.reraising():
        read(DataConfig("tfrecord", str(tmp_path)), 1, stats=stats)


@pytest.fixture
def partly_gray(tmp_path):
    gray = np.repeat(colored(3)[..., :1], 3, -1)
    records = [example(jpeg_of(colored(n)), f"color{n}") for n in range(4)]
    records.insert(1, example(jpeg_of(gray), "three gray channels"))
    records.append(example(jpeg_of(gray[..., :1]), "one channel"))
    write_shard(tmp_path / "val-00000-of-00001", records)
    return str(tmp_path)


@pytest.mark.parametrize(("skip", "kept"), [(True, 4), (False, 6)])
def test_gray_pictures_are_left_out_when_asked(partly_gray, skip, kept):
    stats = RecordStats()
    config = DataConfig("tfrecord", partly_gray, skip_gray=skip)
    (batch,) = eval_batches(config, batch_size=9, image_size=8, stats=stats)
    assert len(batch.name) == kept
    assert (stats.gray, stats.bad, stats.seen) == (6 - kept, 0, 6)


def test_nothing_but_gray_ends_reading(tmp_path):
    gray = jpeg_of(np.full((8, 8, 1), 90, np.uint8))
    write_shard(tmp_path / "train-00000-of-00001", [example(gray)] * 400)
    stats = RecordStats()
    config = DataConfig("tfrecord", str(tmp_path), skip_gray=True)
    with pytest.raises(ValueError, match="no color"), stats.reraising():
        read(config, 1, stats=stats)


def test_nothing_but_broken_records_ends_reading_whatever_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(record_stats, "UNUSABLE", 30)
    write_shard(tmp_path / "train-00000-of-00001", [example(b"text", "some text")] * 20)
    stats = RecordStats()
    config = DataConfig("tfrecord", str(tmp_path), max_bad_records=1)
    wanted = "of the first 30 records none can be used: 30 are broken, as some text \\("
    with pytest.raises(ValueError, match=wanted), stats.reraising():
        read(config, 1, stats=stats)


def test_a_batch_that_takes_more_gray_ones_than_the_limit_is_read(tmp_path, monkeypatch):
    """One record of 40 has color, so a batch of four takes up to 160 of them."""
    monkeypatch.setattr(record_stats, "UNUSABLE", 50)
    gray = example(jpeg_of(np.full((8, 8, 1), 90, np.uint8)))
    colors = example(jpeg_of(colored(1)), "color")
    write_shard(tmp_path / "train-00000-of-00001", [gray] * 20 + [colors] + [gray] * 19)
    stats = RecordStats()
    config = DataConfig("tfrecord", str(tmp_path), skip_gray=True)
    with stats.reraising():
        (batch,) = read(config, 1, batch_size=4, size=8, stats=stats)
    assert batch[1].tolist() == [0, 1, 2, 3]  # one an epoch
    assert stats.gray > 50


def test_a_file_that_vanished_is_a_broken_record(pictures, tmp_path):
    for name in "abcdefgh":
        (tmp_path / f"{name}.jpg").write_bytes(jpeg_of(colored(1)))
    names = [n for n in image_folder.pictures_below(tmp_path) if not image_folder.in_validation(n)]
    stats = RecordStats()
    batches = eval_batches(
        DataConfig("folder", str(tmp_path)), batch_size=9, image_size=8, split="train", stats=stats
    )
    (tmp_path / names[2]).unlink()
    (batch,) = batches
    assert [name.decode() for name in batch.name.numpy()] == names[:2] + names[3:]
    assert list(stats.names) == [names[2]]


def test_exports_and_measurements_end_in_one_line_too(broken):
    strict = DataConfig("tfrecord", broken.data_dir, max_bad_records=0.0)
    recipe = dataclasses.replace(
        RECIPES["modern_distribution"], network=AbClassesConfig(width=8, trunk_rank=4)
    )
    model = models.build(recipe.network, vgg16_weights="later")
    for reading in (
        lambda: litert._photographs(strict, 9, (32, 32)),
        lambda: list(released_model._grays(strict, None)),
        lambda: trunk_init.fill_split_trunk(model, recipe, strict, "later", 0),
    ):
        with pytest.raises(ValueError, match="1 broken records.*truncated"):
            reading()
