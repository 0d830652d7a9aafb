"""Joins WebPs of one frame each to an animation; Google's container specification."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from mmap import mmap
from typing import BinaryIO

Buffer = bytes | mmap
ANIMATION, _XMP, _EXIF, _ALPHA, _ICC = 0x02, 0x04, 0x08, 0x10, 0x20  # flags of VP8X
_METADATA = {b"ICCP": _ICC, b"EXIF": _EXIF, b"XMP ": _XMP}
_REPLACES = 0x02  # flag of a frame: it replaces what was there
_LONGEST = 2**24 - 1  # milliseconds
_LARGEST = 2**32 - 10  # bytes


def chunks(data: Buffer, start: int = 12) -> Iterator[tuple[bytes, bytes]]:
    """Yields (name, content) of a RIFF file's chunks, up to the first that is cut off."""
    while start + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, start)
        if start + 8 + length > len(data):
            return
        yield name, data[start + 8 : start + 8 + length]
        start += 8 + length + length % 2


def is_animated(head: bytes) -> bool:
    """Returns whether a WebP's first bytes, at least 21, tell of an animation."""
    webp = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return webp and len(head) > 20 and bool(head[20] & ANIMATION)


def canvas(head: bytes) -> tuple[int, int]:
    """Returns the (width, height) of an animation that begins with these 30 bytes."""
    return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")


def durations(data: Buffer) -> tuple[list[Fraction], int]:
    """Returns the frames' durations in seconds, and how often an animation plays; 0 is for ever."""
    times, loop = [], 0
    for name, content in chunks(data):
        if name == b"ANIM" and len(content) >= 6:
            (loop,) = struct.unpack_from("<H", content, 4)
        elif name == b"ANMF" and len(content) >= 16:
            times.append(Fraction(int.from_bytes(content[12:15], "little"), 1000))
    return times, loop


def chunk(name: bytes, content: bytes) -> bytes:
    """Returns a chunk with its length."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _long(number: int) -> bytes:
    return number.to_bytes(3, "little")


class WebpJoiner:
    """Writes an animated WebP of WebPs with one frame each; metadata is that of the first."""

    def __init__(self, file: BinaryIO, loop: int, height: int, width: int) -> None:
        self.file, self.loop = file, loop
        self.sides = _long(width - 1) + _long(height - 1)
        self.flags = ANIMATION
        self.begun = False
        self.after = b""

    def add(self, webp: bytes, duration: Fraction | None) -> None:
        """Appends a frame."""
        found = list(chunks(webp))
        if not self.begun:
            self._begin(dict(found))
        names = {name for name, _ in found}
        # VP8L tells in its own header whether it has alpha.
        lossless = next((content for name, content in found if name == b"VP8L"), b"")
        if b"ALPH" in names or (len(lossless) > 4 and lossless[4] & 0x10):
            self.flags |= _ALPHA
        pixels = b"".join(chunk(*part) for part in found if part[0] in (b"ALPH", b"VP8 ", b"VP8L"))
        time = min(_LONGEST, round((duration or 0) * 1000))
        head = bytes(6) + self.sides + _long(time) + bytes([_REPLACES])
        self.file.write(chunk(b"ANMF", head + pixels))

    def finish(self) -> None:
        """Writes what follows the frames, the length and the flags.

        Raises:
          ValueError: there are more than 4 gigabytes.
        """
        self.file.write(self.after)
        length = self.file.tell() - 8
        if length > _LARGEST:
            raise ValueError("makes a WebP of more than 4 gigabytes; use PNG")
        self.file.seek(0)
        self._write_head(length)

    def _begin(self, found: dict[bytes, bytes]) -> None:
        """Writes the header, to be overwritten in the end, and the profile."""
        for name, flag in _METADATA.items():
            self.flags |= flag if name in found else 0
        self._write_head(0)
        if b"ICCP" in found:
            self.file.write(chunk(b"ICCP", found[b"ICCP"]))
        self.file.write(chunk(b"ANIM", struct.pack("<IH", 0, min(self.loop, 65_535))))
        self.after = b"".join(
            chunk(name, found[name]) for name in (b"EXIF", b"XMP ") if name in found
        )
        self.begun = True

    def _write_head(self, length: int) -> None:
        flags = bytes([self.flags, 0, 0, 0]) + self.sides
        self.file.write(b"RIFF" + struct.pack("<I", length) + b"WEBP" + chunk(b"VP8X", flags))
