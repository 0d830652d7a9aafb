"""Archives on Apache Beam: the files of tools/colorize.py, broken pictures named, nothing twice."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from helpers.archives import contents, crop, encoded, shard

from residual_encoder.apps.archive import (
    beam_pipeline,
    beam_runner,
    listing,
    manifests,
    tasks,
    worker,
)
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.imaging import heif, image_io
from residual_encoder.inference import output_paths

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


# --- records --------------------------------------------------------------------------------------


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
    lines = dict(worker.colorize_records(colorizer, found[::-1][:4]))  # not the first
    assert sorted(map(manifests.outcome, lines.values())) == [
        "colored",
        "colored",
        "failed",
        "skipped",
    ]
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


def test_what_cannot_be_read_here_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEIC without its package by name, in folders and by its first bytes; raw files; a folder."""
    (tmp_path / "in").mkdir()
    image_io.write(tmp_path / "in" / "a.png", crop(0))
    heic = b"\0\0\0\x18ftypheic" + bytes(64)
    for name in ("one.HEIC", "two.heif", "bare"):
        (tmp_path / "in" / name).write_bytes(heic)
    (tmp_path / "in" / "raw.nef").write_bytes(b"II*\0")
    (tmp_path / "named.heic").write_bytes(heic)
    inputs = str(tmp_path / "in"), str(tmp_path / "named.heic")
    monkeypatch.setattr(heif, "available", lambda: False)
    lines = worker.check(CollectionConfig(inputs, str(tmp_path / "out")))
    assert len(lines) == 3 and all(heif.ADVICE in lines[at] for at in (0, 2))
    assert lines[0].startswith("3 HEIC files cannot be read here") and "named.heic" in lines[2]
    assert lines[1].startswith("1 camera raw file cannot be read")
    monkeypatch.setattr(heif, "available", lambda: True)
    assert len(worker.check(CollectionConfig(inputs, str(tmp_path / "out")))) == 1


@pytest.mark.parametrize("check", [worker.check, listing.check])  # on Beam, on Dask
def test_the_input_folder_is_no_output(
    tmp_path: Path, check: Callable[[CollectionConfig], object]
) -> None:
    """Neither a row nor a picture is written beside the originals."""
    box = tmp_path / "in"
    box.mkdir()
    image_io.write(box / "a.png", crop(0))
    for inputs in ((str(box),), (str(tmp_path / "in" / "a.png"), f"{box}/")):
        with pytest.raises(ValueError, match="is the input folder.*choose another --output"):
            check(CollectionConfig(inputs, str(box)))
    check(CollectionConfig((str(box),), str(box / "colored")))
    check(CollectionConfig((str(box),), str(box), format="jpeg"))  # beside them, as by colorize


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
    assert latest((manifests.OLD_ERROR, bad), new[0]) == (MANIFEST, good)
    assert latest((manifests.OLD, good), new[1]) == (ERRORS, bad)
    assert latest((manifests.OLD, good), new[2]) == (MANIFEST, good)  # what was known of it
    assert latest((manifests.OLD_ERROR, bad), new[2]) == (MANIFEST, bare)
    assert latest((manifests.OLD, good)) == (MANIFEST, good)  # no longer among the inputs


def test_foreign_files_are_not_replaced(tmp_path: Path) -> None:
    for text in ("Dear reader", "[1]", '{"a": 1}'):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(ValueError, match="manifest.jsonl is no manifest of this tool"):
            manifests.check(tmp_path)
    (tmp_path / MANIFEST).write_text('{"file": "a"}\n')
    manifests.check(tmp_path)


def test_without_beam_a_line_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install .\.\[beam\]"):
        beam_pipeline.colorize_archive(CollectionConfig(("a",), "out"))


def test_standard_input_is_no_archive() -> None:
    with pytest.raises(ValueError, match="use tools/colorize.py"):
        CollectionConfig(("-",), "out")
