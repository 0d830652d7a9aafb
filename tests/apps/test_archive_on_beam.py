"""Archives on Apache Beam: the files of tools/colorize.py, a stop without a mess, metadata kept."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.archives import (
    TOOLS,
    check_records,
    check_stop,
    contents,
    crop,
    rows,
    shard,
    state,
    tool,
    until,
    wholes,
    write_photographs,
)
from helpers.metadata import SOURCE, SUFFIXES, check_kept, needs_exiftool, scan, told

from residual_encoder.apps.archive import beam_pipeline, beam_runner, worker
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST
from residual_encoder.apps.archive.tasks import CollectionConfig
from residual_encoder.imaging import image_io
from residual_encoder.inference import batch
from residual_encoder.inference.batch import BatchConfig

COMMANDS = ("colorize_archive", "make_shards")


@pytest.fixture
def beam() -> object:
    return pytest.importorskip("apache_beam", reason="Apache Beam is not installed")


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
        ("--runner=DaskRunner", "loses data.*--engine=dask"),
        ("--runner=apache_beam.runners.dask.dask_runner.DaskRunner", "loses data.*--engine=dask"),
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
    check_records(tmp_path, soft_weights, beam_pipeline.colorize_archive)


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


@pytest.mark.beam
@needs_exiftool
def test_metadata_go_along(beam: object, tmp_path: Path, soft_weights: Path) -> None:
    """Resolution, EXIF, XMP, IPTC, profile and texts of the four formats that hold them."""
    (tmp_path / "in").mkdir()
    scans = {suffix: scan(tmp_path / "in", suffix) for suffix in SUFFIXES}
    for path in scans.values():
        path.rename(path.with_name(f"{path.suffix[1:]}{path.suffix}"))
    for form in ("keep", "tiff"):
        output = tmp_path / form
        config = CollectionConfig(
            (str(tmp_path / "in"),), str(output), model=str(soft_weights), format=form
        )
        assert beam_pipeline.colorize_archive(config) == (4, 0, 0)
        for suffix in SUFFIXES:
            before = told(tmp_path / "in" / f"{suffix[1:]}{suffix}")
            ending = suffix if form == "keep" or suffix == ".tif" else ".tiff"
            after = told(output / f"{suffix[1:]}{ending}")
            check_kept(before, after, suffix, ending)
            assert after["XMP-iptcExt:DigitalSourceType"] == SOURCE
            assert after["IFD0:Software"] == "residual-encoder"


# --- a stop ---------------------------------------------------------------------------------------

FOUR = ("--direct_num_workers=4", "--direct_running_mode=multi_processing")


@pytest.mark.beam
@pytest.mark.parametrize(
    ("number", "flags"),
    [
        (signal.SIGINT, ()),
        pytest.param(signal.SIGTERM, (), marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, FOUR, marks=pytest.mark.slow),
    ],
)
def test_a_stop_keeps_both_manifests_and_tells_how_to_resume(
    beam: object,
    tmp_path: Path,
    soft_weights: Path,
    number: signal.Signals,
    flags: tuple[str, ...],
) -> None:
    check_stop(tmp_path, number, f"--model={soft_weights}", *flags)


@pytest.mark.beam
def test_a_stopped_group_of_records_waits(
    beam: object, tmp_path: Path, soft_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpeg = image_io.encode(crop(0), ".jpg")
    path = shard(tmp_path / "t", *((f"{number}.jpg", jpeg) for number in range(4)))
    config = CollectionConfig((path,), str(tmp_path / "out"), True, model=str(soft_weights))
    counted: list[str] = []
    monkeypatch.setattr(beam_runner, "count", counted.append)
    prepared = beam_pipeline.prepare(config)
    beam_pipeline.load(prepared)
    tasks = list(worker.record_tasks(path, config))
    found = prepared.colorer.colorize_records(((b"", 0), tasks))
    next(found)
    prepared.colorer.stop.touch()
    assert list(found) == [] and counted == ["colored"] + 3 * ["waiting"]


# --- the tool, with 200 photographs ---------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("archive") / "in", 200, 3)


@pytest.fixture(scope="module")
def plain(photographs: Path) -> Path:
    """What tools/colorize.py makes of them with the shipped weights, in the engine of archives."""
    output = photographs.with_name("plain")
    done = tool("colorize.py", photographs, f"--output={output}", RECOLOR, "--engine=onnx")
    assert "197 colored, 3 failed" in done.stdout and done.returncode == 1
    return output


RECOLOR = "--color_inputs=recolor"  # the photographs are in color


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
