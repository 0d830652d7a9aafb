"""Lays out the samples of TIFF files so that libvips reads them: planes, Lab, 9 to 15 bits.

libvips does not read samples without gaps between them, CIE Lab of 8 bits, nor planes in tiles, and
of gray with alpha in two planes it makes something else. A changed header calls every row a row of
bytes, Lab RGB, or one plane a picture; libvips and libtiff still check and decompress all of it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from residual_encoder.imaging import libvips, tiff_directory
from residual_encoder.imaging.rare_formats import scaled
from residual_encoder.imaging.rows import Rows

# TIFF 6.0, and what ColorMap, Matteing and ExtraSamples add.
_WIDTH, _BITS, _COMPRESSION, _MEANING, _SAMPLES, _PLANES = 256, 258, 259, 262, 277, 284
_PREDICTOR, _TILE_WIDTH, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 317, 322, 338, 339
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets, byte counts
_JPEG = 7  # of Compression
_RGB, _LAB = 2, 8  # of PhotometricInterpretation
_MEANINGS = frozenset((0, 1, _RGB, 3, 4, 5, 6, _LAB))  # the others mean no sRGB, as raw files' do
_MOST_SAMPLES = 16  # more are measurements, which would take much memory
_NO_TAG = 65_000  # what readers pass over


class Patched:
    """Gives the bytes of a file some of which are replaced, without a copy of it."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        """Takes the file and the bytes that are replaced, by their places."""
        self._file, self._patches, self.seek = file, patches, file.seek

    def read(self, size: int) -> bytes:
        """Returns the next bytes."""
        start = self._file.tell()
        part = bytearray(self._file.read(size))
        for at, patch in self._patches.items():
            low, high = max(at, start), min(at + len(patch), start + len(part))
            if low < high:
                part[low - start : high - start] = patch[low - at : high - at]
        return bytes(part)


class Layout:
    """Tells from a TIFF's first directory how its samples lie.

    Attributes:
      bits: Of a sample.
      is_lab: Whether samples are CIE Lab of 8 bits, which libvips reads wrong.
      is_odd: Whether libvips needs a changed header.
    """

    def __init__(self, data: bytes, path: str | None) -> None:
        """Reads the directory of a file, of which `data` may be a map.

        Raises:
          ValueError: a layout that is not supported.
          struct.error, OverflowError, KeyError: a damaged directory.
        """
        tags = (_WIDTH, _BITS, _COMPRESSION, _MEANING, _SAMPLES, _PLANES, _SAMPLE_FORMAT)
        found = tiff_directory.numbers(data, (*tags, _PREDICTOR, _TILE_WIDTH, *_STRIPS, *_TILES))
        self.width, self.bits = found[_WIDTH][0], found.get(_BITS, (1,))[0]
        self.samples = found.get(_SAMPLES, (1,))[0]
        self.meaning, self.tile = found.get(_MEANING, (1,))[0], found.get(_TILE_WIDTH, (0,))[0]
        self._found, self._data, self._path = found, data, path
        if self.samples > _MOST_SAMPLES:
            raise ValueError(f"has {self.samples} samples a pixel; save it as gray or RGB")
        if self.meaning not in _MEANINGS:
            raise ValueError(
                f"has samples of PhotometricInterpretation {self.meaning}, which are not read; "
                "save it as gray or RGB"
            )
        self.is_packed = 8 < self.bits < 16
        self.is_lab = self.meaning == _LAB and self.bits == 8 and self.samples > 2
        self.is_planar = found.get(_PLANES) == (2,) and self.samples > 1
        alone = self.is_packed or self.is_lab or bool(self.tile) or self.samples == 2
        self.is_odd = self.is_packed or self.is_lab or (self.is_planar and alone)
        if self.is_odd:
            self._check()

    def _check(self) -> None:
        even = set(self._found.get(_BITS, ())) == {self.bits}
        plain = self._found.get(_PREDICTOR, (1,)) == (1,) or not self.is_packed
        # Others than whole numbers without a sign; libvips looks at those of bytes and 16 bits.
        plain &= set(self._found.get(_SAMPLE_FORMAT, (1,))) <= {1, 4} or not self.is_packed
        known = self.meaning <= 2 or self.is_lab or (self.meaning == 5 and not self.is_packed)
        fits = not (self.is_packed and self.tile) or self._row % 16 == 0
        jpeg = self._found.get(_COMPRESSION) == (_JPEG,)
        if not (even and plain and known and fits) or jpeg:
            raise ValueError(
                f"has {self.bits} bits a sample in a layout that cannot be read; save it with 8 or "
                "16 bits, in one plane"
            )

    @property
    def _row(self) -> int:
        """Returns the bytes of a row of packed samples, or of the row of a tile."""
        samples = 1 if self.is_planar else self.samples
        return -(-(self.tile or self.width) * samples * self.bits // 8)

    def planes(self, load: Callable[[Patched], Any]) -> list[Any]:
        """Loads one image, or one for each plane, by a function of the changed file."""
        planes = range(self.samples) if self.is_planar else range(1)
        return [load(self._changed(plane)) for plane in planes]

    def _changed(self, plane: int) -> Patched:
        """Returns the file with a header that describes a single plane, or rows of bytes."""
        new = {_PLANES: 1, _SAMPLES: 1, _MEANING: min(self.meaning, 1) if self.is_planar else 1}
        if self.is_lab and not self.is_planar:
            new = {_MEANING: _RGB}
        elif self.is_packed:
            across = -(-self.width // self.tile) if self.tile else 1
            new |= {_WIDTH: self._row * across, _TILE_WIDTH: self._row, _BITS: 8, _MEANING: 1}
        elif self.meaning > 1:
            new[_MEANING] = 1
        patches: dict[int, bytes] = {}
        for entry in tiff_directory.entries(self._data, tiff_directory.first(self._data)):
            place = tiff_directory.values_at(self._data, entry)
            if entry.tag == _EXTRA_SAMPLES:
                patches[entry.at] = struct.pack(tiff_directory.order(self._data) + "H", _NO_TAG)
            elif entry.form and entry.tag in new:
                count = (place.stop - place.start) // struct.calcsize(entry.form)
                form = f"{entry.form[0]}{count}{entry.form[1]}"
                patches[place.start] = struct.pack(form, *[new[entry.tag]] * count)
            elif entry.form and self.is_planar and entry.tag in (*_STRIPS, *_TILES):
                values = self._found[entry.tag]
                part = values[plane * len(values) // self.samples :][: len(values) // self.samples]
                form = f"{entry.form[0]}{len(part)}{entry.form[1]}"
                patches[place.start] = struct.pack(form, *part)
        # Pages of a file that is read do not count as this program's memory, those of a map do.
        file = open(self._path, "rb") if self._path else io.BytesIO(self._data)
        return Patched(file, patches)

    def rows(self, planes: list[Any]) -> Rows:
        """Returns the samples [H, W, samples] uint16 in full range, unpacked when they are taken.

        Args:
          planes: As `planes` gives them, of samples of 9 to 15 bits; read once, from the top.
        """
        height = planes[0].height
        fetchers = [libvips.row_fetcher(plane) for plane in planes]

        def taken(rows: slice) -> np.ndarray:
            parts = [self._unpacked(fetch(rows)[..., 0]) for fetch in fetchers]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

        return Rows((height, self.width, self.samples), np.uint16, taken)

    def _unpacked(self, rows: np.ndarray) -> np.ndarray:
        """Unpacks [H, bytes] uint8 -> [H, W, samples] uint16 in full range."""
        height, wide = len(rows), self.tile or self.width
        samples = 1 if self.is_planar else self.samples
        output = np.empty((height, self.width, samples), np.uint16)
        weights = (1 << np.arange(self.bits)[::-1]).astype(np.uint16)
        for top in range(0, height, 64):  # unpacked bits take 8 times the memory
            part = rows[top : top + 64].reshape(-1, self._row)
            bits = np.unpackbits(part, axis=-1, count=wide * samples * self.bits)
            values = bits.reshape(-1, self.bits) @ weights
            values = values.reshape(len(rows[top : top + 64]), -1, samples)[:, : self.width]
            output[top : top + 64] = scaled(values, (1 << self.bits) - 1)
        return output ^ np.uint16(65535 if self.meaning == 0 else 0)
