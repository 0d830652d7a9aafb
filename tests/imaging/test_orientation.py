"""Orientation, EXIF data and profiles, against pixels turned by hand and files of Pillow."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.pictures import chunk, noise, saved
from PIL import Image, ImageCms

from residual_encoder.imaging import image_io, image_metadata

STORED = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
# EXIF orientation -> the upright picture, turned by hand from the definition: 6 says that row 0 of
# the file is the right-hand side of the picture, 8 that it is the left-hand side, and so on.
UPRIGHT = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}


def exif(orientation: int, order: str = ">") -> bytes:
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return start + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def with_png_exif(png: bytes, block: bytes) -> bytes:
    return png[:33] + chunk(b"eXIf", block) + png[33:]  # 8 signature + 25 IHDR


def with_jpeg_app1(jpeg: bytes, block: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("order", [">", "<"])
def test_png_orientation(orientation: int, order: str) -> None:
    png = with_png_exif(saved(STORED, "PNG"), exif(orientation, order))
    np.testing.assert_array_equal(image_io.decode(png).pixels, UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_jpeg_orientation(orientation: int) -> None:
    blocks = np.kron(STORED, np.ones((16, 16), np.uint8))  # flat blocks survive JPEG
    jpeg = with_jpeg_app1(saved(blocks, "JPEG", quality=100), b"Exif\0\0" + exif(orientation))
    pixels = image_io.decode(jpeg).pixels[8::16, 8::16].astype(int)
    np.testing.assert_allclose(pixels, UPRIGHT[orientation], atol=1)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_orientation_is_applied_once(orientation: int, dtype: type) -> None:
    buffer = io.BytesIO()
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(buffer, STORED.astype(dtype), photometric="minisblack", extratags=[tag])
    np.testing.assert_array_equal(image_io.decode(buffer.getvalue()).pixels, UPRIGHT[orientation])


def test_alpha_and_color_turn_with_the_picture() -> None:
    rgba = np.stack([STORED, STORED + 1, STORED + 2, 255 - STORED], axis=-1)
    picture = image_io.decode(with_png_exif(saved(rgba, "PNG"), exif(6)))
    upright = np.array(UPRIGHT[6])
    np.testing.assert_array_equal(picture.rgb, np.stack([upright, upright + 1, upright + 2], -1))
    np.testing.assert_array_equal(picture.alpha, 255 - upright)


def test_broken_exif_is_no_reason_to_refuse_a_picture() -> None:
    for block in (exif(6)[:13], exif(99), b"MM\0*\xff\xff\xff\xff", b"junk"):
        png = with_png_exif(saved(STORED, "PNG"), block)
        np.testing.assert_array_equal(image_io.decode(png).pixels, STORED)


# --- EXIF data and profiles -----------------------------------------------------------------------

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]


def photograph(orientation: int, order: str = "MM") -> bytes:
    """EXIF data as a camera writes it: a text, sizes in the inner folder, a thumbnail."""
    data = Image.Exif()
    data.endian = ">" if order == "MM" else "<"
    data[274], data[0x010E] = orientation, "Grandmother"
    data.get_ifd(0x8769).update({0xA002: 16, 0xA003: 48, 0x9003: "1923:05:01 12:00:00"})
    data.get_ifd(1).update({259: 6, 513: 0, 514: 0})  # IFD1 is the thumbnail's
    return data.tobytes()


def read_exif(data: bytes) -> Any:
    return Image.open(io.BytesIO(data)).getexif()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_exif_and_profile_go_along(form: str, orientation: int) -> None:
    source = saved(noise(48, 16, 3), form, exif=photograph(orientation), icc_profile=SRGB)
    picture = image_io.decode(source)
    for suffix in (".jpg", ".png", ".webp"):
        written = image_io.encode(picture.pixels, suffix, picture.metadata)
        exif, inner = read_exif(written), read_exif(written).get_ifd(0x8769)
        assert exif[274] == 1 and exif[0x010E] == "Grandmother"
        assert inner[0x9003] == "1923:05:01 12:00:00"
        assert (inner[0xA002], inner[0xA003]) == ((48, 16) if orientation == 6 else (16, 48))
        assert not exif.get_ifd(1)  # a gray thumbnail would be shown for a colored picture
        assert Image.open(io.BytesIO(written)).info["icc_profile"] == SRGB
        np.testing.assert_array_equal(image_io.decode(written).pixels.shape, picture.pixels.shape)


@pytest.mark.parametrize("order", ["MM", "II"])
def test_upright_changes_orientation_only_where_there_is_no_thumbnail(order: str) -> None:
    block = exif(6, ">" if order == "MM" else "<")
    assert image_metadata.upright(block) == exif(1, ">" if order == "MM" else "<")
    assert image_metadata.upright(exif(1)) == exif(1)


def test_damaged_exif_is_left_out() -> None:
    whole = photograph(6)
    for block in (b"", b"junk", whole[:13], whole[:40], b"MM\0*\xff\xff\xff\xff"):
        assert image_metadata.upright(block) == b""


def test_a_profile_for_gray_is_left_out_of_a_color_file() -> None:
    for form in ("JPEG", "PNG"):
        gray = image_io.decode(saved(noise(8, 8), form, icc_profile=GRAY_PROFILE))
        assert gray.metadata.icc == b""
    assert image_io.decode(saved(noise(8, 8), "JPEG", icc_profile=SRGB)).metadata.icc == SRGB


def test_a_large_profile_goes_into_a_jpeg() -> None:
    profile = SRGB + bytes(100_000)  # more than one segment
    written = image_io.encode(noise(8, 8, 3), ".jpg", image_metadata.Metadata(icc=profile))
    assert Image.open(io.BytesIO(written)).info["icc_profile"] == profile
    by_pillow = saved(noise(8, 8, 3), "JPEG", icc_profile=profile)
    assert image_io.decode(by_pillow).metadata.icc == profile
    too_large = image_metadata.Metadata(icc=SRGB + bytes(17 << 20))
    assert image_io.encode(noise(8, 8, 3), ".jpg") == image_io.encode(
        noise(8, 8, 3), ".jpg", too_large
    )


def test_exif_that_no_jpeg_can_hold_is_left_out() -> None:
    block = photograph(1) + bytes(70_000)  # a PNG may have it
    written = image_io.encode(noise(8, 8, 3), ".jpg", image_metadata.Metadata(exif=block))
    assert Image.open(io.BytesIO(written)).size == (8, 8)
    assert not read_exif(written)
    png = image_io.encode(noise(8, 8, 3), ".png", image_metadata.Metadata(exif=block))
    assert read_exif(png)[0x010E] == "Grandmother"


@pytest.mark.parametrize("suffix", [".bmp", ".tif"])
def test_formats_without_metadata_are_written_all_the_same(
    suffix: str, capfd: pytest.CaptureFixture
) -> None:
    both = image_metadata.Metadata(photograph(1).removeprefix(b"Exif\0\0"), SRGB)
    assert image_io.decode(image_io.encode(noise(8, 8, 3), suffix, both)).has_color
    assert capfd.readouterr().err == ""
