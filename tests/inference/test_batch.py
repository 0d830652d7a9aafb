"""What a batch leaves out, counts and reports; outputs that are files; formats that hold less."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.batches import gray, load_once, rows, run  # noqa: F401
from PIL import Image

from residual_encoder.imaging import image_io
from residual_encoder.inference import batch, batch_plan, batch_report
from residual_encoder.inference.batch import BatchConfig, Stopped, colorize_files
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.video_progress import SegmentStore
from residual_encoder.utils import files


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights)


# --- outputs --------------------------------------------------------------------------------------


def test_an_output_may_be_a_file(tmp_path: Path) -> None:
    source = gray(tmp_path / "in" / "a.tif")
    for name in ("new.png", "b/c.JPG", "d.webp", "e.tiff", "f.bmp"):
        assert run(source, output=tmp_path / name) == (1, {}, 0)
        assert (tmp_path / name).is_file()
        kind = {"JPG": "JPEG", "tiff": "TIFF"}.get(name[-3:], name.rpartition(".")[2].upper())
        assert Image.open(tmp_path / name).format == kind.replace("TIFF", "TIFF").upper()
    run(source, output=tmp_path / "pair.png", compare=True)
    assert (tmp_path / "pair_compare.png").is_file()


def test_names_of_folders(tmp_path: Path) -> None:
    """A folder that exists is one by any name, and 2024.summer is no kind of picture."""
    source = gray(tmp_path / "a.png")
    (tmp_path / "camera.png").mkdir()
    for name in ("camera.png", "2024.summer", "v1.2"):
        run(source, output=tmp_path / name)
        assert (tmp_path / name / "a.png").is_file()


CASES = {"A.png": 50, "a.png": 90}


def skip_where_case_is_nothing(folder: Path) -> None:
    (folder / "B").touch()
    if (folder / "b").exists():
        pytest.skip("the disk takes A.png and a.png for one name")


def level(path: Path, value: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    image_io.write(path, np.full((24, 32), value, np.uint8))
    return path


def luma(path: Path) -> float:
    return float(image_io.read(path).rgb.mean((0, 1)) @ (0.299, 0.587, 0.114))


@pytest.mark.parametrize("again", ["overwrite", "skip_existing"])
def test_names_that_are_one_on_the_disk(again: str, tmp_path: Path, monkeypatch) -> None:
    """On Windows and macOS a.png is A.png: the second picture would replace the first, or be lost.

    A second name for the first output stands for such a disk.
    """
    skip_where_case_is_nothing(tmp_path)
    sources = [level(tmp_path / "in" / name, value) for name, value in CASES.items()]
    colorize, output = batch.colorize_to_files, tmp_path / "out"

    def to_such_a_disk(*arguments: object) -> list[str]:
        notes = colorize(*arguments)  # type: ignore[arg-type]
        (output / "a.png").hardlink_to(output / "A.png")
        return notes

    monkeypatch.setattr(batch, "colorize_to_files", to_such_a_disk)
    made = run(*sources, output=output, **{again: True})
    assert made.colored == 1 and "would be written onto" in made.failed[sources[1]]
    assert luma(output / "A.png") == pytest.approx(CASES["A.png"], abs=1)


def test_names_that_differ_in_their_case_are_two(tmp_path: Path) -> None:
    """On disks that tell them apart."""
    skip_where_case_is_nothing(tmp_path)
    sources = [level(tmp_path / "in" / name, value) for name, value in CASES.items()]
    assert run(*sources, output=tmp_path / "out", overwrite=True).colored == 2
    for name, value in CASES.items():
        assert luma(tmp_path / "out" / name) == pytest.approx(value, abs=1)


def test_an_output_file_takes_one_input(tmp_path: Path) -> None:
    for name in "ab":
        gray(tmp_path / "in" / f"{name}.png")
    with pytest.raises(
        ValueError, match="is the name of one file, received 2 inputs; give a folder"
    ):
        run(tmp_path / "in", output=tmp_path / "out.png")
    source = tmp_path / "in" / "a.png"
    with pytest.raises(ValueError, match=r"cannot write .*a.png as .*out.gif; wanted a name that"):
        run(source, output=tmp_path / "out.gif")
    with pytest.raises(ValueError, match=r"cannot write .*a.png as .*out.mp4"):
        run(source, output=tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="out.png and the format jpeg disagree"):
        run(source, output=tmp_path / "out.png", format="jpeg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_the_input_folder_as_output_is_one_line(tmp_path: Path) -> None:
    for name in "abc":
        gray(tmp_path / f"{name}.png")
    for output in (tmp_path, tmp_path / "x" / ".."):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match="is the input folder.*choose another --output"):
            run(tmp_path, output=output, overwrite=True)
    assert run(tmp_path, output=tmp_path, format="jpeg").colored == 3  # other names: no harm


def test_a_missing_model_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no absent. Wanted a weights file"):
        batch_plan.plan(BatchConfig((str(gray(tmp_path / "a.png")),), "out", model="absent"))


def test_existing_outputs_name_both_ways_out(tmp_path: Path) -> None:
    source = gray(tmp_path / "a.png")
    run(source, output=tmp_path / "out")
    (reason,) = run(source, output=tmp_path / "out").failed.values()
    assert "a.png exists" in reason and "--skip_existing" in reason and "--overwrite" in reason


def test_a_second_run_does_not_fill_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    for number in range(9):
        gray(tmp_path / "in" / f"{number}.png")
    run(tmp_path / "in", output=tmp_path / "out")
    capfd.readouterr()
    assert len(run(tmp_path / "in", output=tmp_path / "out").failed) == 9
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 4 and lines[-1] == "and 6 more outputs exist"
    assert all("--skip_existing" in line for line in lines[:3])


# --- formats that hold less -----------------------------------------------------------------------


def gif(path: Path, transparent: bool) -> Path:
    picture = Image.fromarray(np.arange(768, dtype=np.uint8).reshape(24, 32) // 2)
    picture.save(path, **({"transparency": 0} if transparent else {}))
    return path


def test_jpeg_is_what_was_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """16 bits, opaque and clear alpha, both, GIF: JPEG files, and a note of what was lost."""
    folder = tmp_path / "in"
    gray(folder / "deep.tif", dtype=np.uint16)
    opaque = np.full((24, 32, 4), 100, np.uint8)
    opaque[..., 3] = 255
    image_io.write(folder / "opaque.png", opaque)
    gray(folder / "clear.png", (24, 32, 2))
    gray(folder / "both.png", (24, 32, 2), np.uint16)
    gif(folder / "plain.gif", False)
    gif(folder / "holes.gif", True)
    gray(folder / "simple.png")
    report = tmp_path / "report.jsonl"
    summary = run(folder, output=tmp_path / "out", format="jpeg", report=str(report))
    assert summary == (7, {}, 0)
    assert {Image.open(path).format for path in (tmp_path / "out").iterdir()} == {"JPEG"}
    notes = {name: " ".join(row["notes"]) for name, row in rows(report).items()}  # type: ignore[arg-type]
    assert notes["deep.tif"] == "JPEG holds 8 bits a channel: 16 were rounded to 8"
    assert notes["opaque.png"] == "JPEG holds no alpha: dropped, it was opaque"
    assert "transparent parts are white now" in notes["clear.png"]
    assert "white now" in notes["both.png"] and "rounded to 8" in notes["both.png"]
    assert "white now" in notes["holes.gif"] and notes["simple.png"] == ""
    told = capfd.readouterr().err
    assert "deep.tif: JPEG holds 8 bits" in told and "simple.png" not in told


def test_what_is_lost_is_lost_rightly(tmp_path: Path, colorizer: Colorizer) -> None:
    source = gray(tmp_path / "deep.png", (24, 32, 2), np.uint16)
    run(source, output=tmp_path / "out.webp")
    colored = colorizer.colorize(source)
    found = image_io.read(tmp_path / "out.webp")
    assert found.depth == 8 and found.alpha is not None
    assert np.abs(found.alpha.astype(int) - np.rint(colored[..., 3] / 257)).max() <= 1
    from residual_encoder.inference import output_fit

    flat, _ = output_fit.fitted(colored, Path("a.jpg"))
    opacity = colored[..., 3:] / 65535
    wanted = (opacity * colored[..., :3] + (1 - opacity) * 65535) / 257
    assert flat.dtype == np.uint8 and np.abs(flat - wanted).max() <= 0.51


def test_without_a_flag_nothing_is_lost(tmp_path: Path) -> None:
    clear = gray(tmp_path / "a.png", (24, 32, 2))
    clear.rename(tmp_path / "a.jpg")
    (reason,) = run(tmp_path / "a.jpg", output=tmp_path / "out").failed.values()
    assert "JPEG holds no alpha" in reason


# --- long names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a" * 251 + ".png",
        "é" * 125 + "b.png",
        "b" * 251 + ".pgm",
        "日" * 83 + "ab.gif",
        "c" * 250 + ".jpeg",
    ],
)
def test_names_of_255_bytes(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in" / name
    source.parent.mkdir()
    assert len(name.encode()) in (255, 254)
    if source.suffix == ".pgm":
        source.write_bytes(b"P5 9 8 255\n" + bytes(range(72)))
    elif source.suffix == ".gif":
        gif(source, False)
    else:
        gray(source)
    assert run(source, output=tmp_path / "out", compare=True, report=str(tmp_path / "r")) == (
        1,
        {},
        0,
    )
    assert run(source, output=tmp_path / "tiff", format="tiff") == (1, {}, 0)
    written = [path.name for path in (tmp_path / "out").iterdir()]
    assert len(written) == 2 and all(len(each.encode()) <= 255 for each in written)


def test_long_names_of_films_have_a_folder_for_their_parts(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".mp4", "é" * 125 + "b.mkv"):
        store = SegmentStore(tmp_path / name)
        store.begin({"version": 1})
        assert store.folder.is_dir() and len(store.folder.name.encode()) <= 255
    assert len(list(tmp_path.iterdir())) == 2
    assert SegmentStore(tmp_path / "short.mp4").folder.name == ".short.mp4.parts"


def test_cut_names_stay_different() -> None:
    names = {files.fitting_name("é" * 200 + last, ".png") for last in "abc"}
    assert len(names) == 3
    for name in names:
        assert len(name.encode()) <= 255 and name.startswith("é" * 100) and name.endswith(".png")
    assert files.fitting_name("a", ".png") == "a.png"


# --- stopped, and resumed -------------------------------------------------------------------------


def test_a_stopped_run_is_resumed_with_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        gray(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "bad.png").write_text("Dear reader")
    report = tmp_path / "report.jsonl"
    config = BatchConfig((str(tmp_path / "in"),), str(tmp_path / "out"), report=str(report))
    write = image_io.write

    def stopping(path: Path, *rest: object) -> None:
        if path.name == "c.png":
            raise KeyboardInterrupt
        write(path, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(image_io, "write", stopping)
        with pytest.raises(Stopped) as stopped:
            colorize_files(config)
    assert stopped.value.summary.colored == 2 and len(stopped.value.summary.failed) == 1
    assert stopped.value.waiting == 2  # c, which was begun, and d
    assert sorted(rows(report)) == ["a.png", "b.png", "bad.png"]
    before = rows(report)["a.png"]
    assert colorize_files(dataclasses.replace(config, skip_existing=True))[::2] == (2, 2)
    after = rows(report)
    assert sorted(after) == ["a.png", "b.png", "bad.png", "c.png", "d.png"]
    assert after["a.png"] == before and after["c.png"]["output"]
    assert len(report.read_text().splitlines()) == 5


def test_skipped_inputs_have_a_row(tmp_path: Path) -> None:
    source, report = gray(tmp_path / "a.png"), tmp_path / "report.jsonl"
    run(source, output=tmp_path / "out")
    assert run(source, output=tmp_path / "out", skip_existing=True, report=str(report)) == (
        0,
        {},
        1,
    )
    assert rows(report)["a.png"]["left_out"] == batch_report.THERE


def test_a_file_that_is_no_report_is_kept(tmp_path: Path) -> None:
    source = gray(tmp_path / "a.png")
    for text in ("Dear reader", "[1]\n", '{"file": "a"}\n'):
        (tmp_path / "notes").write_text(text)
        with pytest.raises(ValueError, match="notes is no report of an earlier run"):
            run(source, output=tmp_path / "o", skip_existing=True, report=str(tmp_path / "notes"))
        assert (tmp_path / "notes").read_text() == text


# --- a stop ---------------------------------------------------------------------------------------


def test_a_stop_right_after_a_picture_was_written_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [gray(tmp_path / "in" / f"{name}.png") for name in "abc"]
    synced = files._sync_folder

    def stop(folder: Path) -> None:
        synced(folder)
        if (folder / "b.png").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "_sync_folder", stop)
    report = tmp_path / "report.jsonl"
    with pytest.raises(Stopped) as stopped:
        run(*sources, output=tmp_path / "out", report=str(report))
    assert (stopped.value.summary.colored, stopped.value.waiting) == (2, 1)
    assert list(rows(report)) == ["a.png", "b.png"]
    assert rows(report)["b.png"]["output"] == str(tmp_path / "out" / "b.png")


def test_a_stop_while_a_picture_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts once, wherever the stop comes."""
    sources = [gray(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    count, stops = batch._Run._count, [True]

    def stop(self: object, *arguments: object) -> None:
        count(self, *arguments)  # type: ignore[arg-type]
        if self.colored == 2 and stops:  # type: ignore[attr-defined]
            raise KeyboardInterrupt(stops.pop())

    monkeypatch.setattr(batch._Run, "_count", stop)
    report = tmp_path / "report.jsonl"
    with pytest.raises(Stopped) as stopped:
        run(*sources, output=tmp_path / "out", report=str(report))
    assert (stopped.value.summary.colored, stopped.value.waiting) == (2, 1)
    assert list(rows(report)) == ["a.png", "b.png"]
