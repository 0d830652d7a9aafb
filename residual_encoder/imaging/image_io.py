"""Reads and writes picture files; orientation, alpha, bit depth and metadata are kept.

This is the decoder of pictures that are colored. Two others exist since a TensorFlow graph cannot
call it: `data.preprocessing.decode` in the input pipeline of training, and
`export.image_decoding.decode` inside an exported SavedModel. What they share, the first bytes of
formats and the meaning of orientations, is in `image_headers` and `image_metadata`.

libvips reads and writes, since it takes most of what archives hold and refuses the rest; what it
does not know is in `rare_formats`. Pictures above `IN_MEMORY` pixels are read and written in rows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from residual_encoder.imaging import (
    heif,
    image_decoding,
    image_encoding,
    image_metadata,
    image_rows,
    libvips,
)
from residual_encoder.imaging.image_decoding import Opened
from residual_encoder.imaging.image_encoding import WRITABLE, format_name
from residual_encoder.imaging.image_metadata import NOTHING, Metadata
from residual_encoder.imaging.rows import Rows
from residual_encoder.utils import files

__all__ = ["WRITABLE", "format_name"]

MAX_PIXELS = 200_000_000  # more than any camera's
MAX_BYTES = 2**31 - 1  # of a file; 200 megapixels need fewer
IN_MEMORY = 200_000_000  # pixels of a picture that is decoded as a whole
# Measured: coloring a file takes so many bytes of memory a pixel, twice as many at 16 bits, beyond
# the network's own: the picture, its colored copy, and what the decoder holds of it.
BYTES_PER_PIXEL = 10
_LARGE_FILE = 1 << 28  # bytes; larger ones are mapped into memory

READABLE = frozenset(
    ".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .jp2 .ppm .pgm .pbm .pnm .avif".split()
)


@dataclass(frozen=True)
class Picture:
    """Holds a decoded picture, upright.

    Attributes:
      pixels: [H, W] gray or [H, W, 3] RGB; uint8 or uint16, as in the file; sRGB, or what
        the profile in `metadata` defines. A picture whose three channels are equal everywhere is
        gray, however its file stores it. A very large one is `Rows`, decoded when rows are taken.
      alpha: [H, W] of the same type, 0 is transparent; None where the file has none.
      metadata: What goes along to a colored copy, with orientation 1; for `encode`.
      others: How many further pictures there are in its HEIC or AVIF file, of which this is the
        main one: thumbnails, depth maps, alpha and other auxiliary images are none.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: Metadata = NOTHING
    others: int = 0

    @property
    def has_color(self) -> bool:
        """Returns whether any pixel differs from gray."""
        return self.pixels.ndim == 3

    @property
    def depth(self) -> int:
        """Returns the bits a sample: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def rgb(self) -> np.ndarray:
        """Returns [H, W, 3], gray repeated, without alpha."""
        return self.pixels if self.has_color else np.stack([self.pixels] * 3, axis=-1)


# --- reading --------------------------------------------------------------------------------------


def _has_color(pixels: np.ndarray) -> bool:
    """Returns whether any pixel of [H, W, 3 or 4] differs from gray; mostly a few rows tell."""
    for rows in (pixels[::64], pixels):
        for row in rows:
            if np.any(row[:, 0] != row[:, 1]) or np.any(row[:, 1] != row[:, 2]):
                return True
    return False


def as_picture(pixels: np.ndarray, metadata: Metadata = NOTHING) -> Picture:
    """Makes a `Picture` of [H, W] or [H, W, 1 to 4], 8 or 16 bits: gray or RGB, alpha behind."""
    if pixels.ndim == 2:
        return Picture(np.ascontiguousarray(pixels), None, metadata)
    channels = pixels.shape[2]
    alpha = np.ascontiguousarray(pixels[..., -1]) if channels in (2, 4) else None
    gray = pixels[..., 0]
    if channels > 2:
        gray = pixels[..., :3] if _has_color(pixels) else pixels[..., 1]
    return Picture(np.ascontiguousarray(gray), alpha, metadata)


def decode(data: bytes, max_pixels: int | None = None) -> Picture:
    """Decodes a picture file's bytes.

    Takes JPEG (also CMYK), PNG, WebP, TIFF, BMP, GIF, JPEG 2000, PNM, AVIF and, where the package
    is there, HEIC: gray, palette or color, 1 to 16 bits, with or without alpha. Of an animation or
    a document, the first page; for all of them see `inference.pages`. What a file tells of its gray
    (an ICC profile, gAMA, cICP, a TransferFunction) is applied: gray is sRGB. Of a color picture
    the profile comes along in the metadata.

    Args:
      data: The bytes.
      max_pixels: Takes the place of `MAX_PIXELS`.

    Raises:
      ValueError: no picture, a truncated one, samples that are no 8- or 16-bit integers, or more
        than `max_pixels` pixels, by its header before it is decoded. The message continues the
        file's name: "is ...", "has ...".
    """
    if not data:
        raise ValueError("is empty; a picture file was wanted")
    if heif.is_heif(data[:64]):
        data, others = heif.as_png(data, max_pixels or MAX_PIXELS)
        return replace(_decoded(data, None, max_pixels or MAX_PIXELS), others=others)
    return _decoded(data, None, max_pixels or MAX_PIXELS)


def _decoded(data: bytes, path: str | None, max_pixels: int) -> Picture:
    with libvips.MESSAGES:  # every call of libvips may write messages, or stop them for a while
        return _decoded_alone(data, path, max_pixels)


def _decoded_alone(data: bytes, path: str | None, max_pixels: int) -> Picture:
    opened = Opened(data, path)
    height, width = opened.size
    if height * width > max_pixels:
        raise ValueError(
            f"has {width} x {height} pixels, {height * width / 1e6:.0f} megapixels; "
            f"at most {max_pixels / 1e6:.0f} are taken: make it smaller first"
        )
    metadata = image_metadata.collect(opened.raw, data, opened.kind)
    others = opened.raw.get_n_pages() - 1 if opened.kind == "avif" else 0
    if height * width > IN_MEMORY:
        pixels, alpha = cast(Any, image_rows.decoded(data, path))
        return Picture(pixels, alpha, metadata, others)
    return replace(as_picture(image_decoding.pixels(opened), metadata), others=others)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a picture file's bytes.

    Raises:
      ValueError: there are more than `MAX_BYTES`; nothing is read then.
      OSError: no such file, or it cannot be read.
    """
    path = Path(path)
    _check_length(path.stat().st_size)
    return path.read_bytes()


def read_stream(stream: BinaryIO) -> bytes:
    """Reads a stream such as standard input to its end.

    Raises:
      ValueError: there are more than `MAX_BYTES`; no more are read then.
    """
    data = stream.read(MAX_BYTES + 1)
    _check_length(len(data))
    return data


def _check_length(count: int, most: int | None = None) -> None:
    most = most or MAX_BYTES
    if count > most:
        raise ValueError(f"has more than {most / 2**20:,.0f} megabytes, which is the limit")


def read(path: str | os.PathLike[str], max_pixels: int | None = None) -> Picture:
    """Reads a picture file; see `decode`.

    Raises:
      ValueError: as `decode` and `read_bytes`, with the file's name.
      OSError: no such file, or it cannot be read.
    """
    try:
        length = Path(path).stat().st_size
        if length < _LARGE_FILE:
            return decode(read_bytes(path), max_pixels)
        _check_length(length, max(MAX_BYTES, 8 * (max_pixels or 0)))
        data = image_decoding.mapped(Path(path))
        return _decoded(data, os.fspath(path), max_pixels or MAX_PIXELS)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error


# --- writing --------------------------------------------------------------------------------------


def encode(pixels: np.ndarray, suffix: str, metadata: Metadata = NOTHING) -> bytes:
    """Encodes a picture.

    Args:
      pixels: [H, W] gray, [H, W, 3] RGB or [H, W, 4] RGBA; uint8, or uint16 for PNG and TIFF.
      suffix: One of `WRITABLE`, with its dot, in any case.
      metadata: That of a `Picture`; written into JPEG, PNG, WebP and TIFF.

    Raises:
      ValueError: the format cannot hold the picture.
    """
    return image_encoding.encode(pixels, suffix.lower(), metadata)


def write(
    path: str | os.PathLike[str], pixels: np.ndarray | Rows, metadata: Metadata = NOTHING
) -> None:
    """Writes a picture, whole or not at all, in the format of the path's suffix; see `encode`.

    An earlier file of that name is replaced. `Rows` are computed while they are written.

    Raises:
      ValueError: the format is unknown or cannot hold the picture.
      OSError: the folder cannot be written, or the disk is full.
    """
    if isinstance(pixels, Rows):
        with files.replacing(path) as temporary:
            suffix = Path(path).suffix.lower()
            image_encoding.save(os.fspath(temporary), pixels, suffix, metadata)
        return
    data = encode(pixels, Path(path).suffix, metadata)
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
