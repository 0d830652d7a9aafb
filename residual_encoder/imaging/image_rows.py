"""Pictures too large for memory: arrays whose rows are computed when they are taken."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from residual_encoder.imaging import image_decoding, libvips, tiff_directory
from residual_encoder.imaging.image_decoding import Opened
from residual_encoder.imaging.tiff_directory import LONG, SHORT, Field

_STRIP = 1 << 22  # bytes that are decoded or encoded at once
_LONG8 = 16  # a type of BigTIFF


class Rows:
    """Stands for an array [H, W] or [H, W, C] of which rows are taken by a slice, from the top.

    Attributes:
      shape: As of the array.
      dtype: As of the array.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, rows: Callable[[slice], np.ndarray]
    ) -> None:
        """Takes the function that computes rows, of a slice without gaps."""
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self._rows = rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Computes rows."""
        return self._rows(slice(*rows.indices(self.shape[0])[:2]))

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        """Computes all rows."""
        return np.asarray(self[:], dtype)

    def __len__(self) -> int:
        return self.shape[0]


def decoded(data: bytes, path: str | None) -> tuple[Rows, Rows | None]:
    """Returns a file's gray or colors, and its alpha or None; each decodes the file by itself.

    Raises:
      ValueError: a damaged file, also when rows are taken; the message continues the file's name.
    """
    opened = Opened(data, path)
    access = "random" if opened.turned else "sequential"  # libvips keeps random ones on the disk
    image = Opened(data, path, access).image()
    colors = image.bands - (image.bands in (2, 4))

    def part(channels: slice) -> Rows:
        count = len(range(image.bands)[channels])
        shape = (image.height, image.width) + ((count,) if count > 1 else ())
        dtype = np.uint8 if image.format == "uchar" else np.uint16
        return Rows(shape, dtype, _Decoder(lambda: Opened(data, path, access), channels).rows)

    pixels = part(slice(colors))
    if colors == 3 and not _has_color(pixels):
        pixels = part(slice(1, 2))
    return pixels, part(slice(colors, None)) if image.bands > colors else None


def _has_color(pixels: Rows) -> bool:
    blocks = (pixels[top : top + 64] for top in range(0, len(pixels), 64))
    return any((block != block[..., :1]).any() for block in blocks)


class _Decoder:
    """Decodes blocks of rows from the top; rows above the last ones start the file anew."""

    def __init__(self, open_file: Callable[[], Opened], channels: slice) -> None:
        self._open, self._channels = open_file, channels
        self._opened = open_file()
        self._image: Any = None
        self._region: Any = None
        self._top, self._bottom, self._block = 0, 0, np.empty(0, np.uint8)

    def rows(self, rows: slice) -> np.ndarray:
        parts, top = [], rows.start
        while top < rows.stop:
            if not self._top <= top < self._bottom:
                self._fetch(top)
            parts.append(self._block[top - self._top : rows.stop - self._top])
            top += len(parts[-1])
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _fetch(self, top: int) -> None:
        if self._region is None or top != self._bottom:
            self._image = self._open().image()
            self._region = libvips.load().Region.new(self._image)
        width, bands = self._image.width, self._image.bands
        dtype = np.uint8 if self._image.format == "uchar" else np.uint16
        count = max(1, _STRIP // (width * bands * np.dtype(dtype).itemsize))
        count = min(count, self._image.height - top)
        fetched = image_decoding.computed(self._opened, self._region.fetch, 0, top, width, count)
        samples: Any = np.frombuffer(fetched, dtype)
        block = samples.reshape(count, width, bands)[..., self._channels]
        self._block = block[..., 0] if block.shape[2] == 1 else block
        self._top, self._bottom = top, top + count


def image_of(pixels: Rows, errors: list[BaseException]) -> tuple[Any, Any]:
    """Makes libvips' image of rows that are computed while it is written, from the top.

    libvips reads an uncompressed TIFF whose bytes are made when it asks for them.

    Args:
      pixels: [H, W] gray, or [H, W, 3 or 4].
      errors: What computing rows raises is put here; libvips only tells that reading failed.

    Returns:
      The image, and what must live as long.
    """
    vips = libvips.load()
    source, stream = vips.SourceCustom(), _TiffStream(pixels)

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except BaseException as error:  # it must not leave libvips' callback
            errors.append(error)
            return b""

    source.on_read(read)
    source.on_seek(stream.seek)
    image = vips.Image.tiffload_source(source, access="sequential", fail_on="truncated")
    return image, source


class _TiffStream:
    """Gives the bytes of a BigTIFF of rows, from any place."""

    def __init__(self, pixels: Rows) -> None:
        height, width = pixels.shape[:2]
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        self._pixels, self._at = pixels, 0
        self._row = width * channels * pixels.dtype.itemsize
        self._strip = max(1, _STRIP // self._row)  # rows
        self._head = _header(height, width, channels, pixels.dtype, self._strip, self._row)
        self._length = len(self._head) + height * self._row
        self._number, self._bytes = -1, b""

    def read(self, size: int) -> bytes:
        behind = self._at - len(self._head)
        if behind < 0:
            part = self._head[self._at : self._at + size]
        else:
            number, start = divmod(behind, self._strip * self._row)
            part = self._strip_bytes(number)[start : start + size]
        self._at += len(part)
        return bytes(part)

    def seek(self, offset: int, whence: int) -> int:
        self._at = offset + (0, self._at, self._length)[whence]
        return self._at

    def _strip_bytes(self, number: int) -> bytes:
        if number * self._strip >= self._pixels.shape[0]:
            return b""
        if number != self._number:
            top = number * self._strip
            rows = self._pixels[top : top + self._strip]
            self._number, self._bytes = number, np.ascontiguousarray(rows, rows.dtype).tobytes()
        return self._bytes


def _header(height: int, width: int, channels: int, dtype: Any, strip: int, row: int) -> bytes:
    """Returns the first bytes of a BigTIFF without compression, up to its first strip."""
    counts = np.full(-(-height // strip), strip * row, np.uint64)
    counts[-1] = (height - (len(counts) - 1) * strip) * row

    def directory(start: int) -> bytes:
        offsets = start + np.arange(len(counts), dtype=np.uint64) * np.uint64(strip * row)
        numbers = {256: width, 257: height, 278: strip}
        shorts = {259: [1], 262: [2 if channels > 1 else 1], 277: [channels]}
        shorts |= {258: [8 * dtype.itemsize] * channels} | ({338: [2]} if channels == 4 else {})
        fields = [Field(tag, LONG, struct.pack("<I", number)) for tag, number in numbers.items()]
        fields += [
            Field(tag, SHORT, np.array(some, "<u2").tobytes()) for tag, some in shorts.items()
        ]
        fields += [Field(273, _LONG8, offsets.tobytes()), Field(279, _LONG8, counts.tobytes())]
        return tiff_directory.write(tuple(fields), "<", 16, big=True)

    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)
    return head + directory(16 + len(directory(0)))
