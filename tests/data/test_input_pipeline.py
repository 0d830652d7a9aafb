"""Reading: the same batches on every run, resumed anywhere, with broken records left out."""

import logging
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers.tfrecords import example, jpeg_of, write_shard

from residual_encoder.data import configs, image_folder, preprocessing, sources
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import (
    Cursor,
    RecordStats,
    WorkerShare,
    eval_batches,
    train_batches,
)
from residual_encoder.imaging.augment_config import Augment

NONE = Augment()
STRONG = Augment(min_crop=0.5, flip=True, warp=0.2, tone=0.3, grain=0.02)


def colored(number, height=20, width=26):
    """A picture that tells its number: noise around a color."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def write_shards(folder, split, count, shards=3):
    names = [f"{split}{n:03d}.jpg" for n in range(count)]
    for k in range(shards):
        write_shard(
            folder / f"{split}-{k:05d}-of-{shards:05d}",
            [example(jpeg_of(colored(n)), names[n]) for n in range(k, count, shards)],
        )
    return names


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, "train", 47)
    write_shards(folder, "val", 11, shards=2)
    return DataConfig("tfrecord", str(folder))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(60):
        place = folder / f"class{number % 3}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.jpg").write_bytes(jpeg_of(colored(number)))
    (folder / ".hidden.jpg").write_bytes(b"no")
    (folder / "notes.txt").write_bytes(b"no")
    return DataConfig("folder", str(folder))


@pytest.fixture(params=["tfrecord", "folder", "synthetic"])
def config(request, shards, pictures):
    synthetic = DataConfig("synthetic", synthetic_size=30)
    return {"tfrecord": shards, "folder": pictures, "synthetic": synthetic}[request.param]


def read(config, count, seed=5, augment=STRONG, batch_size=4, size=12, **rest):
    batches = train_batches(
        config, batch_size=batch_size, image_size=size, augment=augment, seed=seed, **rest
    )
    return [tuple(part.numpy() for part in batch) for batch in batches.take(count)]


def same(ours, theirs):
    return len(ours) == len(theirs) and all(
        np.array_equal(a, b)
        for x, y in zip(ours, theirs, strict=True)
        for a, b in zip(x, y, strict=True)
    )


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


# --- crops and decoding ---------------------------------------------------------------------------


def test_centre_square_by_hand():
    for height, width, wanted in ((5, 9, [0, 2, 5, 5]), (8, 3, [2, 0, 3, 3]), (1, 1, [0, 0, 1, 1])):
        assert (
            preprocessing.square(height, width, 1.0, tf.constant([0, 0])).numpy().tolist() == wanted
        )


def test_random_squares_stay_inside_and_use_the_whole_picture():
    windows = [
        preprocessing.square(tf.constant(30), tf.constant(50), 0.4, tf.constant([1, n])).numpy()
        for n in range(300)
    ]
    top, left, height, width = np.transpose(windows)
    assert np.array_equal(height, width)
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 30).all() and (left + width <= 50).all()
    assert (height.min(), height.max()) == (12, 30)
    assert left.min() == 0 and (left + width).max() == 50


def test_cropping_while_decoding_equals_cropping_afterwards(shared):
    shard = str(shared / "data" / "val-00000-of-00002")
    key = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    for data in tf.data.TFRecordDataset(shard).take(5):
        jpeg = tf.io.parse_single_example(data, key)["image/encoded"]
        whole = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
        for top, left, side in ((0, 0, 64), (17, 33, 101), (16, 32, 48), (5, 8, 1), (7, 15, 200)):
            window = tf.constant([top, left, side, side])
            part = preprocessing.decode(jpeg, lambda *_, window=window: window)
            np.testing.assert_array_equal(part, whole[top : top + side, left : left + side])


def test_resize_averages_and_leaves_a_fitting_picture_alone():
    rgb = colored(4, 16, 16)
    np.testing.assert_array_equal(preprocessing.resize(rgb, 16), rgb)
    # By hand, 8 values to 2: a triangle that reaches 4 to either side of 2 and of 6; what lies
    # beyond the picture is left out of the mean.
    line = np.array([0, 10, 20, 30, 240, 250, 90, 70.0])
    places = np.arange(8) + 0.5
    weights = np.maximum(1 - np.abs(places - np.array([[2.0], [6.0]])) / 4, 0)
    wanted = weights @ line / weights.sum(1)
    picture = np.tile(line[None, :, None], (8, 1, 3)).astype(np.uint8)
    small = preprocessing.resize(picture, 2).numpy()
    np.testing.assert_array_equal(small[0, :, 0], np.rint(wanted))


def test_flips_are_about_half(shards):
    plain = read(shards, 11, augment=NONE, size=20)
    mirrored = read(shards, 11, augment=Augment(flip=True), size=20)
    flips = 0
    for (a, *_), (b, *_) in zip(plain, mirrored, strict=True):
        for x, y in zip(a, b, strict=True):
            assert np.array_equal(x, y) or np.array_equal(x[:, ::-1], y)
            flips += not np.array_equal(x, y)
    assert 12 <= flips <= 32  # of 44, 3 sigma


# --- broken and gray ------------------------------------------------------------------------------


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


# --- places ---------------------------------------------------------------------------------------


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


def test_every_kind_has_a_source():
    assert set(sources.SOURCES) == set(configs.KINDS)


def test_kinds_are_known_without_tensorflow():
    code = "import residual_encoder.data.configs, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
