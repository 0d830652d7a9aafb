"""Folders of pictures, and the tool: bad files are named, files of the user are safe."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.batches import load_once  # noqa: F401
from PIL import Image

from residual_encoder import models, recipes
from residual_encoder.imaging import image_io
from residual_encoder.inference import video
from residual_encoder.inference.batch import BatchConfig, colorize_files
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights as weights_files

RECIPE = dataclasses.replace(recipes.RECIPES["tinyclouds2016"], image_size=32)
TOOL = Path(__file__).resolve().parents[2] / "tools" / "colorize.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "untrained.weights.h5"
    network = models.build(RECIPE.network)
    network.get_layer("uv_bn").beta.assign([-0.5, 0.5])  # everything is yellowish red
    weights_files.save_weights(network, path, RECIPE.to_json())
    return path


@pytest.fixture(scope="module")
def colorizer(weights: Path) -> Colorizer:
    return Colorizer(weights)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a folder inside, pictures, a bad one, and files of other kinds."""
    folder = tmp_path / "photos"
    images_at(folder / "a.png", folder / "deep" / "b.JPG", folder / "deep" / "a.png")
    images_at(folder / ".hidden" / "c.png", folder / ".d.png")
    (folder / "notes.txt").write_text("not a picture by its name")
    return folder


def images_at(*paths: Path, dtype: type = np.uint8) -> None:
    top = np.iinfo(dtype).max
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        image_io.write(path, np.random.default_rng(0).integers(0, top, (12, 17), dtype))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def config(output: Path, *inputs: Path, overwrite: bool = False) -> BatchConfig:
    return BatchConfig(tuple(map(str, inputs)), str(output), overwrite=overwrite)


# --- what is written where ------------------------------------------------------------------------


def test_folders_keep_their_structure(photos: Path, tmp_path: Path, colorizer: Colorizer) -> None:
    before = contents(photos)
    output = tmp_path / "new" / "out"
    summary = colorize_files(config(output, photos))
    assert summary == (3, {}, 0)
    assert sorted(contents(output)) == ["a.png", "deep/a.png", "deep/b.JPG"]
    assert contents(photos) == before
    wanted = colorizer.colorize(photos / "deep" / "a.png")
    np.testing.assert_array_equal(image_io.read(output / "deep" / "a.png").pixels, wanted)


def test_a_file_goes_into_the_output_by_its_name(photos: Path, tmp_path: Path) -> None:
    colorize_files(config(tmp_path / "out", photos / "deep" / "a.png"))
    assert list(contents(tmp_path / "out")) == ["a.png"]


def test_depth_survives(tmp_path: Path) -> None:
    images_at(tmp_path / "deep.tiff", dtype=np.uint16)
    colorize_files(config(tmp_path / "out", tmp_path / "deep.tiff"))
    assert image_io.read(tmp_path / "out" / "deep.tiff").depth == 16


def test_formats_that_are_only_read_become_png(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 3 255\n" + bytes(range(6)))
    assert colorize_files(config(tmp_path / "out", tmp_path / "a.pgm")).colored == 1
    assert image_io.read(tmp_path / "out" / "a.pgm.png").pixels.shape == (3, 2, 3)


def test_each_picture_once(photos: Path, tmp_path: Path) -> None:
    both = (photos, photos / "a.png", photos / ".." / "photos")
    assert colorize_files(config(tmp_path / "out", *both)).colored == 3


def test_output_inside_the_input_is_not_colored_again(photos: Path) -> None:
    for _ in range(2):
        summary = colorize_files(config(photos / "out", photos, overwrite=True))
        assert summary == (3, {}, 0)
    assert not (photos / "out" / "out").exists()


# --- globs, formats, comparisons, films -----------------------------------------------------------


def test_globs_keep_the_structure_below_their_first_wildcard(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    colorize_files(config(output, photos / "**" / "*.png"))
    assert sorted(contents(output)) == ["a.png", "deep/a.png"]
    colorize_files(config(output / "folder", photos / "d*"))
    assert sorted(contents(output / "folder")) == ["deep/a.png", "deep/b.JPG"]
    with pytest.raises(FileNotFoundError, match=r"Nothing fits .*\*.tif"):
        colorize_files(config(output, photos / "*.tif"))


def test_a_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    images_at(tmp_path / "a [1].png")
    assert colorize_files(config(tmp_path / "out", tmp_path / "a [1].png")).colored == 1


def test_format_changes_the_suffix(photos: Path, tmp_path: Path) -> None:
    chosen = dataclasses.replace(config(tmp_path / "out", photos), format="jpeg")
    assert colorize_files(chosen).colored == 3
    assert sorted(contents(tmp_path / "out")) == ["a.jpg", "deep/a.jpg", "deep/b.JPG"]
    for data in contents(tmp_path / "out").values():
        assert Image.open(io.BytesIO(data)).format == "JPEG"


def test_compare_is_gray_next_to_colored(tmp_path: Path, colorizer: Colorizer) -> None:
    images_at(tmp_path / "a.png")
    compared = dataclasses.replace(config(tmp_path / "out", tmp_path / "a.png"), compare=True)
    assert colorize_files(compared).colored == 1
    assert sorted(contents(tmp_path / "out")) == ["a.png", "a_compare.png"]
    with Image.open(tmp_path / "out" / "a_compare.png") as pair:
        pixels = np.asarray(pair)
    assert pixels.shape == (12, 34, 3)
    gray = image_io.read(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[:, :17], np.stack([gray] * 3, -1))
    np.testing.assert_array_equal(pixels[:, 17:], colorizer.colorize(gray))


def test_films_go_to_the_film_maker(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "holiday.AVI").write_bytes(b"frames")
    (photos / "broken.mp4").write_bytes(b"frames")
    seen = []

    def colorize_video(_: Colorizer, film: video.VideoConfig) -> video.VideoSummary:
        seen.append(film)
        if "broken" in film.source:
            raise ValueError("is no film")
        notes = ("interlaced",)
        return video.VideoSummary(48, 2.0, 0.1, 0.2, (), False, notes, output=film.target)

    monkeypatch.setattr(video, "colorize_video", colorize_video)
    report = tmp_path / "report.jsonl"
    summary = colorize_files(
        dataclasses.replace(config(tmp_path / "out", photos), report=str(report))
    )
    assert summary.colored == 4 and list(summary.failed) == [photos / "broken.mp4"]
    target = str(tmp_path / "out" / "holiday.AVI.mp4")
    assert video.VideoConfig(str(photos / "holiday.AVI"), target) in seen
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert [row["frames"] for row in rows if row["output"] == target] == [48]


def test_the_report_has_an_object_for_each_input(
    photos: Path, tmp_path: Path, colorizer: Colorizer
) -> None:
    (photos / "b.jpg").write_text("Dear reader")
    report, output = tmp_path / "report.jsonl", tmp_path / "out"
    colorize_files(dataclasses.replace(config(output, photos), report=str(report)))
    rows = {row["file"]: row for row in map(json.loads, report.read_text().splitlines())}
    assert sorted(rows) == sorted(
        str(photos / name) for name in ("a.png", "b.jpg", "deep/a.png", "deep/b.JPG")
    )
    good, bad = rows[str(photos / "deep/b.JPG")], rows[str(photos / "b.jpg")]
    assert good["output"] == str(output / "deep/b.JPG") and good["error"] is None
    assert (good["width"], good["height"], good["model"]) == (17, 12, colorizer.sha256)
    assert 0 < good["seconds"] < 60
    assert "is no picture" in bad["error"] and bad["output"] is None


def test_a_report_replaces_nothing(photos: Path, tmp_path: Path) -> None:
    before = contents(photos)
    report = dataclasses.replace(config(tmp_path / "out", photos), report=str(photos / "a.png"))
    with pytest.raises(FileExistsError):
        colorize_files(report)
    with pytest.raises(ValueError, match="onto an input"):
        colorize_files(dataclasses.replace(report, overwrite=True))
    assert contents(photos) == before


def test_a_report_is_written_of_an_interrupted_run_too(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = image_io.write

    def interrupted(path: Path, *rest: object) -> None:
        if path.name == "b.JPG":
            raise KeyboardInterrupt
        original(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(image_io, "write", interrupted)
    report = tmp_path / "report.jsonl"
    with pytest.raises(KeyboardInterrupt):
        colorize_files(dataclasses.replace(config(tmp_path / "o", photos), report=str(report)))
    assert len(report.read_text().splitlines()) == 2


# --- nothing of the user's is lost ----------------------------------------------------------------


def test_what_exists_is_kept_without_overwrite(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a.png").write_bytes(b"precious")
    summary = colorize_files(config(output, photos))
    assert summary.colored == 2
    assert list(summary.failed) == [photos / "a.png"]
    assert "a.png exists" in summary.failed[photos / "a.png"]
    assert (output / "a.png").read_bytes() == b"precious"
    assert colorize_files(config(output, photos, overwrite=True)).colored == 3
    assert image_io.read(output / "a.png").has_color


def test_existing_outputs_are_skipped_where_that_is_asked(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a.png").write_bytes(b"precious")
    skipping = dataclasses.replace(config(output, photos), skip_existing=True)
    assert colorize_files(skipping) == (2, {}, 1)
    assert colorize_files(skipping) == (0, {}, 3)
    assert (output / "a.png").read_bytes() == b"precious"
    comparing = dataclasses.replace(skipping, compare=True)
    assert colorize_files(comparing) == (3, {}, 0)  # what is missing is written
    assert (output / "a.png").read_bytes() == b"precious"
    assert len(contents(output)) == 6


@pytest.mark.parametrize("output", [".", "deep"])
def test_no_input_is_ever_written_to(photos: Path, output: str) -> None:
    before = contents(photos)
    inputs = (photos / "a.png", photos / "deep" / "a.png")
    summary = colorize_files(config(photos / output, *inputs, overwrite=True))
    assert summary.colored == 0 and len(summary.failed) == 2
    assert all("would be written onto" in reason for reason in summary.failed.values())
    assert contents(photos) == before


def test_two_pictures_are_not_written_onto_each_other(photos: Path, tmp_path: Path) -> None:
    inputs = (photos / "a.png", photos / "deep" / "a.png")
    summary = colorize_files(config(tmp_path / "out", *inputs, overwrite=True))
    assert summary.colored == 1 and list(summary.failed) == [inputs[1]]


def test_a_link_has_an_output_of_its_own(photos: Path, tmp_path: Path) -> None:
    (photos / "link.png").symlink_to(photos / "a.png")
    assert colorize_files(config(tmp_path / "out", photos)).colored == 4
    assert not (tmp_path / "out" / "link.png").is_symlink()


# --- bad pictures, and the rest goes on -----------------------------------------------------------


def test_a_bad_picture_is_one_line_and_the_rest_is_colored(
    photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    (photos / "b.jpg").write_text("Dear reader")
    (photos / "c.png").write_bytes((photos / "a.png").read_bytes()[:-20])
    (photos / "d.tif").touch()
    summary = colorize_files(config(tmp_path / "out", photos))
    assert summary.colored == 3 and len(summary.failed) == 3
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "b.jpg is no picture: it is text" in lines[0]
    assert "c.png begins like a picture, but is a damaged or truncated PNG" in lines[1]
    assert "d.tif is empty" in lines[2]
    assert len(contents(tmp_path / "out")) == 3


def test_a_format_that_cannot_hold_the_picture_is_named(tmp_path: Path) -> None:
    image_io.write(tmp_path / "a.png", np.zeros((4, 4, 4), np.uint8))
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    reason = colorize_files(config(tmp_path / "out", tmp_path / "a.jpg")).failed
    assert "a.jpg: JPEG holds no alpha" in reason[tmp_path / "a.jpg"]


def test_errors_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out"
    with pytest.raises(ValueError, match="No picture found in .*empty; wanted files, or folders"):
        colorize_files(config(output, tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match="There is no .*absent.jpg"):
        colorize_files(config(output, tmp_path / "absent.jpg"))
    assert not output.exists()
    images_at(tmp_path / "a.png")
    for place in (tmp_path / "a.png", tmp_path / "a.png" / "below", Path("/proc/absent/out")):
        with pytest.raises(OSError, match="Cannot make the output folder"):
            colorize_files(config(place, tmp_path / "a.png"))


def test_wrong_options() -> None:
    for options, message in (
        ({"overwrite": True, "skip_existing": True}, "choose one of the two"),
        ({"format": "gif"}, "format is keep or one of"),
        ({"output": "-", "compare": True}, "compare needs a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            BatchConfig(**{"inputs": ("a",), "output": "o", **options})  # type: ignore[arg-type]


def test_standard_output_takes_one_picture(photos: Path) -> None:
    with pytest.raises(ValueError, match="takes one picture, received 3; give a folder"):
        colorize_files(config(Path("-"), photos))


# --- the tool -------------------------------------------------------------------------------------


def run_tool(*arguments: object, data: bytes | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, input=data)
    done.stderr = done.stderr.decode()
    done.stdout = done.stdout if data else done.stdout.decode()
    assert "Traceback" not in done.stderr
    return done


def test_tool_colors_and_reports(photos: Path, tmp_path: Path, weights: Path) -> None:
    (photos / "b.jpg").write_text("Dear reader")
    output = tmp_path / "out"
    options = (f"--output={output}", f"--model={weights}", "--size=40", "--saturation=0")
    done = run_tool(photos, photos / "a.png", *options)
    assert done.returncode == 1
    assert "3 colored, 1 failed" in done.stdout
    assert [line for line in done.stderr.splitlines() if "b.jpg is no picture" in line]
    assert not image_io.read(output / "a.png").has_color  # saturation 0


def test_tool_as_a_filter(weights: Path, colorizer: Colorizer) -> None:
    gray = np.random.default_rng(0).integers(0, 255, (12, 17), np.uint8)
    done = run_tool("-", "--output=-", f"--model={weights}", data=image_io.encode(gray, ".tiff"))
    assert done.returncode == 0 and not done.stderr
    with Image.open(io.BytesIO(done.stdout)) as picture:  # nothing but the picture is there
        assert picture.format == "TIFF"
        np.testing.assert_array_equal(np.asarray(picture), colorizer.colorize(gray))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.jpg", "--output=out"], "There is no absent.jpg"),
        (["absent.jpg", "--output=out", "--size=big"], "--size takes auto or a number"),
        (["absent.jpg", "--output=out", "--saturation=-1"], "saturation"),
    ],
)
def test_tool_errors(arguments: list[str], message: str) -> None:
    done = run_tool(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
