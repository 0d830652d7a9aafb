"""Numbered pictures in shards and in a folder, and the training batches that are read of them."""

import numpy as np
import pytest

from helpers.tfrecords import example, jpeg_of, write_shard
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import train_batches
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
