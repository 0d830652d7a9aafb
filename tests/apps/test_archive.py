"""Archives on Apache Beam: the files of tools/colorize.py, broken pictures named, nothing twice."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder.apps.archive import beam_pipeline, beam_runner, tasks, worker
from residual_encoder.apps.archive.beam_pipeline import ERRORS, MANIFEST
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.data import sample_images
from residual_encoder.imaging import image_io, image_metadata
from residual_encoder.inference import batch, output_paths
from residual_encoder.inference.batch import BatchConfig
from residual_encoder.inference.colorizer import Colorizer

TOOLS = ROOT / "tools"
COMMANDS = ("colorize_archive", "make_shards")


@pytest.fixture
def beam() -> object:
    return pytest.importorskip("apache_beam", reason="Apache Beam is not installed")


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


# --- who may write where --------------------------------------------------------------------------


def claims(found: list[Task]) -> list[Task]:
    """What Beam's grouping does, on one machine."""
    by_place: dict[bytes, list[Task | None]] = {}
    for task in found:
        for place, claimant in tasks.output_keys(task):
            by_place.setdefault(place, []).append(claimant)
    return [task for place in by_place.items() for task in tasks.resolve_conflicts(place)]


def test_each_output_is_one_inputs(tmp_path: Path) -> None:
    out = str(tmp_path / "out.png")
    found = [
        Task("b.png", out, number=1),
        Task("a.png", out, number=0),
        Task("c.png", str(tmp_path / "d.png"), number=2),
        Task(str(tmp_path / "d.png"), str(tmp_path / "e.png"), number=3),
        Task("closed", error="why"),
    ]
    for order in (found, found[::-1]):
        done = {task.source: task.error for task in claims(order)}
        assert len(done) == len(found)
        assert done["a.png"] == done[str(tmp_path / "d.png")] == ""  # the first, and a free place
        assert done["b.png"] == output_paths.output_conflict("b.png", out)
        assert "an input or the output of another" in done["c.png"]
        assert done["closed"] == "why"


def test_links_and_odd_names_are_seen(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    odd = os.fsdecode(b"\xff.png")  # no UTF-8
    found = [Task(odd, str(tmp_path / "link" / odd), number=1), Task("a", str(tmp_path / odd))]
    assert [bool(task.error) for task in sorted(claims(found), key=lambda t: t.number)] == [0, 1]


def test_flags_are_split() -> None:
    given = ["scans", "b*.png", "--runner", "FlinkRunner", "--x=1"]
    assert beam_runner.split(given) == (given[:2], given[2:])
    assert beam_runner.split(["scans"]) == (["scans"], [])


def encoded(colorizer: Colorizer, jpeg: bytes) -> bytes:
    """What a JPEG becomes: colored, with its metadata, marked as made by an algorithm."""
    picture = image_io.decode(jpeg)
    metadata = image_metadata.marked(picture.metadata)
    return image_io.encode(colorizer.colorize(picture), ".jpg", metadata)


# --- records --------------------------------------------------------------------------------------


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


def test_records_are_named_and_stay_below_the_output(tmp_path: Path) -> None:
    jpeg = image_io.encode(crop(0), ".jpg")
    names = ("cat/a.JPEG", None, "b.gif", "../c.jpg", "/etc/d.jpg", "x\0y.jpg")
    path = shard(tmp_path / "train-0", *((name, jpeg) for name in names))
    found = list(worker.record_tasks(path, CollectionConfig((path,), "out", records=True)))
    assert [task.source for task in found] == [f"{path}@{number}" for number in range(6)]
    targets = ["out/cat/a.JPEG", "out/train-0@1.jpg", "out/b.gif.png", "", "", ""]
    assert [task.target for task in found] == targets
    assert [task.error for task in found[:3]] == ["", "", ""]
    assert all("is no name for a file below the output" in task.error for task in found[3:])


def test_a_broken_shard_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    jpeg = image_io.encode(crop(0), ".jpg")
    path = Path(shard(tmp_path / "train-0", ("a.jpg", jpeg), ("b.jpg", jpeg)))
    path.write_bytes(path.read_bytes()[:-5])
    found = list(worker.record_tasks(str(path), CollectionConfig((str(path),), "out", True)))
    assert [task.error for task in found[:1]] == [""] and len(found) == 2
    assert f"{path} is broken after 1 records" in found[1].error


def test_records_become_what_files_become(tmp_path: Path, soft_weights: Path) -> None:
    """A group with one that is done, one that is broken and one that is no example."""
    jpegs = [image_io.encode(crop(number), ".jpg") for number in range(4)]
    path = shard(
        tmp_path / "t", *((f"{n}.jpg", data) for n, data in enumerate(jpegs)), ("bad.jpg", b"Dear")
    )
    config = CollectionConfig((path,), str(tmp_path / "out"), records=True, model=str(soft_weights))
    found = list(worker.record_tasks(path, config))
    assert [task.number for task in found] == [0, 1, 2, 3, 4]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "2.jpg").write_text("done")
    colorizer = worker.load(config)
    counted: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam_runner, "count", counted.append)
        lines = dict(worker.colorize_records(colorizer, found[::-1][:4]))  # not the first
    assert sorted(counted) == ["colored", "colored", "failed", "skipped"]
    assert sorted(contents(tmp_path / "out")) == ["1.jpg", "2.jpg", "3.jpg"]
    assert (tmp_path / "out" / "2.jpg").read_text() == "done"
    wanted = encoded(colorizer, jpegs[3])
    assert (tmp_path / "out" / "3.jpg").read_bytes() == wanted
    facts = {task.number: json.loads(line) for task, line in lines.items()}
    height, width = crop(3).shape[:2]
    assert (facts[3]["width"], facts[3]["height"]) == (width, height)
    assert facts[3]["model"] == colorizer.sha256
    assert facts[4]["file"] == f"{path}@4"
    assert facts[4]["error"].startswith("bad.jpg is no picture: it is text")


def test_bytes_that_are_no_example(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "t")) as writer:
        writer.write(b"\xff\xff\xff")
    (found,) = worker.record_tasks(str(tmp_path / "t"), CollectionConfig(("t",), "out", True))
    assert "is no tf.train.Example" in found.error and "\n" not in found.error


# --- manifests ------------------------------------------------------------------------------------


def test_the_newest_row_of_an_input_stays() -> None:
    good, bad = '{"file": "a", "output": "b", "model": "c"}', '{"file": "a", "error": "d"}'
    bare = '{"file": "a", "output": "b"}'

    def latest(*ranked: tuple[int, str]) -> tuple[str, str]:
        return beam_pipeline._latest((b"a", ranked))

    new = (
        beam_pipeline._row("a", good)[1],
        beam_pipeline._row("a", bad)[1],
        beam_pipeline._row("a", bare)[1],
    )
    assert latest((beam_pipeline._OLD_ERROR, bad), new[0]) == (MANIFEST, good)
    assert latest((beam_pipeline._OLD, good), new[1]) == (ERRORS, bad)
    assert latest((beam_pipeline._OLD, good), new[2]) == (MANIFEST, good)  # what was known of it
    assert latest((beam_pipeline._OLD_ERROR, bad), new[2]) == (MANIFEST, bare)
    assert latest((beam_pipeline._OLD, good)) == (MANIFEST, good)  # no longer among the inputs


def test_foreign_files_are_not_replaced(tmp_path: Path) -> None:
    for text in ("Dear reader", "[1]", '{"a": 1}'):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(ValueError, match="manifest.jsonl is no manifest of this tool"):
            beam_pipeline._check_manifests(tmp_path)
    (tmp_path / MANIFEST).write_text('{"file": "a"}\n')
    beam_pipeline._check_manifests(tmp_path)


def test_without_beam_a_line_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install .\.\[beam\]"):
        beam_pipeline.colorize_archive(CollectionConfig(("a",), "out"))


def test_standard_input_is_no_archive() -> None:
    with pytest.raises(ValueError, match="use tools/colorize.py"):
        CollectionConfig(("-",), "out")


# --- on Beam --------------------------------------------------------------------------------------


@pytest.mark.beam
def test_names_of_flags_do_not_meet(beam: object) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    listed = "".join(tool(f"{name}.py", "--help").stdout for name in COMMANDS)
    ours = set(re.findall(r"^ +--(?:\[no\])?(\w+)", listed, re.MULTILINE))
    assert {"output", "records", "beam", "shards"} < ours
    assert not ours & set(PipelineOptions([]).get_all_options())


@pytest.mark.beam
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--runer=X", "neither this tool nor Apache Beam knows --runer=X"),
        ("--direct_num_workers=x", "direct_num_workers: invalid int value"),
    ],
)
def test_wrong_flags(beam: object, flag: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        beam_runner.options([flag])


@pytest.mark.beam
def test_a_small_archive(beam: object, tmp_path: Path, soft_weights: Path) -> None:
    """Five pictures and a broken one, here and as tools/colorize.py does them; then again."""
    photographs = write_photographs(tmp_path / "in", 6, 1)
    model, plain, output = str(soft_weights), tmp_path / "plain", tmp_path / "out"
    loads: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        load = worker.load
        patch.setattr(worker, "load", lambda config: loads.append(config) or load(config))
        config = CollectionConfig((str(photographs),), str(output), model=model)
        assert beam_pipeline.colorize_archive(config) == (5, 0, 1)
    assert len(loads) == 1
    summary = batch.colorize_files(BatchConfig((str(photographs),), str(plain), model=model))
    assert summary.colored == 5 and contents(output) == contents(plain)
    (broken,) = rows(output / ERRORS)
    assert broken == {"file": str(photographs / "broken 0.png"), "error": broken["error"]}
    assert list(summary.failed.values()) == [broken["error"]]
    assert {row["output"] for row in rows(output / MANIFEST)} == {
        str(output / name) for name in contents(output)
    }
    before = state(output)
    assert beam_pipeline.colorize_archive(config) == (0, 5, 1)
    assert state(output) == before


@pytest.mark.beam
def test_a_mended_picture_leaves_the_errors(
    beam: object, tmp_path: Path, soft_weights: Path
) -> None:
    photographs = write_photographs(tmp_path / "in", 2, 1)
    output = tmp_path / "out"
    config = CollectionConfig((str(photographs),), str(output), model=str(soft_weights))
    assert beam_pipeline.colorize_archive(config) == (1, 0, 1)
    before = rows(output / MANIFEST)
    image_io.write(photographs / "broken 0.png", crop(9))
    config = dataclasses.replace(config, inputs=(str(photographs / "broken*"),))
    assert beam_pipeline.colorize_archive(config) == (1, 0, 0)
    assert rows(output / ERRORS) == []
    after = rows(output / MANIFEST)
    assert len(after) == 2 and all(row in after for row in before)


@pytest.mark.beam
def test_records_on_beam(beam: object, tmp_path: Path, soft_weights: Path) -> None:
    """Two shards, with one name in both: the first has it."""
    jpegs = [image_io.encode(crop(number), ".jpg") for number in range(4)]
    for number in range(2):
        pair = zip(("both.jpg", f"{number}.jpg"), jpegs[2 * number :][:2], strict=True)
        shard(tmp_path / f"train-{number}", *pair)
    output = tmp_path / "out"
    config = CollectionConfig((str(tmp_path / "train-*"),), str(output), True, str(soft_weights))
    assert beam_pipeline.colorize_archive(config) == (3, 0, 1)
    colorizer = Colorizer(soft_weights)
    for name, data in (("both.jpg", jpegs[0]), ("0.jpg", jpegs[1]), ("1.jpg", jpegs[3])):
        wanted = encoded(colorizer, data)
        assert (output / name).read_bytes() == wanted
    (broken,) = rows(output / ERRORS)
    assert broken["file"] == f"{tmp_path}/train-1@0"
    assert "the output of another" in broken["error"]


@pytest.mark.beam
def test_color_and_what_is_not_read_are_left_out(
    beam: object, tmp_path: Path, soft_weights: Path
) -> None:
    photographs = tmp_path / "in"
    photographs.mkdir()
    image_io.write(photographs / "color.jpg", wholes()[0])
    image_io.write(photographs / "gray.jpg", wholes()[0][..., 1])
    sepia = np.rint(crop(1)[..., 1:2] * (0.99, 0.85, 0.68)).astype(np.uint8)
    image_io.write(photographs / "sepia.png", sepia)
    (photographs / "phone.jxl").write_bytes(b"\xff\n")
    output = tmp_path / "out"
    config = CollectionConfig(
        (str(photographs),),
        str(output),
        model=str(soft_weights),
        color_inputs="skip",
        format="jpeg",
    )
    for wanted in ((2, 0, 0), (0, 2, 0)):
        done = beam_pipeline.colorize_archive(config)
        assert done == wanted and done.left_out == 2
        assert sorted(contents(output)) == ["gray.jpg", "sepia.jpg"]
        found = {Path(str(row["file"])).name: row for row in rows(output / MANIFEST)}
        assert found["color.jpg"]["left_out"] == "in color already"
        assert "JPEG XL picture cannot be read" in str(found["phone.jxl"]["left_out"])
        assert len(found) == 4 and rows(output / ERRORS) == []


# --- the tool, with 200 photographs ---------------------------------------------------------------


def tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("archive") / "in", 200, 3)


@pytest.fixture(scope="module")
def plain(photographs: Path) -> Path:
    """What tools/colorize.py makes of them with the shipped weights."""
    output = photographs.with_name("plain")
    done = tool("colorize.py", photographs, f"--output={output}", RECOLOR)
    assert "197 colored, 3 failed" in done.stdout and done.returncode == 1
    return output


RECOLOR = "--color_inputs=recolor"  # the photographs are in color
FOUR = ("--direct_num_workers=4", "--direct_running_mode=multi_processing")


@pytest.mark.beam
@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), FOUR], ids=["1 worker", "4 workers"])
def test_200_photographs(
    beam: object, flags: tuple[str, ...], photographs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = tool("colorize_archive.py", photographs, f"--output={output}", RECOLOR, *flags)
    assert "197 colored, 0 skipped, 3 failed" in done.stdout, done.stderr
    assert done.returncode == 1
    assert contents(output) == contents(plain)
    errors = rows(output / ERRORS)
    assert [Path(str(row["file"])).name for row in errors] == [f"broken {n}.png" for n in range(3)]
    assert all(row["file"] in row["error"] for row in errors)
    assert len(rows(output / MANIFEST)) == 197
    before = state(output)
    again = tool("colorize_archive.py", photographs, f"--output={output}", RECOLOR, *flags)
    assert "0 colored, 197 skipped, 3 failed" in again.stdout
    assert state(output) == before


@pytest.mark.beam
@pytest.mark.slow
def test_a_killed_run_is_resumed(
    beam: object, photographs: Path, plain: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    arguments = (str(photographs), f"--output={output}", RECOLOR)
    command = [sys.executable, str(TOOLS / "colorize_archive.py"), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(list(output.rglob("*.*"))) > 20)
        process.send_signal(signal.SIGKILL)
    there = len([name for name in contents(output) if ".tmp" not in name])
    assert 10 < there < 197
    done = tool("colorize_archive.py", *arguments)
    assert f"{197 - there} colored, {there} skipped, 3 failed" in done.stdout
    left = {name: data for name, data in contents(output).items() if ".tmp" not in name}
    assert left == contents(plain)
    assert len(rows(output / MANIFEST)) == 197


def until(reached: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)
