"""Metadata in the boxes of JPEG 2000 files (ITU-T T.800, annex I), which OpenCV passes over."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Buffer = bytes  # or a map of a file
# The first 16 bytes of boxes named "uuid": of XMP's specification, of IPTC, and EXIF's custom.
_IDENTIFIERS = {
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "xmp-data",
    bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38"): "iptc-data",
    b"JpgTiffExif->JP2": "exif-data",
}
_PROFILES = (2, 3)  # methods of a color specification box that have an ICC profile
_LARGEST = 1 << 24  # bytes of metadata


def _boxes(data: Buffer, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, begin, end) of the contents of boxes, up to the first that is cut off."""
    while at + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if length == 1 and begin + 8 <= end:
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        last = at + length if length else end
        if not begin <= last <= end:
            return
        yield name, begin, last
        at = last


def _found(data: Buffer, *names: bytes) -> tuple[int, int] | None:
    """Locates the contents of the first box of a name inside others; None where there is none."""
    begin, end = 0, len(data)
    for name in names:
        inside = ((low, high) for found, low, high in _boxes(data, begin, end) if found == name)
        if (place := next(inside, None)) is None:
            return None
        begin, end = place
    return begin, end


def blobs(data: Buffer) -> dict[str, bytes]:
    """Returns EXIF, XMP and IPTC data and an ICC profile by libvips' names, those that are there.

    Args:
      data: A JPEG 2000 file; a bare codestream has none of them.
    """
    found: dict[str, bytes] = {}
    for name, begin, end in _boxes(data, 0, len(data)):
        kind = _IDENTIFIERS.get(bytes(data[begin : begin + 16])) if name == b"uuid" else None
        if kind and 16 < end - begin < _LARGEST:  # libvips' blobs are not empty
            found.setdefault(kind, bytes(data[begin + 16 : end]))
    begin, end = _found(data, b"jp2h") or (0, 0)
    for name, low, high in _boxes(data, begin, end):
        if name == b"colr" and 3 < high - low < _LARGEST and data[low] in _PROFILES:
            found.setdefault("icc-profile-data", bytes(data[low + 3 : high]))
    return found


def resolution(data: Buffer) -> tuple[float, float] | None:
    """Returns pixels a millimeter, across and down, of the scan, or else of display; or None."""
    for name in (b"resc", b"resd"):
        begin, end = _found(data, b"jp2h", b"res ", name) or (0, 0)
        if end - begin == 10:
            high, low, wide, narrow, power, other = struct.unpack_from(">HHHHbb", data, begin)
            if low and narrow:
                return wide / narrow * 10.0**other / 1000, high / low * 10.0**power / 1000
    return None
