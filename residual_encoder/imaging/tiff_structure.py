"""Reads the directories of TIFF and BigTIFF files that are mapped into memory, as they are stored.

Values stay in their file's order of bytes, so that a directory can be moved into another file.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

# TIFF 6.0, supplement 1 of TIFF (SubIFDs), EXIF 2.32.
SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, DEPTH, SAMPLES = 254, 255, 256, 257, 258, 277
PHOTOMETRIC, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, PAGE_NUMBER = 262, 274, 282, 283, 297
TILE_WIDTH, SUB_DIRECTORIES = 322, 330

SHORT, LONG, LONG8 = 3, 4, 16
# Bytes of a value by its type, and of the numbers in it, which the order of bytes turns around.
SIZES = {1: 1, 2: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
SIZES |= {13: 4, LONG8: 8, 17: 8, 18: 8}
NUMBERS = SIZES | {5: 4, 10: 4}
_WHOLE = {1: "B", SHORT: "H", LONG: "I", 13: "I", LONG8: "Q", 18: "Q"}
_STARTS = {b"II*\0": ("<", False), b"MM\0*": (">", False)}
_STARTS |= {b"II+\0": ("<", True), b"MM\0+": (">", True)}


class Entry(NamedTuple):
    """Holds one entry of a directory, its value in the order of bytes of its file."""

    kind: int  # type of TIFF 6.0
    values: int  # how many
    data: bytes


Directory = dict[int, Entry]  # tag -> entry


class File:
    """Reads the directories of one mapped file; every place is checked before it is used."""

    def __init__(self, data: mmap.mmap) -> None:
        if data[:4] not in _STARTS:
            raise ValueError("is no TIFF")
        self.data = data
        self.order, self.big = _STARTS[data[:4]]

    def _numbers(self, form: str, at: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + form, self.data, at)
        except (struct.error, OverflowError) as error:
            raise ValueError("is a damaged TIFF: a directory lies beyond its end") from error

    def places(self) -> tuple[list[int], bool]:
        """Finds where the directories of the main chain begin.

        Returns:
          (places, whether the chain leads beyond the end of the file after these).

        Raises:
          ValueError: there is not even a first directory.
        """
        (place,) = self._numbers("Q" if self.big else "I", 8 if self.big else 4)
        found: dict[int, None] = {}
        while place and place not in found:
            try:
                following = self._following(place)
            except ValueError:
                if not found:
                    raise
                return list(found), True
            found[place] = None
            place = following
        return list(found), False

    def _following(self, place: int) -> int:
        (count,) = self._numbers("Q" if self.big else "H", place)
        end = place + (8 + 20 * count if self.big else 2 + 12 * count)
        return self._numbers("Q" if self.big else "I", end)[0]

    def directory(self, place: int) -> Directory:
        """Returns the entries of a directory, of each tag the first.

        Entries of unknown types, and those whose values lie beyond the end, are left out.

        Raises:
          ValueError: the directory itself lies beyond the end.
        """
        (count,) = self._numbers("Q" if self.big else "H", place)
        length, at = (20, place + 8) if self.big else (12, place + 2)
        if at + length * count > len(self.data):
            raise ValueError("is a damaged TIFF: a directory lies beyond its end")
        found: Directory = {}
        for entry in range(at, at + length * count, length):
            tag, kind, values = self._numbers("HHQ" if self.big else "HHI", entry)
            data = self._value(entry, SIZES.get(kind, 0) * values)
            if data and tag not in found:
                found[tag] = Entry(kind, values, data)
        return found

    def _value(self, entry: int, size: int) -> bytes:
        """Returns the value of the entry at a place; nothing where it lies beyond the end."""
        at = entry + (12 if self.big else 8)
        if size > (8 if self.big else 4):
            (at,) = self._numbers("Q" if self.big else "I", at)
        return self.data[at : at + size] if at + size <= len(self.data) else b""

    def whole(self, entry: Entry | None) -> list[int]:
        """Returns an entry's whole numbers; none where there is no such entry."""
        if entry is None or entry.kind not in _WHOLE:
            return []
        return list(struct.unpack(f"{self.order}{entry.values}{_WHOLE[entry.kind]}", entry.data))

    def first(self, directory: Directory, tag: int, otherwise: int = 0) -> int:
        """Returns the first number of a tag."""
        return next(iter(self.whole(directory.get(tag))), otherwise)


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[File]:
    """Maps a TIFF into memory.

    Raises:
      ValueError: it is none; the message continues the file's name.
      OSError: it cannot be read.
    """
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield File(data)
