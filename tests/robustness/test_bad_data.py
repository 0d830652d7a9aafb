"""A corpus of everything that goes wrong with shards: each record is read, or counted and named."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import killed
from helpers.tfrecords import example, jpeg_of, write_shard
from PIL import Image

from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import RecordStats, eval_batches
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics

SIZE = 16


def soft(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [120 + 60 * np.sin(x / 5 + k) + 40 * np.cos(y / 4 - k) for k in range(3)]
    return np.rint(np.stack(waves, -1)).astype(np.uint8)


def saved(pixels: np.ndarray, form: str, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(buffer, form, **options)
    return buffer.getvalue()


def animated() -> bytes:
    frames = [Image.fromarray(np.full((20, 24, 3), value, np.uint8)) for value in (40, 120, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


RGB = soft(24, 30)
# Odd, and yet pictures.
GOOD = {
    "plain": jpeg_of(RGB),
    "progressive": saved(RGB, "JPEG", progressive=True),
    "cmyk": saved(RGB, "JPEG", "CMYK", quality=95),
    "gray": saved(RGB[..., 0], "JPEG"),
    "16 bits": tf.io.encode_png(RGB.astype(np.uint16) * 257).numpy(),
    "gray 16 bits": tf.io.encode_png(RGB[..., :1].astype(np.uint16) * 257).numpy(),
    "alpha": saved(np.dstack([RGB, RGB[..., :1]]), "PNG"),
    "palette": saved(RGB, "PNG", "P"),
    "1 x 1": jpeg_of(RGB[:1, :1]),
    "30000 x 1": jpeg_of(soft(1, 30_000)),
    "1 x 30000": jpeg_of(soft(30_000, 1)),
    "animated": animated(),
    "bmp": saved(RGB, "BMP"),
    "rubbish behind": jpeg_of(RGB) + b"\0" * 3000,
}
BAD = {
    "truncated": jpeg_of(RGB)[:300],
    "header only": jpeg_of(RGB)[:30],
    "text": b"Dear reader",
    "nothing": b"",
    "page": b"<html><body>404</body></html>",
    "tiff": saved(RGB, "TIFF"),
    "cut png": saved(RGB, "PNG")[:200],
    "changed png": saved(RGB, "PNG").replace(b"IDAT", b"IDAX"),
    "bomb": b"\x89PNG\r\n\x1a\n" + saved(RGB, "PNG")[8:16] + b"\0\1\0\0\0\1\0\0" + bytes(40),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One shard of good and bad ones in turns, one cut short, one with a changed byte."""
    folder = tmp_path_factory.mktemp("corpus")
    records = [example(data, name) for name, data in GOOD.items()]
    for place, (name, data) in enumerate(BAD.items()):
        records.insert(2 * place + 1, example(data, name))
    records.insert(5, example(GOOD["plain"], "no picture", key="image/other"))
    records.insert(9, b"no example")
    for split in ("train", "val"):
        write_shard(folder / f"{split}-00000-of-00003", records)
        for number, name in enumerate(("cut", "changed"), 1):
            path = folder / f"{split}-{number:05d}-of-00003"
            write_shard(path, [example(GOOD["plain"], f"{name} {n}") for n in range(3)])
            data = bytearray(path.read_bytes())
            if name == "cut":
                del data[-20:]
            else:
                data[len(data) * 2 // 3 + 40] ^= 1  # in the third record: its checksum is wrong
            path.write_bytes(data)
    return str(folder)


WHOLE = {*GOOD, "cut 0", "cut 1", "changed 0", "changed 1"}
BROKEN = len(BAD) + 2 + 2  # with the two records that are none, and the two shards


def test_every_record_is_read_or_counted_and_named(corpus: str) -> None:
    stats = RecordStats()
    config = DataConfig("tfrecord", corpus, max_bad_records=0.1)
    batches = list(eval_batches(config, batch_size=4, image_size=SIZE, stats=stats))
    names = {name.decode() for batch in batches for name in batch.name.numpy()}
    assert names == WHOLE
    assert (stats.kept, stats.bad) == (len(WHOLE), BROKEN)
    assert BAD.keys() <= stats.names.keys() and "no picture" in stats.names
    assert sum("val-00000-of-00003@" in name for name in stats.names) == 1  # it has no name
    ends = [name for name in stats.names if name.endswith(("00001-of-00003", "00002-of-00003"))]
    assert len(ends) == 2 and all("cannot be read beyond" in stats.names[name] for name in ends)
    assert all(stats.names.values())


def wanted_color(data: bytes) -> np.ndarray:
    """The mean color of the center square by Pillow's decoding, of 255."""
    with Image.open(io.BytesIO(data)) as picture:
        scale = 257 if picture.mode.startswith("I;16") else 1
        pixels = np.asarray(picture if scale > 1 else picture.convert("RGB")) / scale
    pixels = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side].mean((0, 1))


def test_odd_pictures_are_read_right(tmp_path: Path) -> None:
    write_shard(tmp_path / "val-00000-of-00001", [example(GOOD[name], name) for name in GOOD])
    config = DataConfig("tfrecord", str(tmp_path))
    (batch,) = eval_batches(config, batch_size=len(GOOD), image_size=SIZE)
    assert [name.decode() for name in batch.name.numpy()] == list(GOOD)
    for (name, data), rgb in zip(GOOD.items(), batch.rgb.numpy(), strict=True):
        np.testing.assert_allclose(rgb.mean((0, 1)), wanted_color(data), atol=4, err_msg=name)


@pytest.mark.slow
def test_reading_ends_above_the_limit_and_tells_why(corpus: str) -> None:
    stats = RecordStats()
    config = DataConfig("tfrecord", corpus, max_bad_records=(BROKEN - 1) / 1000)
    with pytest.raises(ValueError, match=f"{BROKEN} broken records.*Replace or remove them"):
        with stats.reraising():
            list(eval_batches(config, batch_size=4, image_size=SIZE, stats=stats))


@pytest.mark.slow
def test_training_continues_below_the_limit_and_stops_above_it(corpus: str, tmp_path: Path) -> None:
    below = DataConfig("tfrecord", corpus, max_bad_records=BROKEN / 1000)
    # Two a step: with as many steps as there are good records every record is read for certain.
    recipe = dataclasses.replace(killed.RECIPE, steps=len(WHOLE))
    config = dataclasses.replace(killed.config(tmp_path / "below"), data=below, recipe=recipe)
    assert train(config).step == len(WHOLE)
    rows = [row for row in read_metrics(tmp_path / "below") if "bad_records" in row]
    assert rows[-1]["bad_records"] >= BROKEN
    assert all(np.isfinite(row["loss"]) for row in rows)

    above = dataclasses.replace(below, max_bad_records=0.001)
    config = dataclasses.replace(killed.config(tmp_path / "above"), data=above)
    with pytest.raises(ValueError, match="broken records.*max_bad_records allows 0.10%"):
        train(config)
