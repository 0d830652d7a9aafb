"""What a picture file says besides its pixels: TIFF tags, EXIF data and color profiles."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# TIFF 6.0 tags; EXIF borrows the last. The others are EXIF 2.32, 4.6.3 and 4.6.5.
WIDTH, HEIGHT, PHOTOMETRIC, ORIENTATION = 256, 257, 262, 274
CMYK = 5  # of PHOTOMETRIC
_EXIF_FOLDER, _PIXELS_X, _PIXELS_Y = 0x8769, 0xA002, 0xA003
JPEG_EXIF = 65_527  # bytes; a segment's 65,535 without its length and "Exif\0\0"
_ICC_PART = 65_519  # bytes; a segment's 65,535 without its length, name and numbers
_FORMS = {3: "H", 4: "I"}  # SHORT, LONG


@dataclass(frozen=True)
class Metadata:
    """What goes from a picture to its colored copy.

    Attributes:
      exif: A TIFF structure without "Exif" before it, orientation 1; empty where there is none.
      icc: A color profile for RGB; empty where there is none.
    """

    exif: bytes = b""
    icc: bytes = b""


NOTHING = Metadata()


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _entries(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """(tag, where its 12 bytes are) of one directory."""
    order = _order(data)
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", data, entry)
        yield tag, entry


def _form(data: bytes, entry: int) -> str | None:
    """How the number of an entry is packed; None where it is no short or long."""
    order = _order(data)
    form = _FORMS.get(struct.unpack_from(order + "H", data, entry + 2)[0])
    return form and order + form


def tags(data: bytes) -> dict[int, int]:
    """Short and long values of a TIFF structure's first directory, by tag; as far as it goes."""
    found: dict[int, int] = {}
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(_order(data) + "I", data, 4)
        for tag, entry in _entries(data, start):
            if form := _form(data, entry):
                (found[tag],) = struct.unpack_from(form, data, entry + 8)
    return found


def upright(exif: bytes) -> bytes:
    """EXIF data for a picture that has been turned upright.

    Orientation becomes 1, width and height change places where the picture was turned by a
    quarter, and the thumbnail, which is gray and perhaps lies on its side, is no longer named.

    Returns:
      As many bytes; none where the data is damaged.
    """
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return b""
    data, turned = bytearray(exif), tags(exif).get(ORIENTATION, 1) in (5, 6, 7, 8)
    try:
        (start,) = struct.unpack_from(_order(exif) + "I", exif, 4)
        places = dict(_entries(exif, start))
        form = _form(exif, places[ORIENTATION]) if ORIENTATION in places else None
        if form:
            struct.pack_into(form, data, places[ORIENTATION] + 8, 1)
        struct.pack_into("I", data, start + 2 + 12 * len(places), 0)  # no next directory
        if turned and _EXIF_FOLDER in places:
            _swap_sides(data, tags(exif)[_EXIF_FOLDER])
    except (struct.error, KeyError):
        return b""
    return bytes(data)


def _swap_sides(data: bytearray, folder: int) -> None:
    places = dict(_entries(bytes(data), folder))
    if _PIXELS_X in places and _PIXELS_Y in places:
        x, y = places[_PIXELS_X] + 2, places[_PIXELS_Y] + 2  # type, count and value
        data[x : x + 10], data[y : y + 10] = data[y : y + 10], data[x : x + 10]


def with_jpeg_profile(jpeg: bytes, icc: bytes) -> bytes:
    """A JPEG with a color profile of any size up to 16 MB; a larger one is left out.

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
    """The profile if it is one for RGB, else nothing: a gray one does not fit a color file."""
    return icc if icc[16:20] == b"RGB " else b""  # ICC.1:2022, 7.2.8: data color space
