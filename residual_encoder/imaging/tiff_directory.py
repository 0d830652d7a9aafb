"""Directories of TIFF structures, which TIFF files, BigTIFF files and EXIF data share."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

TIFF = (b"II*\0", b"MM\0*")
BIG_TIFF = (b"II+\0", b"MM\0+")
SHORT, LONG, LONG8 = 3, 4, 16  # types of TIFF 6.0, section 2, and of BigTIFF
# The same, and supplement 1 of TIFF: types of whole numbers, as `struct` calls them.
_WHOLE = {1: "B", SHORT: "H", LONG: "I", 6: "b", 8: "h", 9: "i", 13: "I"}
_WHOLE |= {LONG8: "Q", 17: "q", 18: "Q"}
# Bytes of one value of a type, and of the numbers that it is made of: a fraction has two.
_BYTES = {2: 1, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8}
_NUMBER = {5: 4, 10: 4}
# Entries that point at a directory: EXIF, GPS and interoperability. EXIF 2.32, 4.6.3.
EXIF, GPS, _INTEROPERABILITY = 0x8769, 0x8825, 0xA005
MAKER_NOTE = 0x927C  # holds offsets of its own, from the start of the structure
_NEAR = 1 << 16  # bytes from there; EXIF data of a JPEG are no longer


class Entry(NamedTuple):
    """Locates one entry of a directory."""

    tag: int
    kind: int  # its type
    value_at: int  # bytes from the start of the data to its value, or to the value's offset
    form: str | None  # how `struct` unpacks the value; None where it is no whole number
    at: int = 0  # bytes from the start of the data to the entry


class Field(NamedTuple):
    """Holds one entry of a directory with its values."""

    tag: int
    kind: int  # its type
    data: bytes = b""  # the values, in the structure's byte order
    fields: tuple[Field, ...] = ()  # of the directory that it points at
    at: int = 0  # where the values must stay; 0 is anywhere


def order(data: bytes) -> str:
    """Returns the byte order of a structure, as `struct` calls it."""
    return "<" if data[:2] == b"II" else ">"


def is_big(data: bytes) -> bool:
    """Returns whether a structure is a BigTIFF, whose places have 64 bits."""
    return data[2:4] in (b"+\0", b"\0+")


def first(data: bytes) -> int:
    """Returns where the first directory begins, in bytes.

    Raises:
      struct.error: the data ends before.
    """
    big = is_big(data)
    (start,) = struct.unpack_from(order(data) + ("Q" if big else "I"), data, 8 if big else 4)
    return start


def chain(data: bytes) -> tuple[list[int], bool]:
    """Finds where the directories of the main chain begin.

    Returns:
      (places, whether the chain leads beyond the end of the data after these).

    Raises:
      struct.error, OverflowError: there is not even a first directory.
    """
    word, place = order(data) + ("Q" if is_big(data) else "I"), first(data)
    found: dict[int, None] = {}
    while place and place not in found:
        try:
            (following,) = struct.unpack_from(word, data, _end(data, place))
        except (struct.error, OverflowError):
            if not found:
                raise
            return list(found), True
        found[place], place = None, following
    return list(found), False


def _end(data: bytes, start: int) -> int:
    """Returns where the entries of the directory that begins at byte `start` end."""
    big = is_big(data)
    (count,) = struct.unpack_from(order(data) + ("Q" if big else "H"), data, start)
    return start + (8 + 20 * count if big else 2 + 12 * count)


def entries(data: bytes, start: int) -> Iterator[Entry]:
    """Yields the entries of the directory that begins at byte `start`.

    Raises:
      struct.error: the directory goes beyond the end of the data; what lies inside came before.
      OverflowError: `start` is beyond any data.
    """
    sign, big = order(data), is_big(data)
    length, at, value = (20, start + 8, 12) if big else (12, start + 2, 8)
    for entry in range(at, _end(data, start), length):
        tag, kind = struct.unpack_from(sign + "HH", data, entry)
        form = _WHOLE.get(kind)
        yield Entry(tag, kind, entry + value, form and sign + form, entry)


def value(data: bytes, entry: Entry) -> int | None:
    """Returns an entry's value, the first if it has several; None where it is no whole number.

    Raises:
      struct.error: the value lies beyond the end of the data.
    """
    return struct.unpack_from(entry.form, data, entry.value_at)[0] if entry.form else None


def _size(kind: int) -> int:
    return struct.calcsize(_WHOLE[kind]) if kind in _WHOLE else _BYTES.get(kind, 0)


def values_at(data: bytes, entry: Entry) -> slice:
    """Locates all values of an entry; empty where they lie beyond the end or have no known type."""
    word, size = ("Q", 8) if is_big(data) else ("I", 4)
    (count,) = struct.unpack_from(order(data) + word, data, entry.value_at - size)
    length, at = count * _size(entry.kind), entry.value_at
    if length > size:
        (at,) = struct.unpack_from(order(data) + word, data, at)
    return slice(at, at + length) if at + length <= len(data) else slice(0, 0)


def read(
    data: bytes, start: int | None = None, depth: int = 3, stay: bool = False
) -> tuple[Field, ...]:
    """Reads a directory, and the EXIF, GPS and interoperability directories below it.

    Entries of unknown types, and those whose values lie beyond the end, are left out. Maker notes,
    or with `stay` all values outside of the directory, keep their place.

    Raises:
      struct.error, OverflowError: the directory itself goes beyond the end.
    """
    found = []
    for entry in entries(data, first(data) if start is None else start):
        place = values_at(data, entry)
        if entry.tag in (EXIF, GPS, _INTEROPERABILITY):
            below = depth and (at := value(data, entry)) and read(data, at, depth - 1)
            if below:
                found.append(Field(entry.tag, LONG, fields=below))
        elif place.stop > place.start:
            outside = place.start != entry.value_at
            fixed = place.start if outside and (stay or entry.tag == MAKER_NOTE) else 0
            found.append(Field(entry.tag, entry.kind, bytes(data[place]), at=fixed))
    return tuple(found)


def whole(field: Field, sign: str) -> tuple[int, ...]:
    """Returns the values of an entry; none where they are no whole numbers."""
    if field.kind not in _WHOLE:
        return ()
    count = len(field.data) // _size(field.kind)
    return struct.unpack(f"{sign}{count}{_WHOLE[field.kind]}", field.data)


def numbers(data: bytes, tags: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Returns all whole values of entries of the first directory, by tag."""
    found: dict[int, tuple[int, ...]] = {}
    for entry in entries(data, first(data)):
        if entry.tag in tags:
            field = Field(entry.tag, entry.kind, bytes(data[values_at(data, entry)]))
            if values := whole(field, order(data)):
                found.setdefault(entry.tag, values)
    return found


def free(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Returns the same values, maker notes too, free to lie anywhere."""
    return tuple(field._replace(fields=free(field.fields), at=0) for field in fields)


def swapped(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Returns the same values in the other byte order, free to lie anywhere."""

    def other(field: Field) -> Field:
        size = _NUMBER.get(field.kind) or _size(field.kind)
        data = np.frombuffer(field.data, f"u{size}").byteswap().tobytes()
        return Field(field.tag, field.kind, data, swapped(field.fields))

    return tuple(map(other, fields))


def write(fields: tuple[Field, ...], sign: str, start: int, big: bool = False) -> bytes:
    """Returns a directory that is to begin at byte `start`, with its values behind it."""
    word, inline, head = ("Q", 8, "Q") if big else ("I", 4, "H")
    table = struct.pack(sign + head, len(fields))
    behind = start + len(table) + len(fields) * (4 + 2 * inline) + inline
    values = b""
    for field in sorted(fields, key=lambda field: field.tag):
        values += bytes((behind + len(values)) % 2)
        place, kind = behind + len(values), field.kind
        count = len(field.data) // _size(kind)
        if field.fields:
            count, block = 1, struct.pack(sign + word, place)
            kind = LONG8 if big else LONG
            values += write(field.fields, sign, place, big)
        elif field.at or len(field.data) > inline:
            block = struct.pack(sign + word, field.at or place)
            values += b"" if field.at else field.data
        else:
            block = field.data
        table += struct.pack(sign + "HH" + word, field.tag, kind, count)
        table += block.ljust(inline, b"\0")
    return table + bytes(inline) + values


def structure(fields: tuple[Field, ...], sign: str = "<") -> bytes:
    """Returns a TIFF structure of one directory.

    A maker note lies where it lay before, but if that was behind a picture's pixels.
    """
    inner = [field for outer in fields for field in outer.fields]
    note = next((field for field in inner if 8 <= field.at < _NEAR), None)
    fields = fields if note else free(fields)
    body = bytes(note.at - 8) + note.data if note else b""
    body += bytes(len(body) % 2)
    head = TIFF[sign == ">"] + struct.pack(sign + "I", 8 + len(body))
    return head + body + write(fields, sign, 8 + len(body))
