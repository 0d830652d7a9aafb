"""Pictures above the limit of memory are read, searched and stretched in rows, as the whole is."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import prints
from helpers.pictures import tiff
from PIL import Image

from residual_encoder.imaging import borders, image_io, image_rows, levels, rows, tiff_stream
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows

GRAY = np.random.default_rng(0).integers(60, 200, (48, 61), np.uint8)
DEEP = GRAY.astype(np.uint16) * 257
PLANES = np.stack([GRAY, GRAY // 2, 255 - GRAY])
SEPARATE: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate"}
GRAYS: dict[str, Any] = {"photometric": "minisblack"}


@pytest.fixture
def in_rows(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Makes every picture one that is too large, in blocks of a few rows."""
    monkeypatch.setattr(image_io, "IN_MEMORY", 100)
    for module, name in ((image_rows, "_STRIP"), (tiff_stream, "_STRIP"), (rows, "BLOCK")):
        monkeypatch.setattr(module, name, 700)
    return monkeypatch


TURNED = [(274, "H", 1, 6, True)]
ALPHA: dict[str, Any] = {"planarconfig": "separate", "extrasamples": ["unassalpha"]}
LAYOUTS = {
    "strips": tiff(PLANES, **SEPARATE, rowsperstrip=7),
    "tiles": tiff(PLANES, **SEPARATE, tile=(16, 32)),
    "deep tiles": tiff(PLANES.astype(np.uint16) * 257, **SEPARATE, tile=(16, 32)),
    "big tiles": tiff(PLANES, **SEPARATE, tile=(16, 32), bigtiff=True, byteorder=">"),
    "turned tiles": tiff(PLANES, **SEPARATE, tile=(16, 32), extratags=TURNED),
    "gray and alpha": tiff(np.stack([GRAY, 255 - GRAY]), **GRAYS, **ALPHA),
    "color and alpha": tiff(np.stack([*PLANES, GRAY]), photometric="rgb", **ALPHA, tile=(16, 16)),
    "12 bits": tiff(DEEP >> 4, **GRAYS, bitspersample=12, rowsperstrip=5),
    "white is zero": tiff(DEEP >> 4, photometric="miniswhite", bitspersample=12),
    "turned 10 bits": tiff(DEEP >> 6, **GRAYS, bitspersample=10, extratags=TURNED),
    "planes of 9 bits": tiff(PLANES.astype(np.uint16) << 1, **SEPARATE, bitspersample=9),
    "one strip": tiff(np.stack([GRAY] * 3, -1), photometric="rgb", compression="lzw"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read_as_the_whole_is(name: str, in_rows: pytest.MonkeyPatch) -> None:
    picture = image_io.decode(LAYOUTS[name])
    assert isinstance(picture.pixels, Rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_io, "IN_MEMORY", 10**6)
        whole = image_io.decode(LAYOUTS[name])
    np.testing.assert_array_equal(np.asarray(picture.pixels), whole.pixels)
    np.testing.assert_array_equal(picture.pixels[30:33], whole.pixels[30:33])
    assert (picture.alpha is None) == (whole.alpha is None)
    if whole.alpha is not None:
        np.testing.assert_array_equal(np.asarray(picture.alpha), whole.alpha)


@pytest.mark.parametrize("most", [100, 10**6], ids=["rows", "whole"])
@pytest.mark.parametrize("name", ["strips", "tiles", "turned tiles", "12 bits", "turned 10 bits"])
def test_truncated_ones_are_refused(name: str, most: int, in_rows: pytest.MonkeyPatch) -> None:
    in_rows.setattr(image_io, "IN_MEMORY", most)
    with pytest.raises(ValueError, match="damaged or truncated TIFF"):
        np.asarray(image_io.decode(LAYOUTS[name][:-900]).pixels)


def test_formats_without_rows_are_refused_with_a_way_out(in_rows: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(np.stack([GRAY] * 3, -1))
    for form, options, words in (
        ("JPEG", {"progressive": True}, "a progressive JPEG is decoded as a whole"),
        ("WebP", {}, "WEBP is decoded as a whole"),
        ("GIF", {}, "GIF is decoded as a whole"),
        ("BMP", {}, "BMP is decoded as a whole"),
        ("PPM", {}, "PNM is decoded as a whole"),
    ):
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        with pytest.raises(ValueError, match=f"{words}.*save it as TIFF first"):
            image_io.decode(buffer.getvalue())


def test_an_interlaced_png_is_refused(in_rows: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(GRAY).cast("uchar")
    with pytest.raises(ValueError, match="an interlaced PNG is decoded as a whole"):
        image_io.decode(image.pngsave_buffer(interlace=True))


def test_files_are_read_as_their_bytes_are(in_rows: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Large files are not read into memory before."""
    in_rows.setattr(image_io, "_LARGE_FILE", 100)
    for name in ("tiles", "turned tiles", "12 bits", "one strip"):
        (tmp_path / "a.tif").write_bytes(LAYOUTS[name])
        rows, wanted = image_io.read(tmp_path / "a.tif"), image_io.decode(LAYOUTS[name])
        np.testing.assert_array_equal(np.asarray(rows.pixels), np.asarray(wanted.pixels))


def test_measurements_of_many_samples_are_refused() -> None:
    """Each would take the memory of a picture."""
    with pytest.raises(ValueError, match="has 40 samples a pixel; save it as gray or RGB"):
        many = np.zeros((8, 8, 40), np.uint8)
        image_io.decode(tiff(many, photometric="minisblack", planarconfig="contig"))


# --- borders and levels ---------------------------------------------------------------------------


def as_rows(pixels: np.ndarray) -> Picture:
    taken = Rows(pixels.shape, pixels.dtype, lambda rows: pixels[rows])
    return Picture(taken)  # type: ignore[arg-type]


@pytest.mark.parametrize("sides", [(60, 40, 30, 50), (0, 0, 70, 70), (90, 0, 0, 0), (0, 0, 0, 0)])
@pytest.mark.parametrize("level", [255, 235, 4])
def test_borders_are_those_of_the_whole(sides: tuple[int, ...], level: int) -> None:
    """Larger than the copy that is searched, so that ends are found at full size."""
    inside = np.tile(np.clip(prints.u8(prints.gray("china")), 40, 200), (3, 3))[:900, :1100]
    pixels = np.pad(inside, (sides[:2], sides[2:]), constant_values=level)
    found = borders.print_area(Picture(pixels))
    assert borders.print_area(as_rows(pixels)) == found
    if all(sides) or not any(sides):
        top, bottom, left, right = sides
        assert found == (top, pixels.shape[0] - bottom, left, pixels.shape[1] - right)


def test_a_part_of_rows_and_what_is_pasted() -> None:
    color = np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8)
    box = Box(7, 41, 3, 38)
    inside = borders.cropped(as_rows(color), box).pixels
    np.testing.assert_array_equal(np.asarray(inside), color[7:41, 3:38])
    whole = as_rows(np.zeros_like(color)).pixels
    pasted = borders.pasted(inside, box, whole)
    wanted = np.zeros_like(color)
    wanted[7:41, 3:38] = color[7:41, 3:38]
    for part in (slice(0, 50), slice(0, 7), slice(5, 9), slice(39, 50), slice(45, 50)):
        np.testing.assert_array_equal(pasted[part], wanted[part])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_those_of_the_whole(dtype: type, in_rows: pytest.MonkeyPatch) -> None:
    faded = np.random.default_rng(0).integers(90, 160, (80, 70)) * (1, 257)[dtype == np.uint16]
    faded = faded.astype(dtype)
    box = Box(5, 75, 10, 60)
    whole = levels.stretched(Picture(faded), box).pixels
    large = levels.stretched(as_rows(faded), box).pixels
    assert isinstance(large, Rows) and int(whole.min()) == 0
    np.testing.assert_array_equal(np.asarray(large), whole)


def beside(picture: Picture) -> Any:
    return rows.mapped(lambda *parts: np.concatenate(parts, axis=1), *[picture.pixels] * 2)


def within_a_border(picture: Picture) -> Any:
    box = Box(0, 48, 5, 50)
    inside = rows.mapped(lambda part: part // 2 + 100, borders.cropped(picture, box).pixels)
    return borders.pasted(inside, box, picture.pixels)


@pytest.mark.parametrize("joined", [beside, within_a_border])
def test_parts_of_one_file_take_turns_in_it(joined: Any, in_rows: pytest.MonkeyPatch) -> None:
    """Each beginning anew takes memory that libvips keeps: a pair of 100 megapixels took 1.6 GB."""
    in_rows.setattr(rows, "STEP", 700, raising=False)
    opened, own = [], image_rows.Opened
    in_rows.setattr(image_rows, "Opened", lambda *file: opened.append(file) or own(*file))
    pair = joined(image_io.decode(LAYOUTS["tiles"]))
    opened.clear()
    for top in range(0, 48, 12):  # as a writer takes them
        assert pair[top : top + 12].shape == (12, *pair.shape[1:])
    assert len(opened) <= 1


def test_no_rows_are_an_array_too() -> None:
    some = Rows((9, 4, 3), np.uint16, lambda rows: np.zeros((rows.stop - rows.start, 4, 3)))
    assert some[5:5].shape == (0, 4, 3) and some[5:2].dtype == np.uint16


@pytest.mark.parametrize("name", [b"sch\xf6n.tif", b"a[n=1].tif"])
def test_large_files_of_any_name(name: bytes, tmp_path: Path, monkeypatch) -> None:
    """Old archives have names in Latin-1; libvips has options in brackets behind names."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    source, target = (tmp_path / os.fsdecode(prefix + name) for prefix in (b"", b"out"))
    try:
        source.write_bytes(tiff(pixels, photometric="minisblack"))
    except OSError:
        pytest.skip("the disk takes UTF-8 only")
    monkeypatch.setattr(image_io, "_LARGE_FILE", 10)
    np.testing.assert_array_equal(image_io.read(source).pixels, pixels)
    monkeypatch.setattr(image_io, "IN_MEMORY", 10)
    read = image_io.read(source).pixels
    assert isinstance(read, Rows)
    image_io.write(target, rows.mapped(lambda some: np.dstack([some] * 3), read))
    monkeypatch.undo()
    np.testing.assert_array_equal(image_io.read(target).pixels, pixels)
