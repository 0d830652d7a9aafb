"""What a batch leaves as it is and counts; prints with borders; faded prints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers import prints
from helpers.batches import gray, load_once, rows, run  # noqa: F401
from PIL import Image

from residual_encoder.imaging import borders, image_io
from residual_encoder.inference.batch import BatchConfig
from residual_encoder.inference.colorizer import Colorizer


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights)


# --- pictures in color ----------------------------------------------------------------------------


@pytest.fixture
def shoebox(tmp_path: Path) -> Path:
    """A folder with color, tints, gray, and what is not read."""
    folder = tmp_path / "shoebox"
    gray(folder / "gray.png")
    for name in ("astronaut", "flower"):
        image_io.write(folder / f"{name}.jpg", prints.photographs()[name])
    for tint in ("sepia", "cyanotype", "yellowed"):
        image_io.write(folder / f"{tint}.jpg", prints.u8(prints.TINTS[tint](prints.gray("china"))))
    (folder / "phone.jxl").write_bytes(b"\xff\n")
    (folder / "IMG_1.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0")
    (folder / "scan.001").write_bytes((folder / "gray.png").read_bytes())
    (folder / "noname").write_bytes((folder / "sepia.jpg").read_bytes())
    (folder / "old.jfif").write_bytes((folder / "sepia.jpg").read_bytes())
    (folder / "notes.txt").write_text("BMW and P5 are no pictures")
    (folder / "READ ME").write_text("Dear reader")
    return folder


def test_color_is_left_as_it_is_and_tints_are_colored(
    shoebox: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    report, output = tmp_path / "report.jsonl", tmp_path / "out"
    summary = run(shoebox, output=output, report=str(report), color_inputs="skip")
    assert summary == (6, {}, 0)
    assert sorted(path.name for path in output.iterdir()) == [
        "cyanotype.jpg", "gray.png", "noname.jpg", "old.jfif.jpg", "sepia.jpg", "yellowed.jpg",
    ]  # fmt: skip
    reasons = {path.name: why for path, why in summary.left_out.items()}
    assert reasons["astronaut.jpg"] == reasons["flower.jpg"] == "in color already"
    assert reasons["phone.jxl"].startswith("JPEG XL picture cannot be read")
    assert reasons["IMG_1.CR2"].startswith("camera raw file cannot be read")
    assert "the name of another kind of file, .001," in reasons["scan.001"]
    assert len(reasons) == 5
    assert summary.others == Counter({".txt": 1, "no suffix": 1})
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == len(reasons) and sum("is in color already" in line for line in lines) == 2
    found = rows(report)
    assert {name: row["left_out"] for name, row in found.items() if row["left_out"]} == reasons
    assert all(found[name]["output"] is None and found[name]["error"] is None for name in reasons)
    assert len(found) == 11


def test_color_is_colored_anew_where_that_is_asked(shoebox: Path, tmp_path: Path) -> None:
    summary = run(shoebox / "astronaut.jpg", output=tmp_path / "out", color_inputs="recolor")
    assert summary == (1, {}, 0) and not summary.left_out
    assert (tmp_path / "out" / "astronaut.jpg").exists()


def test_reasons_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    for number in range(9):
        (tmp_path / f"{number}.jxl").touch()
        (tmp_path / f"{number}.psd").touch()
    gray(tmp_path / "a.png")
    summary = run(tmp_path, output=tmp_path / "out")
    assert summary == (1, {}, 0) and len(summary.left_out) == 18
    first, second = sorted(capfd.readouterr().err.splitlines())
    assert first.startswith("9 JPEG XL pictures cannot be read")
    assert second.startswith("9 Photoshop documents cannot be read")


def test_wrong_choice() -> None:
    with pytest.raises(ValueError, match="color_inputs is one of skip, recolor. Received 'ask'"):
        BatchConfig(("a",), "out", color_inputs="ask")


# --- prints ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tone", [255, 4])
def test_a_border_is_not_seen_by_the_network(colorizer: Colorizer, tone: int) -> None:
    inner = prints.u8(prints.gray("coffee"))
    scan = prints.framed(inner, tone, (40, 30, 50, 60))
    colored = colorizer.colorize(scan)
    inside = colored[40:-30, 50:-60]
    np.testing.assert_array_equal(inside, colorizer.colorize(inner))
    outside = np.ones(scan.shape, bool)
    outside[40:-30, 50:-60] = False
    np.testing.assert_array_equal(colored[outside], np.stack([scan[outside]] * 3, -1))


def test_a_border_keeps_depth_and_alpha(colorizer: Colorizer) -> None:
    inner = prints.u8(prints.gray("china")).astype(np.uint16) * 257
    scan = prints.framed(inner, 0, (30, 30, 30, 30))
    alpha = np.arange(scan.size, dtype=np.uint16).reshape(scan.shape)
    picture = image_io.Picture(scan, alpha)
    colored = colorizer.colorize(picture)
    assert colored.dtype == np.uint16 and colored.shape == (*scan.shape, 4)
    np.testing.assert_array_equal(colored[..., 3], alpha)
    assert np.all(colored[:30, :, :3] == 0)
    np.testing.assert_array_equal(colored[30:-30, 30:-30, :3], colorizer.colorize(inner))


def test_a_tinted_border_becomes_gray(colorizer: Colorizer) -> None:
    inner = prints.TINTS["sepia"](prints.gray("chelsea"))
    scan = prints.u8(prints.framed(inner, (236, 222, 190), (25, 25, 25, 25)))
    assert borders.print_area(image_io.as_picture(scan))[0] == 25
    edge = colorizer.colorize(scan)[:20].astype(int)
    assert np.ptp(edge, axis=-1).max() <= 1


def test_levels_are_in_the_output(soft_weights: Path) -> None:
    stretching = Colorizer(soft_weights, levels=True)
    plain = Colorizer(soft_weights)
    faded = prints.u8(80 + 0.35 * prints.gray("astronaut"))
    colored = stretching.colorize(faded)
    luma = Image.fromarray(colored).convert("L")
    low, high = np.quantile(np.asarray(luma), [0.02, 0.98])
    assert low < 30 and high > 215
    before = np.asarray(Image.fromarray(plain.colorize(faded)).convert("L"))
    assert np.abs(before.astype(int) - faded).max() <= 3  # without it the gray is the picture's own
    yellowed = prints.u8(prints.TINTS["faded"](prints.gray("astronaut")))
    tinted = np.asarray(Image.fromarray(stretching.colorize(yellowed)).convert("L"))
    assert np.quantile(tinted, 0.02) < 30 and np.quantile(tinted, 0.98) > 215


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_megapixels": float("inf")}, "max_megapixels must be above 0"),
        ({"max_megapixels": float("nan")}, "max_megapixels must be above 0"),
        ({"max_megapixels": -1.0}, "max_megapixels must be above 0"),
        ({"saturation": 1e300}, "saturation must be 0 or more, and at most 100"),
    ],
)
def test_senseless_numbers_are_refused(settings: dict, words: str) -> None:
    """Before the network is loaded."""
    with pytest.raises(ValueError, match=words):
        BatchConfig(("a.png",), "out", **settings)
    assert BatchConfig(("a.png",), "out", max_megapixels=0.5).max_pixels == 500_000
