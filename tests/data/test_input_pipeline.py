"""Reading: the same batches on every run, resumed anywhere, each record once an epoch."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import time
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from helpers.training_batches import NONE, STRONG, colored, pictures, read, same, shards  # noqa: F401

from residual_encoder.data import image_folder
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import Cursor, RecordStats, eval_batches, train_batches


@pytest.fixture(params=["tfrecord", "folder", "synthetic"])
def config(request, shards, pictures):
    synthetic = DataConfig("synthetic", synthetic_size=30)
    return {"tfrecord": shards, "folder": pictures, "synthetic": synthetic}[request.param]


def by_epoch(batches):
    """Epoch -> its pictures' bytes in order."""
    epochs = {}
    for rgb, epoch, *_ in batches:
        for picture, number in zip(rgb, epoch, strict=True):
            epochs.setdefault(int(number), []).append(picture.tobytes())
    return epochs


# --- the order ------------------------------------------------------------------------------------


def test_two_passes_agree_and_another_seed_differs(config):
    first = read(config, 6)
    assert same(first, read(config, 6))
    assert not same(first, read(config, 6, seed=6))


def test_resuming_anywhere_gives_the_batches_that_would_have_come(config):
    whole = read(config, 17)  # 68 pictures: more than one epoch of each
    assert whole[-1][1][-1] >= 1
    for done in (4, 11, 15):
        start = Cursor(*whole[done - 1][-1])
        assert same(read(config, 17 - done, start=start), whole[done:]), f"after {done}"


def test_the_seed_of_the_process_plays_no_part(shards):
    first = read(shards, 3)
    tf.random.set_seed(0)
    assert same(read(shards, 3), first)


def test_every_epoch_has_each_record_once_in_an_order_of_its_own(shards):
    epochs = by_epoch(read(shards, 50, augment=NONE, size=20))
    for number in range(3):
        assert Counter(Counter(epochs[number]).values()) == {1: 47}
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert len({tuple(epochs[number]) for number in range(3)}) == 3


def test_folder_and_scenes_come_once_an_epoch_too(pictures):
    names = [
        n
        for n in image_folder.pictures_below(pictures.data_dir)
        if not image_folder.in_validation(n)
    ]
    for config, count in ((pictures, len(names)), (DataConfig("synthetic", synthetic_size=9), 9)):
        epochs = by_epoch(read(config, 3 * count // 4, augment=NONE))
        assert len(epochs[0]) == count
        assert set(epochs[0]) == set(epochs[1])
        assert epochs[0] != epochs[1]


def test_records_are_mixed_across_shards(shards):
    read_names = list(by_epoch(read(shards, 12, augment=NONE, size=20))[0])
    ordered = [
        picture.tobytes()
        for batch in eval_batches(shards, batch_size=8, image_size=20, split="train")
        for picture in batch.rgb.numpy()
    ]
    moves = np.abs(np.diff([ordered.index(picture) for picture in read_names[:40]]))
    assert moves.mean() > 47 / 6  # 47 / 3 for a random order


# --- evaluation -----------------------------------------------------------------------------------


def test_evaluation_is_ordered_and_keeps_the_rest(shards):
    stats = RecordStats()
    batches = list(eval_batches(shards, batch_size=4, image_size=12, stats=stats))
    assert [batch.rgb.shape[0] for batch in batches] == [4, 4, 3]
    names = [name.decode() for batch in batches for name in batch.name.numpy()]
    assert names == [f"val{n:03d}.jpg" for n in [*range(0, 11, 2), *range(1, 11, 2)]]
    assert (stats.kept, stats.seen, stats.bad, stats.gray) == (11, 11, 0, 0)


def test_limit_and_split(shards):
    batches = list(eval_batches(shards, batch_size=4, image_size=12, limit=6, split="train"))
    assert [batch.rgb.shape[0] for batch in batches] == [4, 2]
    assert batches[0].name.numpy()[1] == b"train003.jpg"


def test_evaluation_takes_the_centre_square(tmp_path):
    picture = colored(1, 20, 26)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(picture).numpy())
    split = "val" if image_folder.in_validation("a.png") else "train"
    config = DataConfig("folder", str(tmp_path))
    (batch,) = eval_batches(config, batch_size=1, image_size=20, split=split)
    np.testing.assert_array_equal(batch.rgb[0], picture[:, 3:23])


def test_sizes_out_of_range(shards):
    for wrong in ({"batch_size": 0}, {"size": 0}, {"start": Cursor(-1, 0)}):
        with pytest.raises(ValueError, match="must|negative"):
            read(shards, 1, **wrong)
    for wrong in ({"limit": 0}, {"split": "test"}):
        with pytest.raises(ValueError, match="limit|split"):
            eval_batches(shards, batch_size=1, image_size=8, **wrong)


# --- real photographs -----------------------------------------------------------------------------


def test_real_photographs_are_whole_and_come_quickly(shared):
    config = DataConfig("tfrecord", str(shared / "data"))
    stats = RecordStats()
    batches = train_batches(
        config, batch_size=32, image_size=96, augment=STRONG, seed=0, stats=stats
    )
    stream = iter(batches)
    next(stream)
    begun = time.perf_counter()
    for _ in range(20):
        next(stream)
    assert 640 / (time.perf_counter() - begun) > 60  # 500 to 900 on two quiet cores
    assert (stats.bad, stats.gray) == (0, 0)
    val = list(eval_batches(config, batch_size=64, image_size=96))
    assert sum(len(batch.name) for batch in val) == 500
