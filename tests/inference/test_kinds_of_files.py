"""What a format has no place for, pipes, the archive, and files without a clear name."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from helpers.batches import load_once  # noqa: F401
from helpers.several import collection, color, document, gray, save, shown
from PIL import Image

from residual_encoder.imaging import animations, heif, image_io
from residual_encoder.inference import pages
from residual_encoder.inference.colorizer import Colorizer


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, saturation=0.3)  # no color is so strong that gray is cut off


# --- what a format has no place for ---------------------------------------------------------------


def test_what_jpeg_cannot_hold_is_told_and_counted(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(number) for number in range(5)])
    save(folder / "c.png", [gray(number) for number in range(2)])
    summary, rows = color(tmp_path, folder, format="jpeg")
    assert summary == (3, {}, 0) and summary.not_colored == 2 + 4 + 1
    assert [rows[name]["not_colored"] for name in ("a.tif", "b.gif", "c.png")] == [2, 4, 1]
    assert (rows["a.tif"]["pages"], rows["b.gif"]["frames"]) == (1, 1)
    errors = capfd.readouterr().err
    assert "a.tif: pages 2 to 3 were not colored: JPEG holds a single picture" in errors
    assert "b.gif: frames 2 to 5 were not colored: JPEG holds" in errors
    assert "c.png: frame 2 was not colored: JPEG holds" in errors
    assert "--format=tiff keeps all" in errors and "--format=png or webp keeps all" in errors
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        np.testing.assert_allclose(
            image_io.read(tmp_path / "out" / name).pixels, colorizer.colorize(gray()), atol=12
        )


def test_an_animation_into_tiff_and_pages_into_png(tmp_path: Path) -> None:
    gif = save(tmp_path / "a.gif", [gray(number) for number in range(3)])
    assert color(tmp_path, gif, format="tiff")[1]["a.gif"]["not_colored"] == 2
    assert (
        color(tmp_path, document(tmp_path / "b.tif"), format="png")[1]["b.tif"]["not_colored"] == 2
    )


# --- pipes, Python, the archive -------------------------------------------------------------------


def test_the_command_as_a_filter(tmp_path: Path, soft_weights: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for sides in ((48, 64), (30, 40), (20, 31)):
            file.write(gray(0, *sides), metadata=None)
    data = (tmp_path / "a.tif").read_bytes()
    command = [sys.executable, str(ROOT / "tools" / "colorize.py"), "-", "--output=-"]
    done = subprocess.run([*command, f"--model={soft_weights}"], input=data, capture_output=True)
    assert done.returncode == 0
    with tifffile.TiffFile(io.BytesIO(done.stdout)) as file:
        assert [page.shape for page in file.pages] == [(48, 64, 3), (30, 40, 3), (20, 31, 3)]


def test_the_command_counts(tmp_path: Path, soft_weights: Path) -> None:
    save(tmp_path / "in" / "a.gif", [gray(number) for number in range(5)])
    command = [sys.executable, str(ROOT / "tools" / "colorize.py"), str(tmp_path / "in")]
    options = [f"--output={tmp_path / 'out'}", "--format=jpeg", f"--model={soft_weights}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0
    assert (
        "1 colored, 0 failed" in done.stdout
        and "4 pages, frames or further pictures not colored" in done.stdout
    )


def test_colorize_file_colors_all(tmp_path: Path, colorizer: Colorizer) -> None:
    source, target = document(tmp_path / "a.tif"), tmp_path / "b.tif"
    with pytest.warns(UserWarning, match="1 SubIFD"):
        colorizer.colorize_file(source, target, saturation=0)
    with tifffile.TiffFile(target) as file:
        assert len(file.pages) == 3
        assert all(np.ptp(page.asarray(), axis=-1).max() == 0 for page in file.pages)
    gif, target = (
        save(tmp_path / "c.gif", [gray(number) for number in range(3)]),
        tmp_path / "d.webp",
    )
    with pytest.warns(UserWarning, match="3 frames, written as an animated WebP"):
        colorizer.colorize_file(gif, target, saturation=0)
    for pixels, _ in shown(target):
        assert np.ptp(pixels[..., :3], axis=-1).max() <= 2
    with pytest.warns(UserWarning, match="frames 2 to 3 were not colored"):
        colorizer.colorize_file(gif, tmp_path / "e.jpg")


def test_the_archive_writes_the_same(tmp_path: Path, colorizer: Colorizer) -> None:
    from residual_encoder.apps.archive import worker
    from residual_encoder.apps.archive.tasks import Task

    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(number) for number in range(5)])
    color(tmp_path, folder)
    for name, facts in (("a.tif", {"pages": 3}), ("b.gif.png", {"frames": 5})):
        source = folder / name.removesuffix(".png")
        target = tmp_path / "archive" / name
        row = json.loads(worker.color(colorizer, Task(str(source), str(target), name=str(source))))
        assert row["output"] == str(target) and facts.items() <= row.items()
        assert target.read_bytes() == (tmp_path / "out" / name).read_bytes()
        assert row["notes"]


# --- names and kinds ------------------------------------------------------------------------------


def test_pictures_are_known_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(gray()).save(folder / "photo.jpg")
    (folder / "photo.jpg").rename(folder / "photo.jfif")
    Image.fromarray(gray()).save(folder / "scan.tif")
    (folder / "scan.tif").rename(folder / "scan0001")
    save(folder / "moving.gif", [gray(number) for number in range(3)])
    (folder / "moving.gif").rename(folder / "moving")
    (folder / "README").write_text("no picture")
    (folder / "Makefile").write_text("all:\n")
    summary, rows = color(tmp_path, folder)
    assert summary == (3, {}, 0)
    assert sorted(rows) == ["moving", "photo.jfif", "scan0001"]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "moving.png", "photo.jfif.jpg", "scan0001.tiff"
    ]  # fmt: skip
    formats = [Image.open(path).format for path in sorted(out.iterdir())]
    assert formats == ["PNG", "JPEG", "TIFF"]
    assert len(list(shown(out / "moving.png"))) == 3


def test_heic_is_read(tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture) -> None:
    package = pytest.importorskip("pillow_heif")
    (tmp_path / "in").mkdir()
    picture = package.from_bytes("L", (64, 48), gray().tobytes())
    picture.save(tmp_path / "in" / "photo.HEIC", quality=-1)
    summary, rows = color(tmp_path, tmp_path / "in")
    assert summary == (1, {}, 0) and "HEIC" in rows["photo.HEIC"]["notes"][0]
    written = image_io.read(tmp_path / "out" / "photo.HEIC.png").pixels
    np.testing.assert_array_equal(written, colorizer.colorize(gray()))
    assert "photo.HEIC: HEIC is read only" in capfd.readouterr().err


def test_without_the_package_heic_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(heif, "available", lambda: False)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.heic", "b.HEIC", "c.heif"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match=r"3 HEIC files cannot be read here: pip install"):
        color(tmp_path, folder)
    Image.fromarray(gray()).save(folder / "d.png")
    (folder / "e.png").write_bytes(b"broken")
    summary, rows = color(tmp_path, folder)
    assert (summary.colored, len(summary.failed), len(summary.left_out)) == (1, 1, 3)
    assert all("pip install pillow-heif" in rows[name]["left_out"] for name in ("a.heic", "c.heif"))
    assert capfd.readouterr().err.startswith("3 HEIC files cannot be read here: pip install")
    named, rows = color(tmp_path, folder / "a.heic")  # it was asked for: that is a failure
    assert len(named.failed) == 1 and "pip install" in rows["a.heic"]["error"]


def test_other_kinds_are_left_out_with_a_line_and_a_row(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "raw.nef", gray(), metadata=None)  # begins like a TIFF
    for name in ("a.psd", "b.psd", "c.jxl"):
        (folder / name).write_bytes(b"...")
    Image.fromarray(gray()).save(folder / "d.png")
    summary, rows = color(tmp_path, folder)
    assert summary == (1, {}, 0) and len(summary.left_out) == 4
    assert sorted(name for name, row in rows.items() if row["left_out"]) == [
        "a.psd", "b.psd", "c.jxl", "raw.nef"
    ]  # fmt: skip
    assert "cannot be read" in capfd.readouterr().err


def test_animations_and_documents_are_told_apart(tmp_path: Path) -> None:
    gif = save(tmp_path / "a.gif", [gray(number) for number in range(3)])
    assert isinstance(pages.inspect(gif), animations.Animation)
    assert isinstance(pages.inspect(document(tmp_path / "b.tif")), pages.Document)
    for data in (b"", b"II*\0", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0\xff\xff\xff\xff"):
        (tmp_path / "c").write_bytes(data)
        try:
            assert pages.inspect(tmp_path / "c") is None
        except ValueError as error:
            assert str(tmp_path / "c") in str(error)


# --- collections of HEIC and AVIF -----------------------------------------------------------------


def test_of_a_collection_the_main_picture_is_colored_and_the_others_are_counted(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    from residual_encoder.apps.archive import worker
    from residual_encoder.apps.archive.tasks import Task

    source = collection(tmp_path / "in" / "burst.heic")
    summary, rows = color(tmp_path, source)
    told = "the main picture was colored; 2 others were not: save them as files of their own"
    assert summary == (1, {}, 0) and summary.not_colored == rows["burst.heic"]["not_colored"] == 2
    assert told in rows["burst.heic"]["notes"] and f"burst.heic: {told}" in capfd.readouterr().err
    written = tmp_path / "out" / "burst.heic.png"
    np.testing.assert_array_equal(image_io.read(written).pixels, colorizer.colorize(gray()))
    with pytest.warns(UserWarning, match=told):
        colorizer.colorize_file(source, tmp_path / "b.png")
    row = json.loads(worker.color(colorizer, Task(str(source), str(tmp_path / "c.png"))))
    assert (row["not_colored"], row["notes"]) == (2, [told])


def test_hints_are_for_the_main_picture_of_a_collection(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    source, target = collection(tmp_path / "in" / "burst.heic"), tmp_path / "b.png"
    hint = {"x": 10, "y": 20, "rgb": [200, 30, 40]}
    with pytest.warns(UserWarning, match="2 others"):
        colorizer.colorize_file(source, target, hints=[hint])
    wanted = colorizer.colorize(gray(), hints=[hint])
    np.testing.assert_array_equal(image_io.read(target).pixels, wanted)


def test_avif_collections_are_told_and_auxiliary_images_are_no_pictures(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    import pyvips

    pages = [pyvips.Image.new_from_array(gray() // part).cast("uchar") for part in (1, 2)]
    rolled = pyvips.Image.arrayjoin(pages, across=1).copy(interpretation="b-w")
    rolled.set_type(pyvips.GValue.gint_type, "page-height", 48)
    rolled.heifsave(str(tmp_path / "two.avif"), compression="av1", lossless=True)
    _, rows = color(tmp_path, tmp_path / "two.avif")
    assert rows["two.avif"]["not_colored"] == 1
    assert "1 other picture of the file was not" in rows["two.avif"]["notes"][0]
    package = pytest.importorskip("pillow_heif")
    pixels = np.dstack([np.kron(gray(), np.ones((8, 8), np.uint8))] * 4)
    one = package.from_bytes("RGBA", pixels.shape[1::-1], pixels.tobytes())  # alpha is auxiliary
    one.save(tmp_path / "one.heic", quality=90, thumbnails=[128])
    Image.fromarray(pixels).save(tmp_path / "one.avif")
    for name in ("one.heic", "one.avif"):
        assert image_io.read(tmp_path / name).others == 0
