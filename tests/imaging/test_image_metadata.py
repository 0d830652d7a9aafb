"""What a picture's file tells goes along in every format that holds it, read by exiftool."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.metadata import (
    GRAY,
    SOURCE,
    SRGB,
    SUFFIXES,
    check_kept,
    exiftool,
    needs_exiftool,
    scan,
    told,
)
from helpers.pictures import chunk, tiff, with_entries
from helpers.scans import png
from PIL import Image

from residual_encoder.imaging import (
    image_encoding,
    image_io,
    image_metadata,
    image_rows,
    tiff_directory,
    tiff_stream,
)
from residual_encoder.imaging.image_metadata import Metadata
from residual_encoder.imaging.rows import Rows
from residual_encoder.imaging.tiff_directory import Field


def copied(source: Path, target: Path) -> dict:
    """What exiftool reads of a colored copy."""
    picture = image_io.read(source)
    colors = np.stack([picture.pixels, picture.pixels, 255 - picture.pixels], -1)
    metadata = image_metadata.marked(picture.metadata)
    image_io.write(target, colors if picture.pixels.ndim == 2 else picture.pixels, metadata)
    return told(target)


@needs_exiftool
@pytest.mark.parametrize("order", ["MM", "II"])
@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_all_of_it_goes_along(source: str, target: str, order: str, tmp_path: Path) -> None:
    path = scan(tmp_path, source, order)
    check_kept(told(path), copied(path, tmp_path / f"out{target}"), source, target)


@needs_exiftool
@pytest.mark.parametrize("target", SUFFIXES)
def test_the_copy_is_marked_once(target: str, tmp_path: Path) -> None:
    path = scan(tmp_path, ".jpg")
    exiftool("-overwrite_original", "-XMP-iptcExt:DigitalSourceType=print", path)
    exiftool("-overwrite_original", "-Software=Scanner 1.0", "-XMP-tiff:Orientation#=6", path)
    after = copied(path, tmp_path / f"out{target}")
    assert after["XMP-iptcExt:DigitalSourceType"] == SOURCE
    assert after["IFD0:Software"] == "residual-encoder"
    assert after["XMP-tiff:Orientation"] == "Horizontal (normal)"
    again = copied(tmp_path / f"out{target}", tmp_path / f"again{target}")
    assert again["XMP-iptcExt:DigitalSourceType"] == SOURCE
    xmp = image_io.read(tmp_path / f"again{target}").metadata.xmp
    assert xmp.count(b"DigitalSourceType") == 1
    sizes = [(tmp_path / f"{name}{target}").stat().st_size for name in ("out", "again")]
    assert abs(sizes[0] - sizes[1]) < 3000  # nothing is there twice


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_that_tells_nothing_gets_the_mark_only(suffix: str, tmp_path: Path) -> None:
    image_io.write(tmp_path / f"a{suffix}", np.stack([GRAY] * 3, -1))
    assert image_io.read(tmp_path / f"a{suffix}").metadata == image_metadata.NOTHING
    marked = image_metadata.marked(image_metadata.NOTHING)
    image_io.write(tmp_path / f"b{suffix}", np.stack([GRAY] * 3, -1), marked)
    data = (tmp_path / f"b{suffix}").read_bytes()
    written = image_io.decode(data).metadata
    assert SOURCE.encode() in written.xmp and b"residual-encoder\0" in data
    assert written.resolution is None and written.texts == () and written.icc == b""


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("dots", [(600, 600), (1200, 300), (72, 72)])
def test_resolution_for_readers_that_are_not_exiftool(
    suffix: str, dots: tuple[int, int], tmp_path: Path
) -> None:
    Image.fromarray(GRAY).save(tmp_path / f"a{suffix}", dpi=dots)
    picture = image_io.read(tmp_path / f"a{suffix}")
    for other in (".jpg", ".png", ".tif"):
        metadata = image_metadata.marked(picture.metadata)
        image_io.write(tmp_path / f"b{other}", picture.rgb, metadata)
        with Image.open(tmp_path / f"b{other}") as written:
            read = [float(side) for side in written.info["dpi"]]
            np.testing.assert_allclose(read, dots, atol=0.02)


def test_resolution_and_sides_turn_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = 6, 1200, 300, 2
    Image.fromarray(GRAY).save(tmp_path / "a.jpg", exif=exif)
    metadata = image_io.read(tmp_path / "a.jpg").metadata
    np.testing.assert_allclose(metadata.resolution or (), (300 / 25.4, 1200 / 25.4))
    written = Image.open(io.BytesIO(image_io.encode(GRAY, ".tif", metadata)))
    assert written.info["dpi"] == (300, 1200)


def test_resolution_of_a_turned_tiff_turns_too() -> None:
    turned = [(274, "H", 1, 6, True)]
    data = tiff(GRAY, photometric="minisblack", resolution=(1200, 300), extratags=turned)
    metadata = image_io.decode(data).metadata
    np.testing.assert_allclose(metadata.resolution or (), (300 / 25.4, 1200 / 25.4))
    exif = Image.Exif()
    exif.load(metadata.exif)
    assert (exif[282], exif[283]) == (300, 1200)


@pytest.mark.parametrize("dots", [(2**32 - 1, 2**32 - 1), (1, 2**32 - 1)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_resolution_that_no_format_holds_is_left_out(suffix: str, dots: tuple[int, int]) -> None:
    """As damaged headers have them: one of 4 million pixels a millimeter ended the whole folder."""
    across = chunk(b"pHYs", struct.pack(">IIB", *dots, 1))
    picture = image_io.decode(png(GRAY, across))
    assert picture.metadata.resolution is None
    written = image_io.encode(picture.rgb, suffix, image_metadata.marked(picture.metadata))
    assert image_io.decode(written).metadata.resolution is None


@pytest.mark.parametrize("unit", [0, 4, 32_770])
def test_a_wrong_unit_of_resolution_makes_no_tiff_that_is_refused(unit: int) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296], exif[270] = 300, 300, unit, "a street"
    buffer = io.BytesIO()
    Image.fromarray(GRAY).save(buffer, "JPEG", exif=exif)
    metadata = image_metadata.marked(image_io.decode(buffer.getvalue()).metadata)
    written = image_io.decode(image_io.encode(GRAY, ".tif", metadata))
    np.testing.assert_array_equal(written.pixels, GRAY)
    assert b"a street" in written.metadata.exif


def test_a_long_text_does_not_cost_a_jpeg_its_other_metadata() -> None:
    texts = ("Description", "x" * 70_000), ("Author", "Ann")
    metadata = image_metadata.marked(image_metadata.Metadata(texts=texts))
    exif = Image.open(io.BytesIO(image_io.encode(GRAY, ".jpg", metadata))).getexif()
    assert (exif[315], exif[305], 270 in exif) == ("Ann", image_metadata.NAME, False)
    whole = Image.open(io.BytesIO(image_io.encode(GRAY, ".tif", metadata)))
    assert len(whole.getexif()[270]) == 70_000


def test_a_long_comment_is_cut_between_characters() -> None:
    metadata = image_metadata.Metadata(texts=(("Comment", "ä" * 40_000),))
    (comment,) = image_io.decode(image_io.encode(GRAY, ".jpg", metadata)).metadata.texts
    assert comment == ("Comment", "ä" * 32_766)


def test_a_maker_note_stays_where_its_own_offsets_are_right() -> None:
    """It holds places counted from the start of the structure, which nobody else can move."""
    note = bytes(range(64))
    inner = tiff_directory.write(
        (tiff_directory.Field(tiff_directory.MAKER_NOTE, 7, note),), "<", 26
    )
    outer = struct.pack("<HHHIII", 1, tiff_directory.EXIF, 4, 1, 26, 0)
    exif = b"II*\0" + struct.pack("<I", 8) + outer + inner
    place = exif.index(note)
    marked = image_metadata.marked(image_metadata.Metadata(image_metadata.upright(exif)))
    assert marked.exif.index(note) == place and b"residual-encoder" in marked.exif


def test_fields_of_both_byte_orders_and_sizes_are_read_as_they_were_written() -> None:
    below = (tiff_directory.Field(36867, 2, b"1923:05:01 12:00:00\0"),)
    fields = (
        tiff_directory.Field(270, 2, b"three\0"),
        tiff_directory.Field(282, 5, struct.pack(">II", 600, 1)),
        tiff_directory.Field(33432, 2, b"c\0"),
        tiff_directory.Field(tiff_directory.EXIF, 4, fields=below),
    )
    data = tiff_directory.structure(fields, ">")
    assert tiff_directory.read(data) == fields
    other = tiff_directory.structure(tiff_directory.swapped(fields), "<")
    assert tiff_directory.swapped(tiff_directory.read(other)) == fields
    head = b"MM\0+" + struct.pack(">HHQ", 8, 0, 16)
    assert tiff_directory.read(head + tiff_directory.write(fields, ">", 16, big=True)) == fields


def test_a_directory_that_names_itself_ends() -> None:
    loop = b"II*\0" + struct.pack("<IHHHIII", 8, 1, tiff_directory.EXIF, 4, 1, 8, 0)
    assert tiff_directory.read(loop) == ()  # nothing but itself
    title = struct.pack("<HHI4s", 269, 2, 4, b"one\0")
    both = loop[:8] + struct.pack("<H", 2) + title + loop[10:]
    depth, fields = 0, tiff_directory.read(both)
    while fields:
        assert fields[0].data == b"one\0"
        depth, fields = depth + 1, fields[1].fields if len(fields) > 1 else ()
    assert depth == 4


def test_pages_and_pixels_of_a_tiff_with_metadata_are_what_they_were(tmp_path: Path) -> None:
    metadata = image_metadata.marked(image_metadata.Metadata(iptc=b"\x1c\x02\x78\0\x02ab"))
    for pixels in (GRAY, np.stack([GRAY] * 4, -1).astype(np.uint16)):
        image_io.write(tmp_path / "a.tif", pixels, metadata)
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert len(file.pages) == 1 and file.pages[0].tags["Software"].value
            np.testing.assert_array_equal(file.asarray(), pixels)
        assert image_io.read(tmp_path / "a.tif").metadata.iptc == metadata.iptc


# --- pictures in rows -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_rows_are_written_as_the_whole_is(
    suffix: str, dtype: type, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (dtype == np.uint16 and suffix not in (".tif", ".png")) or (channels, suffix) == (4, ".jpg"):
        pytest.skip("the format cannot hold it")
    monkeypatch.setattr(tiff_stream, "_STRIP", 1000)
    pixels = np.random.default_rng(1).integers(0, 200, (48, 61, channels), dtype)
    rows = Rows(pixels.shape, dtype, lambda rows: pixels[rows])
    metadata = image_metadata.marked(image_metadata.Metadata(icc=SRGB, resolution=(20.0, 20.0)))
    image_io.write(tmp_path / f"rows{suffix}", rows, metadata)  # type: ignore[arg-type]
    image_io.write(tmp_path / f"whole{suffix}", pixels, metadata)
    rows_read, whole = (image_io.read(tmp_path / f"{name}{suffix}") for name in ("rows", "whole"))
    np.testing.assert_array_equal(rows_read.pixels, whole.pixels)
    assert rows_read.metadata == whole.metadata


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_rows_are_read_as_the_whole_is(
    suffix: str, orientation: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_rows, "_STRIP", 1000)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.stack([GRAY] * 3, -1)).save(tmp_path / f"a{suffix}", exif=exif)
    whole = image_io.read(tmp_path / f"a{suffix}")
    monkeypatch.setattr(image_io, "IN_MEMORY", 100)
    rows = image_io.read(tmp_path / f"a{suffix}")
    assert isinstance(rows.pixels, Rows) and rows.pixels.shape == whole.pixels.shape
    np.testing.assert_array_equal(np.asarray(rows.pixels), whole.pixels)
    np.testing.assert_array_equal(rows.pixels[40:45], whole.pixels[40:45])
    np.testing.assert_array_equal(rows.pixels[3:9], whole.pixels[3:9])  # back to the top


def test_what_computing_rows_raises_is_raised_and_nothing_is_left(tmp_path: Path) -> None:
    def broken(rows: slice) -> np.ndarray:
        raise ValueError("is a truncated JPEG")

    rows = Rows((48, 61, 3), np.uint8, broken)
    for suffix in (".tif", ".png", ".jpg"):
        with pytest.raises(ValueError, match="is a truncated JPEG"):
            image_io.write(tmp_path / f"a{suffix}", rows)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_maker_note_behind_the_pixels_costs_nothing() -> None:
    """Camera programs write TIFFs so; its place was kept by as many zeros, and a JPEG lost all."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400), np.uint8)
    note = Field(tiff_directory.MAKER_NOTE, 7, b"maker note " * 20)
    date = Field(0x9003, 2, b"1923:05:01 12:00:00\0")
    source = with_entries(
        tiff(pixels, photometric="minisblack", metadata=None),
        Field(tiff_directory.EXIF, 4, fields=(date, note)),
        Field(315, 2, b"Zoe\0"),
    )
    metadata = image_io.decode(source).metadata
    assert len(metadata.exif) < 1000
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        copy = Image.open(io.BytesIO(image_io.encode(pixels, suffix, metadata)))
        assert copy.getexif()[315] == "Zoe"
        assert copy.getexif().get_ifd(0x8769)[0x9003] == "1923:05:01 12:00:00"
        assert copy.getexif().get_ifd(0x8769)[0x927C] == note.data


BIG, MEDIUM = Field(0x927C, 7, bytes(65_500)), Field(0x9286, 7, b"a" * 60_000)


def test_what_is_too_large_for_a_jpeg_goes_by_itself() -> None:
    """The largest entries; not the date and the artist with them."""
    exif = tiff_directory.structure(
        (
            Field(315, 2, b"Zoe\0"),
            Field(tiff_directory.EXIF, 4, fields=(Field(0x9003, 2, b"1923\0"), BIG, MEDIUM)),
            BIG._replace(tag=50_000),
        )
    )
    written = image_io.encode(GRAY, ".jpg", Metadata(exif=exif))
    found = Image.open(io.BytesIO(written)).getexif()
    assert found[315] == "Zoe" and 50_000 not in found
    inner = found.get_ifd(0x8769)
    assert inner[0x9003] == "1923" and inner[0x9286] == MEDIUM.data and 0x927C not in inner
    only = tiff_directory.structure((BIG._replace(data=bytes(70_000)),))
    assert not Image.open(io.BytesIO(image_io.encode(GRAY, ".jpg", Metadata(only)))).getexif()


def test_what_tells_how_samples_lie_stays_behind() -> None:
    """SGI's Matteing made the third color of the copy an alpha."""
    numbers = {32_995: 1, 32_996: 2, 32_997: 1, 32_998: 1}
    more = [Field(tag, 3, struct.pack("<H", value)) for tag, value in numbers.items()]
    source = with_entries(tiff(GRAY, photometric="minisblack"), *more, Field(33_432, 2, b"(c)\0"))
    picture = image_io.decode(source)
    np.testing.assert_array_equal(picture.pixels, GRAY)
    copy = image_io.encode(np.stack([GRAY] * 3, -1), ".tif", picture.metadata)
    tags = tifffile.TiffFile(io.BytesIO(copy)).pages[0].tags  # type: ignore[union-attr]
    assert not numbers.keys() & {tag.code for tag in tags.values()}
    assert tags[33_432].value == "(c)"
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(copy)), np.stack([GRAY] * 3, -1))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_full_disk_is_told_where_rows_are_written(suffix: str, tmp_path: Path) -> None:
    """libvips only tells that writing failed."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    pixels = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    rows = Rows(pixels.shape, pixels.dtype, lambda some: pixels[some])
    with pytest.raises(OSError, match="No space left"):
        image_encoding.save("/dev/full", rows, suffix)
