"""Metadata of picture files: TIFF tags, EXIF data and color profiles."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

from residual_encoder.imaging import tiff_directory
from residual_encoder.imaging.tiff_directory import LONG, SHORT, TIFF

# TIFF 6.0 tags; EXIF borrows the last. The others are EXIF 2.32, 4.6.3 and 4.6.5.
PHOTOMETRIC, ORIENTATION = 262, 274
CMYK = 5  # of PHOTOMETRIC
# Values of ORIENTATION, EXIF 2.32, 4.6.4.A. To turn a picture upright: transpose, then mirror the
# columns, then the rows.
TRANSPOSED, MIRRORED, UPSIDE_DOWN = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
_EXIF_FOLDER, _PIXELS_X, _PIXELS_Y = 0x8769, 0xA002, 0xA003
JPEG_EXIF = 65_527  # bytes; a segment's 65,535 without its length and "Exif\0\0"
_ICC_PART = 65_519  # bytes; a segment's 65,535 without its length, name and numbers


@dataclass(frozen=True)
class Metadata:
    """Holds the metadata copied from a picture to its colored copy.

    Attributes:
      exif: A TIFF structure without "Exif" before it, orientation 1; empty where there is none.
      icc: A color profile for RGB; empty where there is none.
    """

    exif: bytes = b""
    icc: bytes = b""


NOTHING = Metadata()


def tags(data: bytes) -> dict[int, int]:
    """Returns short and long values of a TIFF structure's first directory, by tag.

    Where the directory is cut off, those before the end.
    """
    found: dict[int, int] = {}
    with contextlib.suppress(struct.error, OverflowError):
        for entry in tiff_directory.entries(data, tiff_directory.first(data)):
            if entry.form and entry.kind in (SHORT, LONG):
                (found[entry.tag],) = struct.unpack_from(entry.form, data, entry.value_at)
    return found


def upright(exif: bytes) -> bytes:
    """Adapts EXIF data to a picture that has been turned upright.

    Orientation becomes 1, width and height change places where the picture was turned by a
    quarter, and the thumbnail, which is gray and perhaps lies on its side, is no longer named.

    Returns:
      As many bytes; none where the data is damaged.
    """
    if exif[:4] not in TIFF:
        return b""
    data, turned = bytearray(exif), tags(exif).get(ORIENTATION, 1) in TRANSPOSED
    try:
        start = tiff_directory.first(exif)
        found = list(tiff_directory.entries(exif, start))
        for entry in found:
            if entry.tag == ORIENTATION and entry.form and entry.kind in (SHORT, LONG):
                struct.pack_into(entry.form, data, entry.value_at, 1)
        struct.pack_into("I", data, start + 2 + 12 * len(found), 0)  # no next directory
        if turned and _EXIF_FOLDER in (entry.tag for entry in found):
            _swap_sides(data, tags(exif)[_EXIF_FOLDER])
    except (struct.error, KeyError):
        return b""
    return bytes(data)


def _swap_sides(data: bytearray, folder: int) -> None:
    places = {entry.tag: entry.value_at for entry in tiff_directory.entries(bytes(data), folder)}
    if _PIXELS_X in places and _PIXELS_Y in places:
        x, y = places[_PIXELS_X] - 6, places[_PIXELS_Y] - 6  # from the type, count and value
        data[x : x + 10], data[y : y + 10] = data[y : y + 10], data[x : x + 10]


def with_jpeg_profile(jpeg: bytes, icc: bytes) -> bytes:
    """Adds a color profile of up to 16 MB to a JPEG; a larger one is left out.

    OpenCV writes one segment only, of 64 KB. The layout is ICC.1:2022, B.4.
    """
    parts = [icc[at : at + _ICC_PART] for at in range(0, len(icc), _ICC_PART)]
    if not 0 < len(parts) < 256:
        return jpeg
    segments = b"".join(
        b"\xff\xe2"
        + struct.pack(">H", 16 + len(part))
        + b"ICC_PROFILE\0"
        + bytes([number, len(parts)])
        + part
        for number, part in enumerate(parts, 1)
    )
    at = 2
    while jpeg[at : at + 2] in (b"\xff\xe0", b"\xff\xe1"):  # JFIF and EXIF come first
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return jpeg[:at] + segments + jpeg[at:]


def rgb_profile(icc: bytes) -> bytes:
    """Returns the profile if it is for RGB, else nothing: a gray one does not fit a color file."""
    return icc if icc[16:20] == b"RGB " else b""  # ICC.1:2022, 7.2.8: data color space
