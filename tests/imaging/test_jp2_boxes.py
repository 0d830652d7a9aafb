"""Metadata of JPEG 2000 files, in boxes made by hand and by exiftool."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers.metadata import GRAY, exiftool, needs_exiftool, told
from PIL import Image

from residual_encoder.imaging import image_io, image_metadata, jp2_boxes, tiff_directory
from residual_encoder.imaging.tiff_directory import Field


def jp2_with(data: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """A JP2 file with more boxes in front of its codestream."""
    at = data.index(b"jp2c") - 4
    more = b"".join(struct.pack(">I4s", 8 + len(block), name) + block for name, block in boxes)
    return data[:at] + more + data[at:]


def test_metadata_of_a_jpeg_2000_go_along() -> None:
    """In boxes as ITU-T T.800, XMP's specification, part 3, and exiftool have them."""
    date = Field(0x9003, 2, b"1923:05:01 12:00:00\0")
    exif = tiff_directory.structure((Field(tiff_directory.EXIF, 4, fields=(date,)),))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="r">City</r:RDF></x:xmpmeta>'
    source = jp2_with(
        imagecodecs.jpeg2k_encode(GRAY, level=0),
        (b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + xmp),
        (b"uuid", b"JpgTiffExif->JP2" + exif),
        (b"uuid", bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38") + b"\x1c\x02\x5a\0\1K"),
        (b"uuid", bytes(16) + b"of somebody else"),
    )
    # 600 and 300 dots an inch are 23,622 and 11,811 a meter: 11811 / 1 * 10^0 down, 23622 across.
    resc = struct.pack(">HHHHbb", 11811, 1, 23622, 1, 0, 0)
    inner = struct.pack(">I4s", 8 + len(resc), b"resc") + resc
    outer = struct.pack(">I4s", 8 + len(inner), b"res ") + inner
    at = source.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", source, at)
    source = (
        b"".join(
            (
                source[:at],
                struct.pack(">I", length + len(outer)),
                source[at + 4 : at + length],
                outer,
            )
        )
        + source[at + length :]
    )
    picture = image_io.decode(source)
    np.testing.assert_array_equal(picture.pixels, GRAY)
    assert picture.metadata.xmp == xmp and picture.metadata.iptc == b"\x1c\x02\x5a\0\1K"
    assert picture.metadata.resolution == pytest.approx((600 / 25.4, 300 / 25.4), rel=1e-4)
    copy = Image.open(io.BytesIO(image_io.encode(GRAY, ".png", picture.metadata)))
    assert copy.getexif().get_ifd(0x8769)[0x9003] == "1923:05:01 12:00:00"
    assert copy.info["dpi"] == pytest.approx((600, 300), abs=0.1)


@needs_exiftool
def test_metadata_that_exiftool_writes_into_a_jpeg_2000_go_along(tmp_path: Path) -> None:
    source = tmp_path / "a.jp2"
    source.write_bytes(imagecodecs.jpeg2k_encode(GRAY, level=0))
    tags = {"EXIF:Artist": "Zoe", "XMP-photoshop:City": "Berlin", "IPTC:City": "Berlin"}
    exiftool("-overwrite_original", *(f"-{tag}={value}" for tag, value in tags.items()), source)
    picture, target = image_io.read(source), tmp_path / "out.tif"
    image_io.write(target, picture.rgb, image_metadata.marked(picture.metadata))
    found = told(target)
    assert found["IFD0:Artist"] == "Zoe"
    assert found["XMP-photoshop:City"] == found["IPTC:City"] == "Berlin"


@pytest.mark.parametrize("length", [*range(0, 100, 7), 2, 8, 12])
def test_boxes_that_are_cut_off_hold_nothing(length: int) -> None:
    data = jp2_with(imagecodecs.jpeg2k_encode(GRAY, level=0), (b"uuid", b"JpgTiffExif->JP2" + b"a"))
    assert jp2_boxes.blobs(data[:length]) == {} and jp2_boxes.resolution(data[:length]) is None
    assert jp2_boxes.blobs(data[: data.index(b"jp2c")]) == {"exif-data": b"a"}
    endless = data[:12] + struct.pack(">I4s", 1, b"uuid") + bytes(7)
    assert jp2_boxes.blobs(endless) == {}


def test_boxes_without_contents_are_passed_over() -> None:
    """libvips' data are never empty: a profile and EXIF data without a byte ended all."""
    source = jp2_with(imagecodecs.jpeg2k_encode(GRAY, level=0), (b"uuid", b"JpgTiffExif->JP2"))
    outer = source.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", source, outer)
    second = struct.pack(">I4s3s", 11, b"colr", b"\2\0\0")
    inside = source[outer + 4 : outer + length] + second
    source = source[:outer] + struct.pack(">I", length + 11) + inside + source[outer + length :]
    picture = image_io.decode(source)
    np.testing.assert_array_equal(picture.pixels, GRAY)
    assert picture.metadata.exif == picture.metadata.icc == b""
