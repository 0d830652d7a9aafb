"""Takes animated PNGs apart into PNGs of one frame each, and joins such PNGs to an animation.

PNG third edition: acTL, fcTL and fdAT chunks. Frames are decoded and encoded elsewhere, so their
depth, palette, profile and gamma are handled as in a still PNG.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from mmap import mmap
from typing import BinaryIO, NamedTuple

Buffer = bytes | mmap
START = b"\x89PNG\r\n\x1a\n"
BACKGROUND, PREVIOUS = 1, 2  # dispose_op: 0 leaves the frame
OVER = 1  # blend_op: 0 replaces
_COLOR_AND_ALPHA = (4, 6)  # color types
_FRAME = ">IIIIHHBB"  # fcTL without its sequence number: sides, place, delay, dispose, blend
_MOST = 65_535  # of either part of a delay
_CHUNKS = 10_000_000  # more belong to no animation
# Of the whole file: left out where a frame becomes a PNG of its own. EXIF may turn the canvas.
_OF_THE_WHOLE = (b"acTL", b"eXIf", b"IEND")


class Frame(NamedTuple):
    """Describes one frame; data is a PNG of its region."""

    png: bytes
    top: int
    left: int
    duration: Fraction | None  # seconds; None of a still picture that is not animated
    dispose: int
    blend: int


class Header(NamedTuple):
    """Describes an animation before its frames are read."""

    width: int
    height: int
    frames: int  # with the still picture, if there is one
    loop: int  # how often it plays; 0 is for ever
    alpha: bool  # whether a composed frame may have it
    still: bool  # whether the first is a picture that is not animated


def places(data: Buffer) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, begin, end) of the contents of chunks, up to the first that is cut off."""
    position = len(START)
    for _ in range(_CHUNKS):
        begin = position + 8
        end = begin + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            return
        yield data[position + 4 : begin], begin, end
        position = end + 4


def chunks(data: Buffer) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, content) of a PNG's chunks, up to the first that is cut off."""
    for name, begin, end in places(data):
        yield name, data[begin:end]


def chunk(name: bytes, content: bytes) -> bytes:
    """Returns a chunk with its length and checksum."""
    checksum = zlib.crc32(content, zlib.crc32(name))
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


# --- reading --------------------------------------------------------------------------------------


def header(data: Buffer) -> Header | None:
    """Describes an animated PNG; None where there is at most one frame, or no animation.

    Raises:
      ValueError: its header is damaged; the message continues the file's name.
    """
    loop, frames, still, alpha = None, 0, False, False
    width = height = 0
    for name, begin, end in places(data):
        if name == b"IHDR":
            width, height, _, kind = struct.unpack(">IIBB", _part(data, begin, end, 10))
            alpha = kind in _COLOR_AND_ALPHA
        elif name == b"acTL":
            _, loop = struct.unpack(">II", _part(data, begin, end, 8))
        elif name == b"IDAT" and loop is None:
            return None
        elif name == b"IDAT":
            still = still or not frames
        elif name == b"fcTL":
            frames += 1
            content = _part(data, begin, end, 26)
            part = frames == 1 and struct.unpack_from(">II", content, 4) != (width, height)
            alpha = alpha or part or content[24] == BACKGROUND
        alpha = alpha or name == b"tRNS"
    if loop is None or frames + still < 2:
        return None
    return Header(width, height, frames + still, loop, alpha, still)


def _part(data: Buffer, begin: int, end: int, length: int) -> bytes:
    """Returns the first bytes of a chunk's content."""
    if end - begin < length:
        raise ValueError("is a damaged animated PNG: a chunk is too short")
    return data[begin : begin + length]


def frames(data: Buffer) -> Iterator[Frame]:
    """Yields the frames of an animated PNG; first the still picture, if it is none of them.

    Raises:
      ValueError: a frame is damaged, or the file ends early; the message continues its name.
    """
    shared: list[tuple[bytes, bytes]] = []
    pixels: list[bytes] = []
    control, complete = b"", False
    for name, content in chunks(data):
        if name in (b"fcTL", b"IEND") and pixels:
            yield _frame(shared, control, pixels)
            pixels = []
        if name == b"fcTL":
            control = _part(content, 0, len(content), 26)[4:]
        elif name in (b"IDAT", b"fdAT"):
            pixels.append(content if name == b"IDAT" else content[4:])
        elif name not in _OF_THE_WHOLE and not control and not pixels:
            shared.append((name, content))
        complete = name == b"IEND"
    if not complete:
        raise ValueError("is a truncated animated PNG: fetch the file again")


def _frame(shared: list[tuple[bytes, bytes]], control: bytes, pixels: list[bytes]) -> Frame:
    """Makes a PNG of one frame's chunks; `control` is empty for the still picture."""
    head = dict(shared).get(b"IHDR", b"")
    left = top = dispose = blend = 0
    duration = None
    if control:
        width, height, left, top, above, below, dispose, blend = struct.unpack(_FRAME, control)
        duration = Fraction(above, below or 100)
        sides = struct.unpack_from(">II", _part(head, 0, len(head), 8))
        if left + width > sides[0] or top + height > sides[1]:
            raise ValueError("is a damaged animated PNG: a frame is larger than the picture")
        head = struct.pack(">II", width, height) + head[8:]
    parts = [chunk(name, head if name == b"IHDR" else content) for name, content in shared]
    parts += [chunk(b"IDAT", content) for content in pixels] + [chunk(b"IEND", b"")]
    return Frame(START + b"".join(parts), top, left, duration, dispose, blend)


# --- writing --------------------------------------------------------------------------------------


class PngJoiner:
    """Writes an animated PNG of PNGs with one frame each, all of one size and kind."""

    def __init__(self, file: BinaryIO, loop: int) -> None:
        self.file, self.loop = file, loop
        self.frames = self.sequence = self.counted_at = 0
        self.head, self.has_still = b"", False
        self.after: list[tuple[bytes, bytes]] = []  # chunks of the first PNG behind its pixels

    def add(self, png: bytes, duration: Fraction | None) -> None:
        """Appends a frame; without a duration, and as the first, it is a still picture only.

        Raises:
          ValueError: it differs in size or kind from the first.
        """
        found = list(chunks(png))
        if not self.head:
            self._begin(found)
        if found[0][1] != self.head:
            raise ValueError("has frames of several sizes or kinds")
        first = not self.frames and not self.has_still
        if duration is None:
            self.has_still = True
        else:
            self.frames += 1
            self._write(b"fcTL", self._number() + self._control(duration))
        for name, content in found:
            if name == b"IDAT" and first:
                self._write(name, content)
            elif name == b"IDAT":
                self._write(b"fdAT", self._number() + content)

    def finish(self) -> None:
        """Writes what follows the pixels, and the number of frames."""
        for name, content in (*self.after, (b"IEND", b"")):
            self._write(name, content)
        self.file.seek(self.counted_at)
        self._write(b"acTL", struct.pack(">II", self.frames, self.loop))
        self.file.seek(0, os.SEEK_END)

    def _begin(self, found: list[tuple[bytes, bytes]]) -> None:
        """Writes the header, room for the count, and the chunks before the pixels."""
        self.head = found[0][1]
        names = [name for name, _ in found]
        first, last = names.index(b"IDAT"), len(names) - names[::-1].index(b"IDAT")
        self.after = [part for part in found[last:] if part[0] != b"IEND"]
        self.file.write(START)
        self._write(*found[0])
        self.counted_at = self.file.tell()
        self._write(b"acTL", bytes(8))
        for part in found[1:first]:
            self._write(*part)

    def _control(self, duration: Fraction) -> bytes:
        delay = min(duration, Fraction(_MOST))
        delay = delay.limit_denominator(_MOST // max(1, math.ceil(delay)))
        numbers = delay.numerator, delay.denominator
        return self.head[:8] + struct.pack(">IIHHBB", 0, 0, *numbers, 0, 0)

    def _number(self) -> bytes:
        self.sequence += 1
        return struct.pack(">I", self.sequence - 1)

    def _write(self, name: bytes, content: bytes) -> None:
        self.file.write(chunk(name, content))
