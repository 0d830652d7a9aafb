"""Takes the pages of TIFF and BigTIFF files apart and puts them together, without decoding them.

A page is moved as it is: its directory, its strips or tiles, and the EXIF and GPS directories that
it names. So any page can be read as a file of one picture, and files of one picture each become one
of several pages, whatever is in them. Memory holds the directory and one strip of a page.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from residual_encoder.imaging import tiff_directory
from residual_encoder.imaging.image_metadata import ORIENTATION, TRANSPOSED
from residual_encoder.imaging.tiff_directory import BIG_TIFF, LONG, LONG8, SHORT, TIFF, Field

# Tags of TIFF 6.0, and of its supplement 1 (SubIFDs).
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _DEPTH, _SAMPLES = 254, 255, 256, 257, 258, 277
_PHOTOMETRIC, _X_RESOLUTION, _Y_RESOLUTION = 262, 282, 283
_PAGE_NUMBER, _TILE_WIDTH, _SUB_DIRECTORIES = 297, 322, 330
# What a joined page has as its source has it: names of document and page, description, resolution,
# place on the paper, date, artist and copyright.
DESCRIBING = frozenset((269, 270, 282, 283, 285, 286, 287, 296, 306, 315, 33432))
_DATA = {273: 279, 324: 325, 513: 514}  # places of strips, tiles and old JPEG data: their lengths
_OLD_JPEG_TABLES = frozenset((519, 520, 521))
_REDUCED, _PAGE_OF_MANY, _MASK = 1, 2, 4  # bits of _SUBFILE
_OLD_REDUCED = 2  # value of _OLD_SUBFILE
_CLASSIC = 4_000_000_000  # bytes; places have 32 bits, and directories need some too
_BLOCK = 1 << 20  # bytes that are copied at a time

Directory = dict[int, Field]  # tag -> entry


class _Source:
    """Reads the directories of a mapped TIFF."""

    def __init__(self, data: Any) -> None:
        if data[:4] not in (*TIFF, *BIG_TIFF):
            raise ValueError("is no TIFF")
        self.data = data
        self.order, self.big = tiff_directory.order(data), tiff_directory.is_big(data)

    def directory(self, place: int) -> Directory:
        """Returns the entries of a directory, of each tag the first."""
        fields = tiff_directory.free(tiff_directory.read(self.data, place))
        return {field.tag: field for field in reversed(fields)}

    def numbers(self, directory: Directory, tag: int) -> tuple[int, ...]:
        """Returns an entry's whole numbers; none where there is no such entry."""
        return tiff_directory.whole(directory[tag], self.order) if tag in directory else ()

    def first(self, directory: Directory, tag: int, otherwise: int = 0) -> int:
        """Returns the first number of a tag."""
        return next(iter(self.numbers(directory, tag)), otherwise)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[_Source]:
    """Maps a TIFF into memory.

    Raises:
      ValueError: it is none, or a damaged one; the message continues the file's name.
      OSError: it cannot be read.
    """
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        try:
            yield _Source(data)
        except (struct.error, OverflowError) as error:
            raise ValueError("is a damaged TIFF: a directory lies beyond its end") from error


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
    with _opened(path) as file:
        pages: list[Page] = []
        left_out: dict[str, int] = {}
        places, broken = tiff_directory.chain(file.data)
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
            if count := len(file.numbers(directory, _SUB_DIRECTORIES)):
                left_out["SubIFD"] = left_out.get("SubIFD", 0) + count
        if not pages and places:
            pages = [_page(file, places[0], first)]
        return Pages(tuple(pages), left_out, len(places), places[0] if places else 0)


def _page(file: _Source, place: int, directory: Directory) -> Page:
    width, height = (file.first(directory, tag) for tag in (_WIDTH, _HEIGHT))
    return Page(place, width, height, max(file.numbers(directory, _DEPTH), default=1))


def _no_page(file: _Source, directory: Directory, first: Directory) -> str:
    """Returns what a directory is in place of a page; nothing where it is one."""
    bits = file.first(directory, _SUBFILE)
    if bits & _MASK:
        return "mask"
    if bits & _REDUCED or file.first(directory, _OLD_SUBFILE) == _OLD_REDUCED:
        return "reduced-resolution picture"
    return "pyramid level" if _is_level(file, directory, first) else ""


def _is_level(file: _Source, directory: Directory, first: Directory) -> bool:
    """Returns whether both have tiles of equal samples, and sides that differ by a power of two."""
    same = (_DEPTH, _SAMPLES, _PHOTOMETRIC)
    if _TILE_WIDTH not in first or _TILE_WIDTH not in directory:
        return False
    if any(file.numbers(directory, tag) != file.numbers(first, tag) for tag in same):
        return False
    sides = [
        (file.first(first, tag), max(1, file.first(directory, tag))) for tag in (_WIDTH, _HEIGHT)
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

    def places(self, tag: int, numbers: Sequence[int]) -> Field:
        """Makes an entry of places in the file."""
        kind, form = (LONG8, "Q") if self.big else (LONG, "I")
        if not self.big and max(numbers, default=0) >> 32:
            raise ValueError("makes a TIFF of more than 4 gigabytes")
        return Field(tag, kind, self.pack(f"{len(numbers)}{form}", *numbers))

    def append(self, data: bytes) -> int:
        """Writes bytes at an even place and returns it."""
        self.file.write(b"\0" * (self.file.tell() % 2))
        place = self.file.tell()
        self.file.write(data)
        return place

    def copy(self, source: _Source, place: int, length: int) -> int:
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

    def add(self, directory: Directory) -> None:
        """Writes a directory and makes it the next of the main chain."""
        place = self.append(b"")
        fields = tuple(directory.values())
        self.file.write(tiff_directory.write(fields, self.order, place, self.big))
        self.file.seek(self.link)
        self.file.write(self.pack("Q" if self.big else "I", place))
        self.file.seek(0, os.SEEK_END)
        self.link = place + (8 + 20 * len(fields) if self.big else 2 + 12 * len(fields))


def _moved(source: _Source, place: int, sink: _Sink) -> Directory:
    """Copies the data of a directory, and returns it with the new places and without SubIFDs."""
    directory = source.directory(place)
    if _OLD_JPEG_TABLES & directory.keys():
        raise ValueError("has pages in TIFF's old JPEG compression: save it with another one first")
    directory.pop(_SUB_DIRECTORIES, None)
    for at, size in _DATA.items():
        if at not in directory:
            continue
        places = source.numbers(directory, at)
        lengths = source.numbers(directory, size) or [len(source.data) - place for place in places]
        if len(lengths) < len(places):
            raise ValueError("is a damaged TIFF: strips lack their lengths")
        pairs = zip(places, lengths, strict=False)
        new = [sink.copy(source, place, length) if length else 0 for place, length in pairs]
        directory[at] = sink.places(at, new)
        directory.setdefault(size, sink.places(size, lengths))
    return directory


def extract(path: str | os.PathLike[str], page: Page, target: Path) -> None:
    """Writes one page of a TIFF as a file of its own, in the same order of bytes.

    Raises:
      ValueError: the page is damaged; the message continues the file's name.
      OSError: a file cannot be read or written.
    """
    with _opened(path) as source, open(target, "wb") as file:
        sink = _Sink(file, source.order, source.big)
        sink.begin()
        sink.add(_moved(source, page.place, sink))


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
        with _opened(part) as colored, _opened(path) as original:
            if not self.number:
                self.sink.order = colored.order
                self.sink.begin()
            if colored.order != self.sink.order:
                raise ValueError(f"{part} has another order of bytes than the pages before it")
            self.sink.moved, self.sink.length = {}, 0
            moved = _moved(colored, tiff_directory.first(colored.data), self.sink)
            self.sink.add(moved | self._described(original, page))
            self.number += 1

    def _described(self, original: _Source, page: Page) -> Directory:
        """Returns the entries that come from the original page, and the page's number."""
        directory = original.directory(page.place)
        fields = tuple(field for tag, field in directory.items() if tag in DESCRIBING)
        if original.order != self.sink.order:
            fields = tiff_directory.swapped(fields)
        if original.first(directory, ORIENTATION, 1) in TRANSPOSED:
            turned = {_X_RESOLUTION: _Y_RESOLUTION, _Y_RESOLUTION: _X_RESOLUTION}
            fields = tuple(field._replace(tag=turned.get(field.tag, field.tag)) for field in fields)
        found = {field.tag: field for field in fields}
        numbers = self.sink.pack("HH", self.number, self.count)
        found[_SUBFILE] = Field(_SUBFILE, LONG, self.sink.pack("I", _PAGE_OF_MANY))
        found[_PAGE_NUMBER] = Field(_PAGE_NUMBER, SHORT, numbers)
        return found
