"""Files of several pictures: every page and frame is colored, or a line tells which are not."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.batches import load_once  # noqa: F401
from helpers.several import PROFILE, color, document, gray, luma, save, with_hole
from PIL import Image

from residual_encoder.imaging import image_io, tiff_pages
from residual_encoder.inference import batch, pages
from residual_encoder.inference.colorizer import Colorizer


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, saturation=0.3)  # no color is so strong that gray is cut off


# --- pages of a TIFF ------------------------------------------------------------------------------


def test_all_pages_are_colored(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    summary, rows = color(tmp_path, document(tmp_path / "in" / "letter.tif"))
    assert summary == (1, {}, 0) and summary.not_colored == 0
    assert (rows["letter.tif"]["pages"], rows["letter.tif"]["error"]) == (3, None)
    assert (rows["letter.tif"]["height"], rows["letter.tif"]["width"]) == (48, 64)
    wanted = [gray(0), gray(1, 30, 40, np.uint16), gray(2, 20, 31)]
    with tifffile.TiffFile(tmp_path / "out" / "letter.tif") as file:
        assert [page.description for page in file.pages] == ["recto", "verso", "a note"]
        for page, shades, dpi in zip(file.pages, wanted, (300, 600, 1200), strict=True):
            pixels = page.asarray()
            assert pixels.dtype == shades.dtype and page.photometric == 2
            np.testing.assert_array_equal(pixels, colorizer.colorize(shades))
            step = 1 if shades.dtype == np.uint8 else 257
            assert np.abs(luma(pixels) - shades).max() <= 2 * step
            assert page.tags["XResolution"].value == page.tags["YResolution"].value == (dpi, 1)
            assert page.tags["ResolutionUnit"].value == 2
            assert not page.is_reduced and not page.subifds
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        "letter.tif: left out, since it is no page: 1 SubIFD, 1 reduced-resolution picture" in line
    )
    assert rows["letter.tif"]["notes"] == [line.split("letter.tif: ")[1]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["letter.tif"]


def test_pages_with_alpha_and_turned_pages(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tiff"
    with tifffile.TiffWriter(path) as file:
        file.write(with_hole(1), photometric="rgb", extrasamples=["unassalpha"], metadata=None)
        file.write(gray(2), extratags=[(274, 3, 1, 6, True)], resolution=(600, 300), metadata=None)
    color(tmp_path, path)
    with Image.open(tmp_path / "out" / "a.tiff") as after:
        assert after.n_frames == 2
        np.testing.assert_array_equal(np.asarray(after)[..., 3], with_hole(1)[..., 3])
        after.seek(1)
        np.testing.assert_array_equal(np.asarray(after), colorizer.colorize(np.rot90(gray(2), -1)))
        assert after.info["dpi"] == (300, 600)


def test_profile_exif_and_the_mark_of_every_page(tmp_path: Path) -> None:
    """Each page has its own; all are marked as made by an algorithm."""
    singles = []
    for number, artist in enumerate(("Ansel", "Dorothea")):
        exif = Image.Exif()
        exif[315], exif[0x8769] = artist, {0x9003: f"193{number}:05:01 12:00:00"}
        singles.append(tmp_path / f"{number}.tif")
        Image.fromarray(np.dstack([gray(number)] * 3)).save(
            singles[-1], exif=exif.tobytes(), icc_profile=PROFILE, dpi=(300 + number, 300 + number)
        )
    path = tmp_path / "a.tif"
    with path.open("wb") as file:
        joiner = tiff_pages.Joiner(file, 2, 0)
        for single in singles:
            joiner.add(single, single, tiff_pages.inspect(single).pages[0])
    color(tmp_path, path)
    with Image.open(tmp_path / "out" / "a.tif") as after:
        for number, artist in enumerate(("Ansel", "Dorothea")):
            after.seek(number)
            exif = after.getexif()
            assert exif[315] == artist
            assert exif.get_ifd(0x8769)[0x9003] == f"193{number}:05:01 12:00:00"
            assert after.info["icc_profile"] == PROFILE
            assert round(after.info["dpi"][0]) == 300 + number
            assert b"trainedAlgorithmic" in after.tag_v2[700] or "residual" in exif[305].lower()


def test_metadata_of_animations_go_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[315] = "Ansel"
    for name in ("a.png", "b.webp"):
        source = save(
            tmp_path / name, [np.dstack([gray(number)] * 3) for number in range(3)],
            exif=exif.tobytes(), icc_profile=PROFILE,
        )  # fmt: skip
        color(tmp_path, source)
        with Image.open(tmp_path / "out" / name) as after:
            assert after.n_frames == 3
            assert after.getexif()[315] == "Ansel"
            assert after.info["icc_profile"] == PROFILE
            assert "residual" in after.getexif()[305].lower()


def test_big_endian_pages_of_one_bit_and_in_color(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tif"
    rgb = np.dstack([gray(0), gray(1), gray(2)])
    with tifffile.TiffWriter(path, byteorder=">") as file:
        file.write(gray() > 128, photometric="minisblack", metadata=None)
        file.write(rgb, photometric="rgb", metadata=None)
        file.write(gray(dtype=np.uint16), metadata=None)
    summary, rows = color(tmp_path, path)
    assert summary.colored == 1 and rows["a.tif"]["pages"] == 3
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        one_bit = np.where(gray() > 128, 255, 0).astype(np.uint8)
        for page, shades in zip(file.pages, (one_bit, rgb, gray(dtype=np.uint16)), strict=True):
            np.testing.assert_array_equal(page.asarray(), colorizer.colorize(shades))


@pytest.mark.parametrize("bit", [False, True])
def test_a_pyramid_is_one_picture(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture, bit: bool
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for level in range(3):
            shades = gray(0, 192 >> level, 256 >> level)
            kind = int(bit and level > 0)
            file.write(shades, tile=(32, 32), subfiletype=kind, metadata=None)
    summary, rows = color(tmp_path, path)
    assert summary.colored == 1 and rows["a.tif"]["pages"] == 1
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert len(file.pages) == 1
        np.testing.assert_array_equal(
            file.pages[0].asarray(), colorizer.colorize(gray(0, 192, 256))
        )
    what = "reduced-resolution pictures" if bit else "pyramid levels"
    assert f"left out, since it is no page: 2 {what}" in capfd.readouterr().err


def test_a_thumbnail_before_the_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(0, 12, 16), subfiletype=1, metadata=None)
        file.write(gray(0), metadata=None)
    color(tmp_path, path)
    written = tifffile.imread(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(written, colorizer.colorize(gray(0)))


def test_one_page_is_an_ordinary_picture(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", gray(), metadata=None)
    assert pages.inspect(tmp_path / "a.tif") is None
    _, rows = color(tmp_path, tmp_path / "a.tif")
    assert rows["a.tif"]["pages"] is None and not rows["a.tif"]["notes"]
    assert not capfd.readouterr().err


def test_a_bad_page_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(), metadata=None)
        file.write(gray().astype(np.float32), metadata=None)
    summary, rows = color(tmp_path, path)
    assert "a.tif has a page 2 that has float32 samples" in summary.failed[path]
    assert rows["a.tif"]["output"] is None
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_holds_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read_so_far, most = tmp_path / "a.tif", list[weakref.ref](), 0
    with tifffile.TiffWriter(path) as file:
        for number in range(6):
            file.write(gray(number), metadata=None)
    read = image_io.read

    class Tracked(np.ndarray):
        """Can be found while it is held."""

    def tracked(name: Path, max_pixels: int | None = None) -> image_io.Picture:
        nonlocal most
        picture = read(name, max_pixels)
        pixels = picture.pixels.view(Tracked)
        read_so_far.append(weakref.ref(pixels))
        most = max(most, sum(pixels() is not None for pixels in read_so_far))
        return image_io.Picture(pixels, picture.alpha, picture.metadata)

    monkeypatch.setattr(image_io, "read", tracked)
    color(tmp_path, path)
    assert most == 1


def test_an_interrupted_run_leaves_nothing_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(n) for n in range(3)])
    original, calls = batch.colorize_to_files, []

    def stopping(*arguments: object) -> list[str]:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "colorize_to_files", stopping)
    with pytest.raises(KeyboardInterrupt):
        color(tmp_path, folder)
    (tmp_path / "report.jsonl").unlink()
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr(batch, "colorize_to_files", original)
    (tmp_path / "out" / "b.gif.png").write_bytes(b"was there")
    summary, _ = color(tmp_path, folder, skip_existing=True)
    assert summary == (1, {}, 1)
    assert (tmp_path / "out" / "b.gif.png").read_bytes() == b"was there"
    assert color(tmp_path, folder, skip_existing=True)[0] == (0, {}, 2)
    assert len(color(tmp_path, folder)[0].failed) == 2  # neither is replaced without overwrite
    assert color(tmp_path, folder, overwrite=True)[0] == (2, {}, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "b.gif.png"]


def test_pages_that_are_to_be_kept(tmp_path: Path, colorizer: Colorizer) -> None:
    """Such as those in color already: they go along; a file of nothing else is not written."""
    rgb, path, target = (
        np.dstack([gray(0), gray(1), gray(2)]),
        tmp_path / "a.tif",
        tmp_path / "b.tif",
    )
    with tifffile.TiffWriter(path) as file:
        file.write(rgb, photometric="rgb", metadata=None)
        file.write(gray(dtype=np.uint16), metadata=None)

    def color_one(picture: image_io.Picture, part: Path, parts: list[Path]) -> list[str]:
        batch.colorize_to_files(colorizer, picture, part, parts)
        return []

    several = pages.inspect(path)
    assert several is not None
    done = pages.colorize_pages(
        colorizer, several, target, [target], color_one, keep=lambda picture: picture.has_color
    )
    assert done.colored == 2 and done.notes == ("page 1: left as it is",)
    with tifffile.TiffFile(target) as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), rgb)
        np.testing.assert_array_equal(
            file.pages[1].asarray(), colorizer.colorize(gray(dtype=np.uint16))
        )
    target.unlink()
    gif = save(tmp_path / "c.gif", [gray(number) for number in range(3)])
    for source in (path, gif):
        several = pages.inspect(source)
        assert several is not None
        done = pages.colorize_pages(
            colorizer, several, target, [target], color_one, keep=lambda _: True
        )
        assert done.colored == 0 and not target.exists()


def test_compare_has_all_pages_too(tmp_path: Path, colorizer: Colorizer) -> None:
    color(tmp_path, document(tmp_path / "a.tif"), compare=True)
    with tifffile.TiffFile(tmp_path / "out" / "a_compare.tif") as file:
        assert [page.shape[:2] for page in file.pages] == [(48, 128), (30, 80), (20, 62)]
        np.testing.assert_array_equal(
            file.pages[2].asarray()[:, 31:], colorizer.colorize(gray(2, 20, 31))
        )
