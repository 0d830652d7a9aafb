"""Uploaded files: decoded as Pillow decodes them, or refused with a reason."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from residual_encoder.export import image_decoding

LIMIT = 2000  # pixels
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)


@pytest.fixture(scope="module")
def decode() -> Any:
    """In a graph, as in the SavedModel."""
    string = tf.TensorSpec([], tf.string)
    graph = tf.function(lambda data: image_decoding.decode(data, LIMIT), input_signature=[string])

    def decode(data: bytes) -> tuple[np.ndarray, str]:
        rgb, error = graph(tf.constant(data))
        return rgb.numpy(), error.numpy().decode()

    return decode


def encoded(form: str, pixels: np.ndarray = PIXELS, mode: str = "RGB", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **settings)
    return buffer.getvalue()


LOSSLESS = [
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("BMP", "RGB", {}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True}),
]


@pytest.mark.parametrize(("form", "mode", "settings"), LOSSLESS)
def test_lossless_files_to_the_bit(decode: Any, form: str, mode: str, settings: Any) -> None:
    rgb, error = decode(encoded(form, mode=mode, **settings))
    assert error == ""
    np.testing.assert_array_equal(rgb, PIXELS)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_lossy_files_as_pillow_reads_them(decode: Any, form: str, mode: str) -> None:
    if (form, mode) == ("WEBP", "CMYK"):
        return  # there is none
    smooth = np.tile(np.linspace(60, 200, 50, dtype=np.uint8)[None, :, None], (30, 1, 3))
    data = encoded(form, smooth, mode, quality=95)
    rgb, error = decode(data)
    assert error == ""
    there = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(rgb - there).max() <= (0 if form == "JPEG" and mode != "CMYK" else 2)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
def test_the_limit_is_on_pixels(decode: Any, form: str) -> None:
    fits, beyond = (np.zeros((height, 50, 3), np.uint8) for height in (40, 41))
    rgb, error = decode(encoded(form, fits))
    assert rgb.shape == (40, 50, 3) and error == ""
    rgb, error = decode(encoded(form, beyond))
    assert rgb.shape == (0, 0, 3)
    assert error == "too large: 2050 pixels, wanted are at most 2000"


def test_the_limit_is_read_from_headers_alone(decode: Any) -> None:
    """Headers with nothing behind them: to decode them would fail, or take terabytes."""
    side = 1_000_003
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", side, side)
    bmp = b"BM" + bytes(16) + struct.pack("<ii", side, -side)  # negative: from the top down
    large = struct.pack("<I", side - 1)[:3]
    webp = b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + large + large
    for data in (png, bmp, webp):
        assert decode(data)[1] == f"too large: {side * side} pixels, wanted are at most {LIMIT}"
    lossless = (16384 - 1) | (16384 - 1) << 14
    webp = b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", lossless)
    assert decode(webp)[1] == f"too large: {16384**2} pixels, wanted are at most {LIMIT}"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
def test_cut_files_are_broken(decode: Any, form: str) -> None:
    data = encoded(form)
    for length in (12, 21, 27, len(data) // 2):
        rgb, error = decode(data[:length])
        assert rgb.shape == (0, 0, 3) and error == image_decoding.BROKEN, length


def test_other_files_are_no_pictures(decode: Any) -> None:
    for data in (b"", b"\x89", b"Dear reader", encoded("GIF"), encoded("TIFF")):
        rgb, error = decode(data)
        assert rgb.shape == (0, 0, 3) and error == image_decoding.NO_PICTURE


def oriented(orientation: int, endian: str = "<") -> bytes:
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "maker"  # a tag before it
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_orientations_are_pillows(decode: Any, form: str, endian: str) -> None:
    settings = {} if form == "PNG" else {"quality": 95, "lossless": True}
    for orientation in range(1, 9):
        data = encoded(form, exif=oriented(orientation, endian), **settings)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        np.testing.assert_array_equal(decode(data)[0], upright)


def test_exif_data_of_other_programs(decode: Any) -> None:
    """With the mark of JPEG in a WebP; behind the pixels of a PNG."""
    exif, turned = oriented(6), np.rot90(PIXELS, -1)
    webp = encoded("WEBP", lossless=True, exif=oriented(6))
    at = webp.index(b"EXIF")
    length = struct.unpack("<I", webp[at + 4 : at + 8])[0]
    body = webp[at + 8 : at + 8 + length].removeprefix(b"Exif\x00\x00")
    chunk = b"EXIF" + struct.pack("<I", 6 + len(body)) + b"Exif\x00\x00" + body
    chunks = webp[8:at] + chunk + bytes(len(body) % 2)
    np.testing.assert_array_equal(
        decode(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)[0], turned
    )
    png, body = encoded("PNG"), b"eXIf" + exif.removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = png.index(b"IEND") - 4
    np.testing.assert_array_equal(decode(png[:end] + chunk + png[end:])[0], turned)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_senseless_exif_data_is_not_looked_at(decode: Any, form: str) -> None:
    whole = oriented(6)
    start = b"Exif\x00\x00"
    for body in (start, whole[:20], start + b"II*\x00" + b"\xff" * 40, whole[:-8] + b"\xff" * 8):
        data = encoded(form, exif=body)
        rgb, error = decode(data)
        assert error == "" and rgb.shape[2] == 3 and rgb.size == PIXELS.size


def test_lengths_of_chunks_that_lie(decode: Any) -> None:
    """The pixels of the first picture decode; its chunks run past the end, or below zero."""
    for length in (0x7FFFFFFF, 0xFFFFFFFF, 10_000):
        png = encoded("PNG") + struct.pack(">I", length) + b"junk" + bytes(20)
        assert decode(png)[0].shape == PIXELS.shape


def test_gray_stays_at_its_level(decode: Any) -> None:
    """The default transform of TensorFlow shifts the mean by up to 0.8."""
    noise = np.random.default_rng(0).normal(128, 12, (40, 48, 1)).clip(0, 255).astype(np.uint8)
    data = encoded("JPEG", np.repeat(noise, 3, axis=2), "L", quality=75)
    there = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data)[0], there)
