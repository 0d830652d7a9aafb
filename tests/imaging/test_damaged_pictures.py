"""Pictures that are turned, cut off or damaged: opened, or refused with the reason."""

from __future__ import annotations

import io
import logging
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.pictures import tiff
from helpers.scans import (
    ALPHA,
    DEEP,
    GRAY,
    check,
)
from PIL import Image

from residual_encoder.imaging import image_io, libvips

imagecodecs = pytest.importorskip("imagecodecs")

# --- turned, and cut off --------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_avif_turned_by_its_box(turns: int) -> None:
    """ISO/IEC 23008-12, 6.5.10: counted in quarters, anticlockwise."""
    data = imagecodecs.avif_encode(np.stack([GRAY] * 3, -1), level=100)
    check(with_box(data, b"irot", bytes([turns])), np.rot90(GRAY, turns), atol=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_avif_mirrored_by_its_box(axis: int) -> None:
    data = imagecodecs.avif_encode(np.stack([GRAY] * 3, -1), level=100)
    check(with_box(data, b"imir", bytes([axis])), np.flip(GRAY, axis), atol=1)


def with_box(avif: bytes, kind: bytes, content: bytes) -> bytes:
    """An AVIF with one more property of its only picture."""
    data, box = bytearray(avif), struct.pack(">I", 8 + len(content)) + kind + content
    ipco, ipma = data.index(b"ipco") - 4, data.index(b"ipma") - 4
    length = int.from_bytes(data[ipco : ipco + 4])
    count, at = 0, ipco + 8
    while at < ipco + length:
        count, at = count + 1, at + int.from_bytes(data[at : at + 4])
    association = bytes([0x80 | (count + 1)])
    ipma_length = int.from_bytes(data[ipma : ipma + 4])
    amount = ipma + 12 + 4 + 2  # one entry: item of 16 bits, then the number of properties
    data[amount] += 1
    data[ipma : ipma + 4] = struct.pack(">I", ipma_length + 1)
    data[ipma + ipma_length : ipma + ipma_length] = association
    data[ipco : ipco + 4] = struct.pack(">I", length + len(box))
    data[ipco + length : ipco + length] = box
    grown = len(box) + 1
    for outer in (b"meta", b"iprp"):
        at = data.index(outer) - 4
        data[at : at + 4] = struct.pack(">I", int.from_bytes(data[at : at + 4]) + grown)
    return moved(data, grown)


def moved(data: bytearray, by: int) -> bytes:
    """Adds to every offset of the box of places; 4 bytes each, without a base."""
    at = data.index(b"iloc")
    version, sizes, base = data[at + 4], data[at + 8], data[at + 9] >> 4
    assert version == 0 and sizes == 0x44
    entries = int.from_bytes(data[at + 10 : at + 12])
    at += 12
    for _ in range(entries):
        at += 4 + base
        extents = int.from_bytes(data[at : at + 2])
        at += 2
        for _ in range(extents):
            place = int.from_bytes(data[at : at + 4]) + by
            data[at : at + 4] = struct.pack(">I", place)
            at += 8
    return bytes(data)


def jpeg(progressive: bool = False, **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=90, progressive=progressive, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_opens(progressive: bool) -> None:
    whole = jpeg(progressive)
    wanted = image_io.decode(whole).pixels
    for cut in (1, 2):
        np.testing.assert_array_equal(image_io.decode(whole[:-cut]).pixels, wanted)
    np.testing.assert_array_equal(image_io.decode(whole[:-2] + bytes(100)).pixels, wanted)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [8, 20, 100, 1000])
def test_a_jpeg_that_lacks_pixels_is_refused(progressive: bool, cut: int) -> None:
    whole = jpeg(progressive)
    for data in (whole[:-cut], whole[:-cut] + b"\xff\xd9"):  # also where something closed it
        with pytest.raises(ValueError, match="is a truncated JPEG.*get the file again"):
            image_io.decode(data)


def test_a_jpeg_with_bytes_between_its_segments_opens_all_the_same() -> None:
    whole = jpeg()
    at = whole.index(b"\xff\xdb")
    odd = whole[:at] + b"\0\0\0" + whole[at:]
    np.testing.assert_array_equal(image_io.decode(odd).pixels, image_io.decode(whole).pixels)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_other_truncated_files_are_refused(share: float) -> None:
    whole = {
        "jp2": imagecodecs.jpeg2k_encode(GRAY, level=0),
        "avif": imagecodecs.avif_encode(GRAY, level=100),
        "pgm": b"P5 61 48 255\n" + GRAY.tobytes(),
        "packed": tiff(DEEP >> 4, photometric="minisblack", bitspersample=12),
        "planes": tiff(np.stack([GRAY, ALPHA]), photometric="minisblack", planarconfig="separate"),
    }
    for data in whole.values():
        with pytest.raises(ValueError, match="damaged or truncated"):
            image_io.decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_by_opencv_is_pillows(mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GRAY).convert(mode, dither=Image.Dither.NONE).save(buffer, "BMP")
    shown = np.asarray(Image.open(buffer).convert("RGB"))
    np.testing.assert_array_equal(image_io.decode(buffer.getvalue()).rgb, shown)


def test_opencv_gives_what_the_header_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    data = imagecodecs.jpeg2k_encode(DEEP >> 4, bitspersample=12, level=0)
    for wrong in (GRAY, np.zeros((4, 4), np.uint16), np.zeros((48, 61, 3), np.uint16)):
        monkeypatch.setattr(cv2, "imdecode", lambda *_, answer=wrong: answer)
        with pytest.raises(ValueError, match="JP2"):
            image_io.decode(data)


def test_threads_do_not_mix_up_what_is_damaged() -> None:
    """libvips keeps the messages of all threads in one place; a truncated JPEG is known by them."""
    whole = jpeg()
    files = [whole, whole[: len(whole) // 2], whole, b"\x89PNG\r\n\x1a\n" + bytes(50)] * 30

    def is_read(data: bytes) -> bool:
        try:
            image_io.decode(data)
        except ValueError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(is_read, files))
    assert found == [True, False, True, False] * 30


def test_the_reason_is_never_that_of_the_file_before() -> None:
    with pytest.raises(ValueError, match="truncated JPEG"):
        image_io.decode(jpeg()[:600])
    with pytest.raises(ValueError, match="damaged or truncated PNG") as error:
        image_io.decode(b"\x89PNG\r\n\x1a\n" + b"xx" * 100)
    assert "JPEG" not in str(error.value)


def test_warnings_of_libvips_run_no_python(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else one that comes while garbage is collected within another ends the program."""
    pyvips = libvips.load()
    done, encoded = cv2.imencode(".jpg", np.full((16, 16), 90, np.uint8))
    jpeg = encoded.tobytes()
    scan = jpeg.rindex(b"\xff\xda")
    caplog.set_level(logging.DEBUG, logger="pyvips")
    picture = pyvips.Image.new_from_buffer(jpeg[:scan] + b"junkjunk" + jpeg[scan:], "")
    assert done and abs(picture.avg() - 90) < 1  # with a warning of 8 bytes before the scan
    del picture
    assert not [record for record in caplog.records if "read gave" in record.message]
    assert capfd.readouterr().err == ""
