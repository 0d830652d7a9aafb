"""What gray and alpha of a file mean: profiles, gamma, transfer functions, white is zero."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.pictures import chunk, tiff
from helpers.scans import (
    ALPHA,
    DEEP,
    GRAY,
    PROFILES,
    alpha_of,
    check,
    png,
    srgb,
)
from PIL import Image, ImageCms

from residual_encoder.imaging import image_io

imagecodecs = pytest.importorskip("imagecodecs")

# --- what gray means ------------------------------------------------------------------------------


def through(profile: bytes, pixels: np.ndarray = GRAY) -> np.ndarray:
    """The pixels as Pillow shows them on an sRGB screen."""
    source, screen = io.BytesIO(profile), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, screen, "L", "RGB", renderingIntent=1)
    shown = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert shown is not None
    return np.asarray(shown)[..., 1].astype(float)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_gray_profiles_at_8_bits(name: str, form: str) -> None:
    buffer, options = io.BytesIO(), {"quality": 100} if form == "JPEG" else {}
    Image.fromarray(GRAY).save(buffer, form, icc_profile=PROFILES[name], **options)
    wanted = through(PROFILES[name])
    assert np.abs(wanted - GRAY).max() > 1.5 or name == "gamma 2.2"  # there is something to do
    check(buffer.getvalue(), wanted)
    assert image_io.decode(buffer.getvalue()).metadata.icc == b""  # sRGB now


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("layout", ["plain", "white", "alpha", "12 bits", "planes"])
def test_gray_profiles_at_16_bits(name: str, layout: str) -> None:
    options: dict = {"photometric": "minisblack", "iccprofile": PROFILES[name]}
    pixels, wanted = DEEP, through(PROFILES[name])
    if layout == "white":
        options["photometric"], wanted = "miniswhite", through(PROFILES[name], 255 - GRAY)
    if layout in ("alpha", "planes"):
        pixels = np.stack([DEEP, ALPHA.astype(np.uint16) * 257], -1 if layout == "alpha" else 0)
        options["extrasamples"] = ["unassalpha"]
        options["planarconfig"] = "contig" if layout == "alpha" else "separate"
    if layout == "12 bits":
        pixels, options["bitspersample"] = DEEP >> 4, 12
    data = tiff(pixels, **options)
    check(data, wanted, depth=16)
    if layout in ("alpha", "planes"):
        np.testing.assert_array_equal(alpha_of(data), ALPHA)  # no profile is for alpha


def test_gray_profile_of_a_jpeg_2000() -> None:
    profile = PROFILES["gamma 1.8"]
    data = imagecodecs.jpeg2k_encode(GRAY, level=0)
    at = data.index(b"colr") - 4
    length = int.from_bytes(data[at : at + 4])
    box = struct.pack(">I", 11 + len(profile)) + b"colr\x02\0\0" + profile
    head = data.index(b"jp2h") - 4
    longer = int.from_bytes(data[head : head + 4]) - length + len(box)
    whole = (
        data[:head] + struct.pack(">I", longer) + data[head + 4 : at] + box + data[at + length :]
    )
    check(whole, through(profile))


def test_a_damaged_profile_is_no_reason_to_refuse_a_picture() -> None:
    for profile in (PROFILES["linear"][:130], PROFILES["linear"][:20] + bytes(200)):
        buffer = io.BytesIO()
        Image.fromarray(GRAY).save(buffer, "TIFF", icc_profile=profile)
        check(buffer.getvalue(), GRAY, atol=0)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.7, 2.0])
@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
def test_gamma_of_png(gamma: float, pixels: np.ndarray) -> None:
    stored = struct.pack(">I", round(100_000 * gamma))
    wanted = srgb((GRAY / 255) ** (1 / gamma))
    check(png(pixels, chunk(b"gAMA", stored)), wanted, depth=8 * pixels.itemsize, atol=0.51)
    check(png(pixels, chunk(b"sRGB", b"\0"), chunk(b"gAMA", stored)), atol=0)  # sRGB counts


def test_the_gamma_that_srgb_files_have_changes_nothing() -> None:
    check(png(GRAY, chunk(b"gAMA", struct.pack(">I", 45_455))), atol=0)


def test_cicp_of_png() -> None:
    def tagged(transfer: int) -> bytes:
        gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
        return png(DEEP, gamma, chunk(b"cICP", bytes([1, transfer, 0, 1])))

    check(tagged(8), srgb(GRAY / 255), atol=0.51)
    check(tagged(4), srgb((GRAY / 255) ** 2.2), atol=0.51)
    check(tagged(13), atol=0)
    for hdr in (16, 18):
        with pytest.raises(ValueError, match="is an HDR picture .* convert it to sRGB first"):
            image_io.decode(tagged(hdr))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
def test_transfer_functions_of_tiff(photometric: str, pixels: np.ndarray) -> None:
    count = 256 if pixels.itemsize == 1 else 65536
    table = np.rint(np.linspace(0, 1, count) ** 1.5 * 65535).astype(int)
    extra = [(301, "H", count, table.tolist(), True)]
    data = tiff(pixels, photometric=photometric, extratags=extra)
    check(data, srgb(table[pixels] / 65535), atol=0.51)


@pytest.mark.parametrize("pixels", [GRAY, DEEP, GRAY > 120], ids=["8", "16", "1"])
@pytest.mark.parametrize("layout", [{}, {"tile": (32, 16)}, {"compression": "deflate"}])
def test_white_is_zero(pixels: np.ndarray, layout: dict) -> None:
    wanted = 255.0 - (255 * pixels if pixels.dtype == bool else GRAY)
    check(tiff(pixels, photometric="miniswhite", **layout), wanted, atol=0)


# --- alpha ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_of_tiff(pixels: np.ndarray, color: bool, kind: str) -> None:
    peak = np.iinfo(pixels.dtype).max
    alpha = ALPHA.astype(pixels.dtype) * (257 if pixels.itemsize == 2 else 1)
    stored = pixels if kind == "unassalpha" else np.rint(pixels * (alpha / peak))
    channels = [stored.astype(pixels.dtype)] * (3 if color else 1) + [alpha]
    photometric = "rgb" if color else "minisblack"
    options: dict = {"photometric": photometric, "planarconfig": "contig"}
    data = tiff(np.stack(channels, -1), extrasamples=[kind], **options)
    check(data, depth=8 * pixels.itemsize, atol=5 if peak == 255 and kind == "assocalpha" else 0.1)
    np.testing.assert_array_equal(alpha_of(data), ALPHA)


def test_an_infrared_channel_is_no_alpha() -> None:
    options: dict = {"photometric": "rgb", "planarconfig": "contig"}
    infrared = tiff(np.stack([GRAY] * 3 + [ALPHA], -1), extrasamples=["unspecified"], **options)
    check(infrared, atol=0)
    assert image_io.decode(infrared).alpha is None
    both = tiff(
        np.stack([GRAY] * 3 + [ALPHA, GRAY], -1),
        extrasamples=["unassalpha", "unspecified"],
        **options,
    )
    np.testing.assert_array_equal(alpha_of(both), ALPHA)


def test_gray_with_alpha_of_pillow() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.stack([GRAY, ALPHA], -1)).save(buffer, "TIFF")
    np.testing.assert_array_equal(alpha_of(buffer.getvalue()), ALPHA)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgba_is_written_with_its_meaning(dtype: type, tmp_path: Path) -> None:
    pixels = np.stack([GRAY, GRAY, GRAY, ALPHA], -1).astype(dtype)
    image_io.write(tmp_path / "a.tif", pixels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].tags["ExtraSamples"].value in (2, (2,))
        np.testing.assert_array_equal(file.asarray(), pixels)
