"""Pictures in and out, against pixels turned by hand and files written by Pillow and tifffile."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.pictures import chunk, noise, saved
from PIL import Image

from residual_encoder.imaging import image_headers, image_io


def exif(orientation: int, order: str = ">") -> bytes:
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return start + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def with_jpeg_app1(jpeg: bytes, block: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


# --- kinds of pictures ----------------------------------------------------------------------------


def test_channels_come_in_rgb_order() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200
    np.testing.assert_array_equal(image_io.decode(saved(red, "PNG")).pixels, red)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_color_and_gray_8_bit(form: str) -> None:
    rgb, gray = noise(5, 7, 3), noise(5, 7)
    color = image_io.decode(saved(rgb, form))
    assert color.has_color and color.depth == 8 and color.alpha is None
    np.testing.assert_array_equal(color.pixels, rgb)
    picture = image_io.decode(saved(gray, form))
    assert not picture.has_color and picture.pixels.shape == (5, 7)
    np.testing.assert_array_equal(picture.pixels, gray)
    np.testing.assert_array_equal(picture.rgb, np.stack([gray] * 3, -1))


def test_gray_with_alpha_stays_gray_with_alpha() -> None:
    rgba = np.concatenate([np.stack([noise(5, 7)] * 3, -1), noise(5, 7, 1)], -1)
    picture = image_io.decode(saved(rgba, "PNG", "LA"))
    assert not picture.has_color
    np.testing.assert_array_equal(picture.pixels, rgba[..., 0])
    np.testing.assert_array_equal(picture.alpha, rgba[..., 3])


def test_gray_stored_as_color_is_gray() -> None:
    gray = noise(5, 7)
    assert not image_io.decode(saved(np.stack([gray] * 3, -1), "PNG")).has_color


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_palette(options: dict) -> None:
    palette = Image.fromarray(noise(5, 7, 3)).quantize(8)
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", **options)
    wanted = np.asarray(Image.open(buffer).convert("RGBA"))
    picture = image_io.decode(buffer.getvalue())
    np.testing.assert_array_equal(picture.rgb, wanted[..., :3])
    if options:
        np.testing.assert_array_equal(picture.alpha, wanted[..., 3])
    assert (picture.alpha is not None) == bool(options)


def test_one_bit() -> None:
    bits = noise(5, 7) > 127
    np.testing.assert_array_equal(image_io.decode(saved(bits, "PNG")).pixels, bits * 255)


def test_cmyk_jpeg() -> None:
    flat = np.zeros((16, 16, 3), np.uint8) + np.array([200, 60, 20], np.uint8)
    picture = image_io.decode(saved(flat, "JPEG", "CMYK", quality=100))
    np.testing.assert_allclose(picture.pixels.astype(int), flat, atol=3)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".TIF"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_round_trip(suffix: str, shape: tuple, dtype: type, tmp_path: Path) -> None:
    pixels = noise(*shape, dtype=dtype)
    image_io.write(tmp_path / f"a{suffix}", pixels)
    picture = image_io.read(tmp_path / f"a{suffix}")
    assert picture.pixels.dtype == dtype and picture.depth == 8 * np.dtype(dtype).itemsize
    np.testing.assert_array_equal(picture.pixels, pixels[..., :3] if len(shape) == 3 else pixels)
    if shape[2:] == (4,):
        np.testing.assert_array_equal(picture.alpha, pixels[..., 3])


def test_16_bit_files_of_others() -> None:
    buffer = io.BytesIO()
    rgb = noise(5, 7, 3, dtype=np.uint16)
    tifffile.imwrite(buffer, rgb, photometric="rgb")
    np.testing.assert_array_equal(image_io.decode(buffer.getvalue()).pixels, rgb)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"Dear reader,\nno picture here", "is text that begins with 'Dear reader, no picture'"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"<html><body>404</body>", "an HTML page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\x01\x02\x03\x04\x80\x81", "the bytes 01 02 03 04 80 81"),
        (b"\x89PNG\r\n\x1a\n IEND", "damaged or truncated"),
    ],
)
def test_what_was_found_instead_of_a_picture(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_io.decode(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files_are_refused_in_silence(
    form: str, share: float, capfd: pytest.CaptureFixture
) -> None:
    data = saved(noise(60, 80, 3), form)
    with pytest.raises(ValueError, match="truncated|no picture"):
        image_io.decode(data[: int(len(data) * share)])
    assert capfd.readouterr().err == ""


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = b"Exif\0\0" + exif(1) + saved(noise(8, 8, 3), "JPEG")
    jpeg = with_jpeg_app1(saved(noise(60, 80, 3), "JPEG"), thumbnail)
    assert image_io.decode(jpeg).pixels.shape == (60, 80, 3)
    with pytest.raises(ValueError, match="truncated JPEG"):
        image_io.decode(jpeg[:-200])


def test_bytes_behind_the_end_of_a_jpeg_are_fine() -> None:
    assert image_io.decode(saved(noise(8, 8, 3), "JPEG") + b"\0" * 5000).pixels.shape == (8, 8, 3)


def _claiming(form: str, width: int, height: int) -> bytes:
    """A small file whose header claims another size."""
    data = bytearray(saved(noise(8, 8, 3), form))
    if form == "PNG":
        data[8:33] = chunk(b"IHDR", struct.pack(">II", width, height) + bytes(data[24:29]))
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif form == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "JPEG"])
def test_too_large_by_the_header(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_io.image_decoding, "pixels", None)  # nothing may be decoded
    with pytest.raises(ValueError, match="60000 x 20000 pixels, 1200 megapixels; at most 200"):
        image_io.decode(_claiming(form, 60_000, 20_000))


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "JPEG", "TIFF", "WEBP"])
def test_the_limit_holds_for_every_format(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise(10, 11, 3), form)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 110)
    assert image_io.decode(data).pixels.shape[:2] == (10, 11)
    monkeypatch.setattr(image_io, "MAX_PIXELS", 109)
    with pytest.raises(ValueError, match="has 11 x 10 pixels"):
        image_io.decode(data)


def test_float_samples_are_refused() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="float32 samples; save it with 8 or 16 bits"):
        image_io.decode(buffer.getvalue())


def test_read_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader")
    with pytest.raises(ValueError, match=r"letter\.jpg is no picture: it is text"):
        image_io.read(path)
    with pytest.raises(FileNotFoundError):
        image_io.read(tmp_path / "absent.jpg")


# --- writing --------------------------------------------------------------------------------------


def test_jpeg_is_written_with_quality_95(tmp_path: Path) -> None:
    image_io.write(tmp_path / "a.jpg", noise(16, 16, 3))
    wanted: Any = Image.open(io.BytesIO(saved(noise(16, 16, 3), "JPEG", quality=95)))
    written: Any = Image.open(tmp_path / "a.jpg")
    assert written.format == "JPEG"
    assert written.quantization == wanted.quantization


def test_others_read_16_bit_tiff(tmp_path: Path) -> None:
    pixels = noise(30, 40, 4, dtype=np.uint16)
    image_io.write(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tiff"), ("BMP", ".bmp")],
)
def test_the_suffix_of_data(form: str, suffix: str) -> None:
    assert image_headers.suffix_of(saved(noise(8, 8, 3), form)) == suffix
    assert image_headers.suffix_of(saved(noise(8, 8, 3), "GIF")) == ".png"


@pytest.mark.parametrize(
    ("suffix", "form", "tolerance"),
    [(".jpeg", "JPEG", 3), (".webp", "WEBP", 6), (".bmp", "BMP", 0), (".PNG", "PNG", 0)],
)
def test_others_read_what_is_written(
    suffix: str, form: str, tolerance: int, tmp_path: Path
) -> None:
    flat = np.zeros((16, 16, 3), np.uint8) + np.array([200, 60, 20], np.uint8)
    image_io.write(tmp_path / f"a{suffix}", flat)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.format == form
        np.testing.assert_allclose(np.asarray(picture).astype(int), flat, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "pixels", "message"),
    [
        ("a.jpg", np.zeros((4, 4, 3), np.uint16), "JPEG holds 8 bits"),
        ("a.webp", np.zeros((4, 4, 3), np.uint16), "WebP holds 8 bits"),
        ("a.jpg", np.zeros((4, 4, 4), np.uint8), "JPEG holds no alpha"),
        ("a.xyz", np.zeros((4, 4, 3), np.uint8), "as .xyz"),
        ("a", np.zeros((4, 4, 3), np.uint8), "a name without suffix"),
        ("a.png", np.zeros((4, 4, 3), np.float32), r"Received float32 \(4, 4, 3\)"),
        ("a.png", np.zeros((1, 4, 4, 3), np.uint8), r"Received uint8 \(1, 4, 4, 3\)"),
        ("a.png", np.zeros((0, 4, 3), np.uint8), r"Received uint8 \(0, 4, 3\)"),
        ("a.webp", np.zeros((1, 17000, 3), np.uint8), "WebP|webp"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(
    name: str, pixels: np.ndarray, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        image_io.write(tmp_path / name, pixels)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"old"}
