"""Collections of photographs for tests of archives, and what a run leaves in a folder."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from conftest import ROOT

from residual_encoder.apps import cli
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST
from residual_encoder.apps.archive.tasks import CollectionConfig
from residual_encoder.data import sample_images
from residual_encoder.imaging import image_io, image_metadata
from residual_encoder.inference.colorizer import Colorizer

TOOLS = ROOT / "tools"


def contents(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of what lies below a folder, manifests aside."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {str(path.relative_to(folder)): path for path in found}
    return {
        name: path.read_bytes() for name, path in names.items() if name not in (MANIFEST, ERRORS)
    }


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> inode and time of change, of everything below a folder."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@functools.cache
def wholes() -> list[np.ndarray]:
    return [photograph for _, photograph in sample_images.photographs()]


def crop(number: int) -> np.ndarray:
    """A part of one of scikit-image's photographs, of 40 to 120 pixels a side."""
    random, whole = np.random.default_rng(number), wholes()[number % len(wholes())]
    height, width = random.integers(40, 121, 2)
    top = random.integers(0, whole.shape[0] - height)
    left = random.integers(0, whole.shape[1] - width)
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def write_photographs(folder: Path, count: int, broken: int) -> Path:
    """So many files, in folders, of several formats, depths and with alpha; the last are broken."""
    for number in range(count - broken):
        pixels = crop(number)
        alpha = np.full((*pixels.shape[:2], 1), 200, np.uint8)
        suffix, pixels = (
            (".jpg", pixels),
            (".png", np.concatenate([pixels, alpha], axis=-1)),
            (".JPG", pixels[..., 1]),
            (".tif", pixels.astype(np.uint16) * 257),
            (".webp", pixels),
        )[number % 5]
        path = folder / f"box {number % 7}" / f"{number:03d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image_io.write(path, pixels)
    whole = image_io.encode(crop(0), ".png")
    for number, data in enumerate((b"Dear reader", whole[:-20], b"")[:broken]):
        (folder / f"broken {number}.png").write_bytes(data)
    return folder


def until(reached: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def encoded(colorizer: Colorizer, jpeg: bytes) -> bytes:
    """What a JPEG becomes: colored, with its metadata, marked as made by an algorithm."""
    picture = image_io.decode(jpeg)
    metadata = image_metadata.marked(picture.metadata)
    return image_io.encode(colorizer.colorize(picture), ".jpg", metadata)


def shard(path: Path, *records: tuple[str | None, bytes]) -> str:
    """Writes a TFRecord file of pictures and their names."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, data in records:
            values = {"image/encoded": data} | ({"image/filename": name.encode()} if name else {})
            features = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return str(path)


def check_stop(tmp_path: Path, number: signal.Signals, *flags: str) -> None:
    """Checks that a run that is stopped keeps its manifest, tells how to resume, leaves no mess."""
    box, output = tmp_path / "box", tmp_path / "out"
    box.mkdir()
    image_io.write(box / "000.png", crop(0)[..., 0])
    for copy in range(1, 600):
        (box / f"{copy:03d}.png").hardlink_to(box / "000.png")
    command = [sys.executable, str(TOOLS / "colorize_archive.py"), str(box), f"--output={output}"]
    command += flags
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        until(lambda: len(list(output.glob("*.png"))) > 3)
        os.killpg(process.pid, number)  # a terminal sends it to the workers, too
        counts, errors = process.communicate(timeout=100)
    assert process.returncode == cli.INTERRUPTED and "Traceback" not in errors, errors
    written = len(list(output.glob("*.png")))
    assert 3 < written < 600 and len(rows(output / MANIFEST)) == written
    assert rows(output / ERRORS) == [] and counts.startswith(f"{written} colored, 0 skipped")
    stop = f"Stopped. {600 - written} to go: the same command colors the rest."
    assert errors.splitlines()[-1] == stop
    assert not [path for path in output.iterdir() if path.name.startswith(".")]


def check_records(
    tmp_path: Path, weights: Path, colorize: Callable[[CollectionConfig], tuple[int, int, int]]
) -> CollectionConfig:
    """Checks two shards with one name in both: the first has it, the other is an error."""
    jpegs = [image_io.encode(crop(number), ".jpg") for number in range(4)]
    for number in range(2):
        pair = zip(("both.jpg", f"{number}.jpg"), jpegs[2 * number :][:2], strict=True)
        shard(tmp_path / f"train-{number}", *pair)
    output, pattern = tmp_path / "out", str(tmp_path / "train-*")
    config = CollectionConfig((pattern,), str(output), True, model=str(weights))
    assert colorize(config) == (3, 0, 1)
    colorizer = Colorizer(weights)
    for name, data in (("both.jpg", jpegs[0]), ("0.jpg", jpegs[1]), ("1.jpg", jpegs[3])):
        assert (output / name).read_bytes() == encoded(colorizer, data)
    (broken,) = rows(output / ERRORS)
    assert broken["file"] == f"{tmp_path}/train-1@0"
    assert "the output of another" in str(broken["error"])
    return config
