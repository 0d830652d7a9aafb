"""Samples whose meaning stands in rarely used fields of a header."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
from helpers.pictures import chunk, tiff, with_entries
from helpers.scans import ALPHA, DEEP, GRAY, alpha_of, check, png, srgb
from PIL import Image, ImageCms

from residual_encoder.imaging import image_io
from residual_encoder.imaging.tiff_directory import Field
from residual_encoder.inference.picture_argument import as_picture

RGB = np.stack([GRAY, GRAY[::-1], np.roll(GRAY, 9)], axis=-1)


def patched(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with another value of a tag that holds one SHORT."""
    at = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
    return data[:at] + struct.pack("<H", value) + data[at + 2 :]


# --- BMP of 32 bits -------------------------------------------------------------------------------


def bmp(masks: tuple[int, ...], length: int, fourth: int) -> bytes:
    """A BMP with masks of red, green, blue and perhaps alpha; `fourth` is the byte they leave."""
    words = np.full(GRAY.shape, fourth << 24, np.uint32)
    for channel, mask in enumerate(masks[:3]):
        words |= RGB[..., channel].astype(np.uint32) * np.uint32(mask // 255)
    body = words[::-1].astype("<u4").tobytes()
    head = struct.pack("<IiiHHIIiiII", length, GRAY.shape[1], GRAY.shape[0], 1, 32, 3, *[0] * 5)
    head += struct.pack(f"<{len(masks)}I", *masks)
    head += bytes(max(0, length - len(head)))
    begin = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", begin + len(body), 0, 0, begin) + head + body


BGR = (0xFF0000, 0xFF00, 0xFF)


@pytest.mark.parametrize("length", [40, 56, 108, 124])
def test_a_bmp_whose_fourth_byte_means_nothing_is_opaque(length: int) -> None:
    """As Windows writes them; its zeros would make the colored copy invisible."""
    masks = BGR if length == 40 else (*BGR, 0)
    picture = image_io.decode(bmp(masks, length, 0))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.alpha is None


@pytest.mark.parametrize("colors", [BGR, BGR[::-1]])
def test_a_bmp_whose_fourth_byte_is_alpha_keeps_it(colors: tuple[int, ...]) -> None:
    picture = image_io.decode(bmp((*colors, 0xFF000000), 124, 77))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.alpha is not None and np.all(picture.alpha == 77)


@pytest.mark.parametrize(
    ("masks", "length"), [(BGR[::-1], 40), ((0x3FF00000, 0xFFC00, 0x3FF, 0), 124)]
)
def test_masks_that_are_read_wrong_are_refused(masks: tuple[int, ...], length: int) -> None:
    with pytest.raises(ValueError, match="BMP of a kind that cannot be read.*masks"):
        image_io.decode(bmp(masks, length, 0))


@pytest.mark.parametrize("length", range(16, 60, 4))
def test_a_bmp_that_ends_in_its_header_is_damaged(length: int) -> None:
    with pytest.raises(ValueError, match="damaged or truncated BMP"):
        image_io.decode(bmp(BGR, 40, 0)[:length])


# --- TIFF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("more", [{}, {"compression": "lzw"}, {"tile": (16, 16)}])
def test_lab_of_8_bits(planes: str, more: dict) -> None:
    """TIFF 6.0, section 23: L* from 0 to 255; without color the gray has that lightness."""
    neutral = np.zeros_like(GRAY)
    pixels = np.stack([GRAY, neutral, neutral], axis=-1 if planes == "contig" else 0)
    luminance = ((GRAY / 255 * 100 + 16) / 116) ** 3  # CIE 15; all are above its straight part
    data = tiff(pixels, photometric="cielab", planarconfig=planes, **more)
    picture = image_io.decode(data)
    np.testing.assert_allclose(picture.rgb, np.stack([srgb(luminance)] * 3, -1), atol=1.5)
    assert picture.alpha is None


def test_lab_has_signed_colors_and_alpha() -> None:
    """-60 in a is green, 60 red; -60 in b blue."""
    a = np.where(np.arange(61) < 30, 196, 60).astype(np.uint8)  # 196 is -60
    lab = np.dstack([np.full_like(GRAY, 150), np.broadcast_to(a, GRAY.shape), GRAY * 0, ALPHA])
    data = tiff(lab, photometric="cielab", extrasamples=["unassalpha"])
    red, green, blue = np.moveaxis(image_io.decode(data).pixels.astype(int), -1, 0)
    assert np.all(green[:, :30] > red[:, :30] + 60) and np.all(red[:, 30:] > green[:, 30:] + 60)
    assert np.all(blue < 230)
    np.testing.assert_array_equal(alpha_of(data), ALPHA)


def test_lab_of_16_bits_with_alpha_is_refused() -> None:
    lab = np.dstack([DEEP, DEEP * 0, DEEP * 0, DEEP])
    data = tiff(lab, photometric="cielab", extrasamples=["unassalpha"])
    with pytest.raises(ValueError, match="has CIE Lab colors with alpha; save it as RGB"):
        image_io.decode(data)


@pytest.mark.parametrize("meaning", [9, 10, 32803, 32844, 34892, 999])
def test_samples_of_another_meaning_are_refused(meaning: int) -> None:
    """ICCLab, ITULab, raw sensors', logarithms of light: libvips takes them for RGB."""
    for pixels, kind in ((RGB, "rgb"), (GRAY, "minisblack")):
        data = patched(tiff(pixels, photometric=kind), 262, meaning)
        with pytest.raises(ValueError, match=f"PhotometricInterpretation {meaning}, .* save it as"):
            image_io.decode(data)


@pytest.mark.parametrize("meaning", [0, 1])
def test_several_samples_behind_gray_are_no_alpha(meaning: int) -> None:
    """Which the file does not tell of; a single one mostly is."""
    wanted = RGB[..., 0] if meaning else 255 - RGB[..., 0]
    data = patched(tiff(RGB, photometric="rgb"), 262, meaning)
    check(data, wanted)
    assert image_io.decode(data).alpha is None


@pytest.mark.parametrize(("kind", "is_taken"), [(1, True), (2, False), (3, False), (4, True)])
def test_packed_samples_with_a_sign_are_refused(kind: int, is_taken: bool) -> None:
    """SampleFormat: without a sign, with one, floats, unknown."""
    plain = tiff(DEEP >> 4, photometric="minisblack", bitspersample=12)
    data = with_entries(plain, Field(339, 3, struct.pack("<H", kind)))
    if is_taken:
        check(data, depth=16, atol=0.51)
    else:
        with pytest.raises(ValueError, match="has 12 bits a sample in a layout that cannot be"):
            image_io.decode(data)


def test_color_differences_have_no_alpha() -> None:
    data = patched(tiff(RGB, photometric="rgb"), 262, 6)  # YCbCr without compression
    assert image_io.decode(data).alpha is None


# --- others ---------------------------------------------------------------------------------------


def test_the_profile_of_a_jpeg_2000_goes_along() -> None:
    """Archives' JPEG 2000 files have profiles such as eciRGB, without which grays would shift."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = imagecodecs.jpeg2k_encode(RGB, level=0)
    at, outer = plain.index(b"colr") - 4, plain.index(b"jp2h") - 4
    (length,), (whole,) = (struct.unpack_from(">I", plain, place) for place in (at, outer))
    box = struct.pack(">I", 11 + len(icc)) + b"colr\x02\0\0" + icc
    data = plain[:outer] + struct.pack(">I", whole - length + len(box)) + plain[outer + 4 : at]
    picture = image_io.decode(data + box + plain[at + length :])
    assert picture.metadata.icc == icc
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert image_io.decode(plain).metadata.icc == b""


def test_the_gamma_of_an_image_of_pillow_is_applied() -> None:
    """As it is where the same PNG is given as a file."""
    data = png(GRAY, chunk(b"gAMA", struct.pack(">I", 100_000)))  # linear light
    wanted = srgb(GRAY / 255)
    for given in (data, Image.open(io.BytesIO(data))):
        np.testing.assert_allclose(as_picture(given).pixels, wanted, atol=1)
    marked = png(GRAY, chunk(b"gAMA", struct.pack(">I", 100_000)), chunk(b"sRGB", b"\0"))
    np.testing.assert_array_equal(as_picture(Image.open(io.BytesIO(marked))).pixels, GRAY)
