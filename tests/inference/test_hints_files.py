"""Files of hints with the settings that a picture was corrected at, and which picture has which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.batches import load_once, rows, run  # noqa: F401

from residual_encoder.imaging import image_io
from residual_encoder.inference import hints
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import Hint, HintsFile

GREEN = {"x": 9, "y": 8, "rgb": [40, 130, 50]}
GRAY = np.rint(128 + 60 * np.sin(np.mgrid[:60, :80].sum(0) / 20)).astype(np.uint8)


@pytest.fixture(scope="module")
def colorizer(distribution_weights: Path) -> Colorizer:
    return Colorizer(distribution_weights, engine="onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.png", "two.png"):
        image_io.write(tmp_path / name, GRAY)
    return tmp_path


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_settings_come_with_the_hints(tmp_path) -> None:
    given = {"hints": [GREEN], "saturation": 0.5, "vividness": 1, "faces": False}
    read = hints.read(written(tmp_path / "a.json", given))
    assert read == HintsFile([Hint(9, 8, (40, 130, 50))], 0.5, 1, False)
    assert hints.as_json(read.hints, **read.settings) == given
    assert hints.as_json(read.hints) == [GREEN]  # what earlier versions read
    assert hints.read(written(tmp_path / "a.json", {"hints": []})) == HintsFile([])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"saturation": 1}, "an object with that list as hints.* Received .'saturation'"),
        ({"hints": [], "size": 160}, "saturation, vividness, faces. Received .'hints', 'size'"),
        ({"hints": {}}, "hints are a list"),
        ({"hints": [], "saturation": 1e300}, "saturation must be 0 or more, and at most 100"),
        ({"hints": [], "saturation": "1"}, "saturation must be 0 or more"),
        ({"hints": [], "saturation": True}, "saturation must be 0 or more"),
        ({"hints": [], "saturation": 10**400}, "saturation must be 0 or more"),
        ({"hints": [], "vividness": 1.5}, "vividness must be 0 to 1. Received 1.5"),
        ({"hints": [], "vividness": True}, "vividness must be 0 to 1. Received True"),
        ({"hints": [], "faces": 1}, "faces must be true or false. Received 1"),
        ({"hints": [], "saturation": None}, "saturation must be 0 or more"),
        ({"hints": [], "vividness": None}, "vividness must be 0 to 1. Received None"),
        ({"hints": [], "faces": None}, "faces must be true or false. Received None"),
        ({"hints": None}, "hints are a list"),
        ({"hints": [7]}, "hint 1 must be"),
    ],
)
def test_wrong_settings_are_refused(given, words, tmp_path) -> None:
    path = written(tmp_path / "a.json", given)
    with pytest.raises(ValueError, match=words) as error:
        hints.read(path)
    assert str(error.value).startswith(str(path))


def test_a_picture_has_the_settings_of_its_file(colorizer, folder) -> None:
    """At saturation 0 the result is the gray itself; the next picture has the run's settings."""
    written(folder / "one.hints.json", {"hints": [], "saturation": 0})
    report, output = folder / "report.jsonl", folder / "out"
    sources = folder / "one.png", folder / "two.png"
    made = run(*sources, output=output, hints=str(folder), report=str(report))
    assert made.colored == 2
    one, two = (image_io.read(output / source.name) for source in sources)
    np.testing.assert_array_equal(one.pixels, GRAY)
    np.testing.assert_array_equal(two.pixels, colorizer.colorize(GRAY))
    assert two.has_color
    assert rows(report)["one.png"]["notes"] == ["by its file of hints: saturation 0.0"]
    assert rows(report)["two.png"]["notes"] == []


def test_the_command_colors_as_the_page_does(colorizer, folder, distribution_weights) -> None:
    """The page colors by `colorize_file` with these arguments."""
    given = {"hints": [GREEN], "saturation": 1.3, "vividness": 1.0, "faces": True}
    path, page = written(folder / "corrections.json", given), folder / "page.png"
    settings = {name: given[name] for name in hints.SETTINGS}
    colorizer.colorize_file(folder / "one.png", page, hints=[GREEN], **settings)
    run(folder / "one.png", output=folder / "out.png", hints=str(path))
    assert (folder / "out.png").read_bytes() == page.read_bytes()
    own = Colorizer(distribution_weights, vividness=1.0, saturation=1.3, engine="onnx")
    np.testing.assert_array_equal(image_io.read(page).pixels, own.colorize(GRAY, hints=[GREEN]))
    assert (own.colorize(GRAY) != colorizer.colorize(GRAY)).any()


def test_a_file_of_settings_is_for_one_picture_too(colorizer, folder) -> None:
    import tifffile

    source = folder / "pages.tif"
    tifffile.imwrite(source, np.stack([GRAY] * 3), photometric="minisblack")
    path = written(folder / "a.json", {"hints": [], "saturation": 0.5})
    made = run(source, output=folder / "out", hints=str(path))
    assert "hints are for one" in made.failed[source]


@pytest.mark.parametrize("second", ["below/one.png", "one.tif"])
def test_hints_of_two_pictures_of_one_name_are_refused(second, colorizer, folder) -> None:
    """Its places are pixels of one of them."""
    (folder / "below").mkdir()
    image_io.write(folder / second, GRAY[:50])
    assert run(folder, output=folder / "out").colored == 3
    path = written(folder / "one.hints.json", [GREEN])
    with pytest.raises(ValueError, match=f"{path} would be the hints of both .*one.png and "):
        run(folder, output=folder / "again", hints=str(folder))
    assert run(folder / "one.png", output=folder / "again", hints=str(folder)).colored == 1
