"""Directories of TIFF structures, which TIFF files, BigTIFF files and EXIF data share."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

TIFF = (b"II*\0", b"MM\0*")
BIG_TIFF = (b"II+\0", b"MM\0+")
SHORT, LONG = 3, 4  # types of TIFF 6.0, section 2
# The same section, and BigTIFF: types of whole numbers, as `struct` calls them.
_WHOLE = {1: "B", SHORT: "H", LONG: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}


class Entry(NamedTuple):
    """Locates one entry of a directory."""

    tag: int
    kind: int  # its type
    value_at: int  # bytes from the start of the data to its value, or to the value's offset
    form: str | None  # how `struct` unpacks the value; None where it is no whole number


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def first(data: bytes) -> int:
    """Returns where the first directory begins, in bytes.

    Raises:
      struct.error: the data ends before.
    """
    big = data[2:4] in (b"+\0", b"\0+")
    (start,) = struct.unpack_from(_order(data) + ("Q" if big else "I"), data, 8 if big else 4)
    return start


def entries(data: bytes, start: int) -> Iterator[Entry]:
    """Yields the entries of the directory that begins at byte `start`.

    Raises:
      struct.error: the directory goes beyond the end of the data; what lies inside came before.
      OverflowError: `start` is beyond any data.
    """
    order, big = _order(data), data[2:4] in (b"+\0", b"\0+")
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    length, at, value = (20, start + 8, 12) if big else (12, start + 2, 8)
    for entry in range(at, at + length * count, length):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        form = _WHOLE.get(kind)
        yield Entry(tag, kind, entry + value, form and order + form)


def value(data: bytes, entry: Entry) -> int | None:
    """Returns an entry's value, the first if it has several; None where it is no whole number.

    Raises:
      struct.error: the value lies beyond the end of the data.
    """
    return struct.unpack_from(entry.form, data, entry.value_at)[0] if entry.form else None
