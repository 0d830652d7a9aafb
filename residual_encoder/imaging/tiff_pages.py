"""Takes the pages of TIFF and BigTIFF files apart and puts them together, without decoding them.

A page is moved as it is: its directory, its strips or tiles, and the EXIF and GPS directories that
it names. So any page can be read as a file of one picture, and files of one picture each become one
of several pages, whatever is in them. Memory holds the directory and one strip of a page.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from residual_encoder.imaging import tiff_structure
from residual_encoder.imaging.tiff_structure import (
    DEPTH,
    HEIGHT,
    LONG,
    LONG8,
    OLD_SUBFILE,
    ORIENTATION,
    PAGE_NUMBER,
    PHOTOMETRIC,
    SAMPLES,
    SHORT,
    SUB_DIRECTORIES,
    SUBFILE,
    TILE_WIDTH,
    WIDTH,
    X_RESOLUTION,
    Y_RESOLUTION,
    Directory,
    Entry,
    File,
)

# What a joined page has as its source has it: names of document and page, description, resolution,
# place on the paper, date, artist and copyright.
DESCRIBING = frozenset((269, 270, 282, 283, 285, 286, 287, 296, 306, 315, 33432))
_DATA = {273: 279, 324: 325, 513: 514}  # places of strips, tiles and old JPEG data: their lengths
_OLD_JPEG_TABLES = frozenset((519, 520, 521))
_DIRECTORIES = frozenset((34665, 34853, 40965))  # of EXIF, GPS and interoperability
_NESTED = 2  # directories within directories: EXIF, and interoperability in it
_REDUCED, _PAGE_OF_MANY, _MASK = 1, 2, 4  # bits of SUBFILE
_OLD_REDUCED = 2  # value of OLD_SUBFILE
_CLASSIC = 4_000_000_000  # bytes; places have 32 bits, and directories need some too
_BLOCK = 1 << 20  # bytes that are copied at a time


# --- what is a page -------------------------------------------------------------------------------


class Page(NamedTuple):
    """Describes one page."""

    place: int  # bytes from the start of the file to its directory
    width: int  # pixels, as stored
    height: int
    depth: int  # bits a sample

    @property
    def size(self) -> int:
        """Returns the most bytes that the page takes when it is colored, with alpha."""
        return self.width * self.height * 4 * (2 if self.depth > 8 else 1)


class Pages(NamedTuple):
    """Lists the pages of a TIFF, and what in it is no page."""

    pages: tuple[Page, ...]
    left_out: dict[str, int]  # kind -> how many
    directories: int  # in the main chain
    first: int  # place of the first directory


def inspect(path: str | os.PathLike[str]) -> Pages:
    """Lists the pages of a TIFF; only directories are read.

    No pages are pictures of reduced resolution (bit 0 of NewSubfileType, also in the old
    SubfileType), masks (bit 2), the lower levels of a pyramid of tiles, also where no bit tells so,
    and what SubIFDs name. A file that has nothing else has its first picture as its page.

    Raises:
      ValueError: no TIFF, or a damaged one; the message continues the file's name.
      OSError: it cannot be read.
    """
    with tiff_structure.opened(path) as file:
        pages: list[Page] = []
        left_out: dict[str, int] = {}
        places, broken = file.places()
        if broken:
            left_out["directory beyond the end of the file"] = 1
        first = file.directory(places[0]) if places else {}
        for place in places:
            directory = file.directory(place)
            kind = _no_page(file, directory, first if place != places[0] else {})
            if kind:
                left_out[kind] = left_out.get(kind, 0) + 1
            else:
                pages.append(_page(file, place, directory))
            if count := len(file.whole(directory.get(SUB_DIRECTORIES))):
                left_out["SubIFD"] = left_out.get("SubIFD", 0) + count
        if not pages and places:
            pages = [_page(file, places[0], first)]
        return Pages(tuple(pages), left_out, len(places), places[0] if places else 0)


def _page(file: File, place: int, directory: Directory) -> Page:
    width, height = (file.first(directory, tag) for tag in (WIDTH, HEIGHT))
    return Page(place, width, height, max(file.whole(directory.get(DEPTH)), default=1))


def _no_page(file: File, directory: Directory, first: Directory) -> str:
    """Returns what a directory is in place of a page; nothing where it is one."""
    bits = file.first(directory, SUBFILE)
    if bits & _MASK:
        return "mask"
    if bits & _REDUCED or file.first(directory, OLD_SUBFILE) == _OLD_REDUCED:
        return "reduced-resolution picture"
    return "pyramid level" if _is_level(file, directory, first) else ""


def _is_level(file: File, directory: Directory, first: Directory) -> bool:
    """Returns whether both have tiles of equal samples, and sides that differ by a power of two."""
    same = (DEPTH, SAMPLES, PHOTOMETRIC)
    if TILE_WIDTH not in first or TILE_WIDTH not in directory:
        return False
    if any(file.whole(directory.get(tag)) != file.whole(first.get(tag)) for tag in same):
        return False
    sides = [
        (file.first(first, tag), max(1, file.first(directory, tag))) for tag in (WIDTH, HEIGHT)
    ]
    for power in range(1, 21):
        # Every halving may have rounded up or down.
        if all(large >> power <= small <= -(-large >> power) for large, small in sides):
            return True
    return False


# --- moving a page --------------------------------------------------------------------------------


@dataclass
class _Sink:
    """Writes directories and what belongs to them to the end of a TIFF."""

    file: BinaryIO
    order: str
    big: bool
    link: int = 0  # where the place of the next directory is to be written
    moved: dict[tuple[int, int], int] = field(default_factory=dict)  # of a page: place of its data
    length: int = 0  # bytes of the page's data

    def begin(self) -> None:
        """Writes the header, without any directory so far."""
        mark = b"II" if self.order == "<" else b"MM"
        self.file.write(mark + self.pack("HHHQ", 43, 8, 0, 0) if self.big else b"")
        self.file.write(b"" if self.big else mark + self.pack("HI", 42, 0))
        self.link = 8 if self.big else 4

    def pack(self, form: str, *numbers: int) -> bytes:
        """Packs numbers in the file's order of bytes."""
        return struct.pack(self.order + form, *numbers)

    def places(self, numbers: Sequence[int]) -> Entry:
        """Makes an entry of places in the file."""
        kind, form = (LONG8, "Q") if self.big else (LONG, "I")
        try:
            return Entry(kind, len(numbers), self.pack(f"{len(numbers)}{form}", *numbers))
        except struct.error as error:
            raise ValueError("makes a TIFF of more than 4 gigabytes") from error

    def append(self, data: bytes) -> int:
        """Writes bytes at an even place and returns it."""
        self.file.write(b"\0" * (self.file.tell() % 2))
        place = self.file.tell()
        self.file.write(data)
        return place

    def copy(self, source: File, place: int, length: int) -> int:
        """Copies data of a page, each once, and returns its new place."""
        if place + length > len(source.data):
            raise ValueError("is a truncated TIFF: its pixels end early; fetch the file again")
        if (place, length) not in self.moved:
            self.length += length
            if self.length > len(source.data):
                raise ValueError("is a damaged TIFF: its strips overlap")
            new = self.append(b"")
            for at in range(place, place + length, _BLOCK):
                self.file.write(source.data[at : min(at + _BLOCK, place + length)])
            self.moved[place, length] = new
        return self.moved[place, length]

    def directory(self, entries: Directory) -> int:
        """Writes a directory, with nothing after it, and returns its place."""
        room, form = (8, "Q") if self.big else (4, "I")
        lines = []
        for tag, (kind, count, data) in sorted(entries.items()):
            if len(data) > room:
                data = self.pack(form, self.append(data))
            lines.append(self.pack(f"HH{form}", tag, kind, count) + data.ljust(room, b"\0"))
        head = self.pack("Q" if self.big else "H", len(lines))
        return self.append(head + b"".join(lines) + bytes(room))

    def chain(self, place: int, entries: int) -> None:
        """Makes a directory the next of the main chain."""
        self.file.seek(self.link)
        self.file.write(self.pack("Q" if self.big else "I", place))
        self.file.seek(0, os.SEEK_END)
        self.link = place + (8 + 20 * entries if self.big else 2 + 12 * entries)


def _moved(source: File, entries: Directory, sink: _Sink, nested: int = 0) -> Directory:
    """Copies what a directory names, and returns it with the new places; SubIFDs are left out."""
    if _OLD_JPEG_TABLES & set(entries):
        raise ValueError("has pages in TIFF's old JPEG compression: save it with another one first")
    entries = {tag: entry for tag, entry in entries.items() if tag != SUB_DIRECTORIES}
    for at, size in _DATA.items():
        if at in entries:
            places = source.whole(entries[at])
            lengths = source.whole(entries.get(size)) or [
                len(source.data) - place for place in places
            ]
            if len(lengths) < len(places):
                raise ValueError("is a damaged TIFF: strips lack their lengths")
            entries[at] = sink.places(
                [
                    sink.copy(source, place, length) if length else 0
                    for place, length in zip(places, lengths, strict=False)
                ]
            )
            entries.setdefault(size, sink.places(lengths))
    for tag in _DIRECTORIES & set(entries):
        entries[tag] = _nested(source, entries[tag], sink, nested)
    return entries


def _nested(source: File, entry: Entry, sink: _Sink, nested: int) -> Entry:
    if nested == _NESTED:
        raise ValueError("is a damaged TIFF: directories lie in each other")
    place = source.whole(entry)[:1]
    inner = _moved(source, source.directory(*place), sink, nested + 1) if place else {}
    return sink.places([sink.directory(inner)])


def extract(path: str | os.PathLike[str], page: Page, target: Path) -> None:
    """Writes one page of a TIFF as a file of its own, in the same order of bytes.

    Raises:
      ValueError: the page is damaged; the message continues the file's name.
      OSError: a file cannot be read or written.
    """
    with tiff_structure.opened(path) as source, open(target, "wb") as file:
        sink = _Sink(file, source.order, source.big)
        sink.begin()
        entries = _moved(source, source.directory(page.place), sink)
        sink.chain(sink.directory(entries), len(entries))


class Joiner:
    """Writes a TIFF of several pages, from files of one page each."""

    def __init__(self, file: BinaryIO, count: int, size: int) -> None:
        """Begins the file.

        Args:
          file: Open for writing.
          count: How many pages there will be.
          size: The most bytes that they take; a BigTIFF is written where it needs one.
        """
        self.file, self.count, self.big = file, count, size > _CLASSIC
        self.number = 0
        self.sink = _Sink(file, "", self.big)  # its order is that of the first page

    def add(self, part: Path, path: str | os.PathLike[str], page: Page) -> None:
        """Appends the first page of `part`, described as `page` of the file `path` is.

        Raises:
          ValueError: `part` is no TIFF, or of another order of bytes than those before.
        """
        with tiff_structure.opened(part) as colored, tiff_structure.opened(path) as original:
            if not self.number:
                self.sink.order = colored.order
                self.sink.begin()
            if colored.order != self.sink.order:
                raise ValueError(f"{part} has another order of bytes than the pages before it")
            entries = colored.directory(colored.places()[0][0])
            self.sink.moved, self.sink.length = {}, 0
            entries = _moved(colored, entries, self.sink) | self._described(original, page)
            self.sink.chain(self.sink.directory(entries), len(entries))
            self.number += 1

    def _described(self, original: File, page: Page) -> Directory:
        """Returns the entries that come from the original page, and the page's number."""
        directory = original.directory(page.place)
        found = {tag: entry for tag, entry in directory.items() if tag in DESCRIBING}
        if original.order != self.sink.order:
            found = {tag: _swapped(entry) for tag, entry in found.items()}
        if original.first(directory, ORIENTATION, 1) in (5, 6, 7, 8):
            both = found.get(X_RESOLUTION), found.get(Y_RESOLUTION)
            turned = dict(zip((Y_RESOLUTION, X_RESOLUTION), both, strict=True))
            found |= {tag: entry for tag, entry in turned.items() if entry}
        numbers = self.sink.pack("HH", self.number, self.count)
        found[SUBFILE] = Entry(LONG, 1, self.sink.pack("I", _PAGE_OF_MANY))
        found[PAGE_NUMBER] = Entry(SHORT, 2, numbers)
        return found


def _swapped(entry: Entry) -> Entry:
    """Turns the bytes of an entry's numbers around."""
    size = tiff_structure.NUMBERS[entry.kind]
    parts = (entry.data[at : at + size][::-1] for at in range(0, len(entry.data), size))
    return entry._replace(data=b"".join(parts))
