"""Pages of TIFFs: which there are, and that they survive being taken apart and joined."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from residual_encoder.imaging import tiff_pages


def gray(height: int, width: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype)


def sizes(path: Path) -> list[tuple[int, int]]:
    return [(page.height, page.width) for page in tiff_pages.inspect(path).pages]


def joined(path: Path, target: Path, size: int = 0) -> Path:
    """Takes a TIFF apart and joins all its pages again."""
    pages = tiff_pages.inspect(path).pages
    with target.open("wb") as file:
        joiner = tiff_pages.Joiner(file, len(pages), size)
        for page in pages:
            part = target.with_name("part.tif")
            tiff_pages.extract(path, page, part)
            joiner.add(part, path, page)
    return target


# --- what is a page -------------------------------------------------------------------------------


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_mixed_pages_survive(tmp_path: Path, big: bool, order: str) -> None:
    """Strips and tiles, 1 to 16 bits, gray and color, three compressions; and what is no page."""
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source, bigtiff=big, byteorder=order) as file:
        file.write(gray(40, 50), description="one", resolution=(300, 300), metadata=None)
        file.write(
            gray(64, 80, np.uint16), description="two", resolution=(600, 400), tile=(16, 16),
            compression="zlib", subifds=1, metadata=None,
        )  # fmt: skip
        file.write(gray(32, 40, np.uint16), subfiletype=1, metadata=None)  # in the SubIFD
        file.write(gray(20, 25), subfiletype=1, metadata=None)
        colors = np.stack([gray(33, 21, seed=seed) for seed in range(3)], axis=-1)
        file.write(colors, photometric="rgb", compression="jpeg", metadata=None)
        file.write(gray(9, 17) > 99, photometric="minisblack", metadata=None)
    found = tiff_pages.inspect(source)
    assert sizes(source) == [(40, 50), (64, 80), (33, 21), (9, 17)]
    assert found.left_out == {"reduced-resolution picture": 1, "SubIFD": 1}
    target = joined(source, tmp_path / "joined.tif")
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        pages = [page for page in before.pages if not page.is_reduced]
        assert len(after.pages) == 4 and not after.is_bigtiff
        for number, (old, new) in enumerate(zip(pages, after.pages, strict=True)):
            np.testing.assert_array_equal(new.asarray(), old.asarray())
            assert (new.description, new.dtype) == (old.description, old.dtype)
            assert new.tags["XResolution"].value == old.tags["XResolution"].value
            assert new.tags["PageNumber"].value == (number, 4)
            assert new.subfiletype == 2 and not new.subifds


def test_the_old_subfile_type_tells_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(40, 50), metadata=None)
        file.write(gray(20, 25), extratags=[(255, 3, 1, 2, True)], metadata=None)
        file.write(gray(30, 30), extratags=[(255, 3, 1, 3, True)], metadata=None)  # a page
        file.write(gray(40, 50) > 99, subfiletype=4, photometric="mask", metadata=None)
    assert sizes(path) == [(40, 50), (30, 30)]
    assert tiff_pages.inspect(path).left_out == {"reduced-resolution picture": 1, "mask": 1}


@pytest.mark.parametrize("bit", [False, True])
def test_levels_of_a_pyramid_are_no_pages(tmp_path: Path, bit: bool) -> None:
    """With NewSubfileType and, as slide scanners write it, without; odd sides, steps of 2 and 4."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for number, sides in enumerate([(301, 203), (151, 101), (38, 26)]):
            kind = 1 if bit and number else 0
            file.write(gray(*sides), tile=(16, 16), subfiletype=kind, metadata=None)
    assert sizes(path) == [(301, 203)]
    kind = "reduced-resolution picture" if bit else "pyramid level"
    assert tiff_pages.inspect(path).left_out == {kind: 2}


@pytest.mark.parametrize(
    ("sides", "tiles", "dtype"),
    [
        ((100, 80), True, np.uint8),  # equal
        ((70, 80), True, np.uint8),
        ((50, 40), False, np.uint8),  # half, but strips
        ((50, 40), True, np.uint16),  # half, but deeper
    ],
)
def test_pages_of_tiles_are_pages(
    tmp_path: Path, sides: tuple[int, int], tiles: bool, dtype: type
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(100, 80), tile=(16, 16), metadata=None)
        file.write(gray(*sides, dtype), tile=(16, 16) if tiles else None, metadata=None)
    assert sizes(path) == [(100, 80), sides]


def test_a_thumbnail_before_the_picture_is_no_page(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(10, 12), subfiletype=1, metadata=None)
        file.write(gray(100, 120), metadata=None)
    found = tiff_pages.inspect(path)
    assert sizes(path) == [(100, 120)] and found.pages[0].place != found.first


def test_where_everything_is_reduced_the_first_is_the_page(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(10, 12), subfiletype=1, metadata=None)
    assert sizes(path) == [(10, 12)]


# --- moving ---------------------------------------------------------------------------------------


def test_exif_and_profile_move_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "1936:05:01 12:00:00"}
    exif[0x8825] = {1: "N"}
    picture, source, target = gray(20, 30), tmp_path / "a.tif", tmp_path / "b.tif"
    data = exif.tobytes()
    Image.fromarray(picture).save(source, exif=data, icc_profile=b"a profile")
    (page,) = tiff_pages.inspect(source).pages
    tiff_pages.extract(source, page, tmp_path / "part.tif")
    with target.open("wb") as file:
        joiner = tiff_pages.Joiner(file, 2, 0)
        for _ in range(2):
            joiner.add(tmp_path / "part.tif", source, page)
    with Image.open(target) as after:
        for number in range(2):
            after.seek(number)
            assert after.getexif().get_ifd(0x8769)[0x9003] == "1936:05:01 12:00:00"
            assert after.getexif().get_ifd(0x8825)[1] == "N"
            assert after.info["icc_profile"] == b"a profile"
            np.testing.assert_array_equal(np.asarray(after), picture)


def test_pages_beyond_4_gigabytes_make_a_bigtiff(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.stack([gray(20, 30), gray(20, 30)]), metadata=None)
    target = joined(source, tmp_path / "b.tif", size=5_000_000_000)
    with tifffile.TiffFile(target) as after:
        assert after.is_bigtiff
        np.testing.assert_array_equal(after.asarray(key=[0, 1]), tifffile.imread(source))


def test_a_turned_page_has_its_resolutions_turned(tmp_path: Path) -> None:
    """The joined page is upright, so across and down change places."""
    source, upright = tmp_path / "a.tif", tmp_path / "upright.tif"
    turn = [(274, 3, 1, 6, True)]
    tifffile.imwrite(source, gray(20, 30), resolution=(600, 300), extratags=turn, metadata=None)
    tifffile.imwrite(upright, gray(30, 20), metadata=None)
    (page,) = tiff_pages.inspect(source).pages
    with (tmp_path / "b.tif").open("wb") as file:
        tiff_pages.Joiner(file, 1, 0).add(upright, source, page)
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        tags = after.pages[0].tags
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((300, 1), (600, 1))
        assert "Orientation" not in tags


def test_the_description_comes_in_the_other_order_of_bytes(tmp_path: Path) -> None:
    source, part = tmp_path / "a.tif", tmp_path / "part.tif"
    tifffile.imwrite(
        source, gray(20, 30), byteorder=">", resolution=(602, 301), description="Größe".encode(),
        metadata=None,
    )  # fmt: skip
    tifffile.imwrite(part, gray(20, 30), byteorder="<", metadata=None)
    (page,) = tiff_pages.inspect(source).pages
    with (tmp_path / "b.tif").open("wb") as file:
        tiff_pages.Joiner(file, 1, 0).add(part, source, page)
    with tifffile.TiffFile(tmp_path / "b.tif") as after:
        tags = after.pages[0].tags
        assert tags["YResolution"].value == (301, 1) and tags["ResolutionUnit"].value == 2
        assert tags["ImageDescription"].value in ("Größe", "Größe".encode())


# --- damage ---------------------------------------------------------------------------------------


def test_a_chain_that_leaves_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([gray(20, 30)] * 3), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    data = bytearray(path.read_bytes())
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, len(data) + 100)
    path.write_bytes(data)
    found = tiff_pages.inspect(path)
    assert len(found.pages) == 2
    assert found.left_out == {"directory beyond the end of the file": 1}


def test_a_chain_in_a_circle_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([gray(20, 30)] * 2), metadata=None)
    with tifffile.TiffFile(path) as file:
        first, second = (page.offset for page in file.pages)
    data = bytearray(path.read_bytes())
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, first)
    path.write_bytes(data)
    assert len(tiff_pages.inspect(path).pages) == 2


def test_pixels_that_are_cut_off_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray(20, 30), metadata=None)
    (page,) = tiff_pages.inspect(path).pages
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="its pixels end early"):
        tiff_pages.extract(path, page, tmp_path / "b.tif")


def test_overlapping_strips_do_not_fill_the_disk(tmp_path: Path) -> None:
    """A small file whose thousand strips each are nearly the whole file."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray(1000, 100), rowsperstrip=1, metadata=None)
    with tifffile.TiffFile(path) as file:
        places, lengths = (file.pages[0].tags[tag].valueoffset for tag in (273, 279))
        kinds = [file.pages[0].tags[tag].dtype for tag in (273, 279)]
    data = bytearray(path.read_bytes())
    for number in range(1000):
        struct.pack_into("<I" if kinds[0] == 4 else "<H", data, places + 4 * number, 8 + number)
        step = 4 if kinds[1] == 4 else 2
        struct.pack_into("<I" if step == 4 else "<H", data, lengths + step * number, 60_000)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="strips overlap"):
        tiff_pages.extract(path, tiff_pages.inspect(path).pages[0], tmp_path / "b.tif")
    assert (tmp_path / "b.tif").stat().st_size < 2 * len(data)


def test_random_damage_gives_pages_or_a_reason(tmp_path: Path) -> None:
    path, random = tmp_path / "a.tif", np.random.default_rng(0)
    with tifffile.TiffWriter(path) as file:
        file.write(gray(20, 30), tile=(16, 16), subifds=1, metadata=None)
        file.write(gray(10, 15), subfiletype=1, metadata=None)
        file.write(gray(8, 8, np.uint16), metadata=None)
    whole = path.read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 6):
            data[at] = random.integers(256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)])
        try:
            for page in tiff_pages.inspect(path).pages:
                tiff_pages.extract(path, page, tmp_path / "b.tif")
        except ValueError as error:
            assert str(error).startswith(("is ", "has ", "makes "))


def test_other_files_are_no_tiff(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="is no TIFF"):
        tiff_pages.inspect(tmp_path / "a")
