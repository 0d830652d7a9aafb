"""Encodes pictures with libvips, with their metadata; BMP with OpenCV."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from residual_encoder.imaging import image_decoding, libvips, metadata_writing, tiff_stream
from residual_encoder.imaging.image_metadata import NOTHING, Metadata
from residual_encoder.imaging.rows import Rows

QUALITY = 95  # of 100, for JPEG and WebP: no visible blocks at about a third of PNG's size


@dataclass(frozen=True)
class _Format:
    name: str
    alpha: bool
    deep: bool  # takes uint16
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.name.lower()


# libvips keeps chroma at full size at this quality; it is what this program makes.
_JPEG = _Format("JPEG", False, False, {"Q": QUALITY})
_TIFF = _Format("TIFF", True, True, {"compression": "lzw", "predictor": "horizontal"})
_FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".png": _Format("PNG", True, True, {"compression": 3, "filter": "sub"}),
    ".webp": _Format("WebP", True, False, {"Q": QUALITY}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _Format("BMP", True, False),
}
WRITABLE = frozenset(_FORMATS)
_HEAD = 1 << 20  # bytes of a JPEG or PNG, before which the pixels begin
_CLASSIC = 1 << 31  # bytes of a TIFF; larger ones become BigTIFF


def format_name(suffix: str) -> str:
    """Returns the format that one of `WRITABLE`, in any case, stands for."""
    return _FORMATS[suffix.lower()].name


def check(shape: tuple[int, ...], dtype: Any, suffix: str) -> None:
    """Refuses pixels that a format cannot hold.

    Raises:
      ValueError: the format is unknown or cannot hold the picture.
    """
    if suffix not in _FORMATS:
        known = " ".join(_FORMATS)
        raise ValueError(f"cannot write a picture as {suffix or 'a name without suffix'}: {known}")
    shape_fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    if dtype not in (np.uint8, np.uint16) or not shape_fits or 0 in shape:
        raise ValueError(
            "a picture to write is [H, W], [H, W, 3] or [H, W, 4], uint8 or uint16. "
            f"Received {dtype} {shape}."
        )
    form = _FORMATS[suffix]
    if dtype == np.uint16 and not form.deep:
        raise ValueError(f"{form.name} holds 8 bits a channel, the picture has 16: use PNG or TIFF")
    if shape[2:] == (4,) and not form.alpha:
        raise ValueError(f"{form.name} holds no alpha, the picture has it: use PNG, WebP or TIFF")


def encode(pixels: np.ndarray, suffix: str, metadata: Metadata = NOTHING) -> bytes:
    """Encodes a picture; see `image_io.encode`."""
    check(pixels.shape, pixels.dtype, suffix)
    form = _FORMATS[suffix]
    if form.name == "BMP":
        return _bmp(pixels)
    metadata = metadata_writing.prepared(metadata, form.kind)
    image = _with_metadata(image_decoding.from_array(pixels), metadata, form.kind)
    try:
        data = getattr(image, f"{form.kind}save_buffer")(**_options(form, image, metadata))
    except libvips.load().Error as error:
        raise ValueError(f"{form.name} cannot hold it: {libvips.reason(error)}") from error
    return _finished(data, metadata, form.kind)


def save(path: str, pixels: Rows, suffix: str, metadata: Metadata = NOTHING) -> None:
    """Writes a picture whose rows are computed meanwhile; else as `encode`.

    Raises:
      ValueError: the format cannot hold the picture; or what computing the rows raises.
      OSError: the file cannot be written.
    """
    check(pixels.shape, pixels.dtype, suffix)
    form, errors = _FORMATS[suffix], list[BaseException]()
    if form.name == "BMP":
        Path(path).write_bytes(_bmp(np.asarray(pixels)))
        return
    metadata = metadata_writing.prepared(metadata, form.kind)
    image = tiff_stream.image_of(pixels, errors)
    image = _with_metadata(image, metadata, form.kind)
    try:
        with open(path, "w+b") as file:
            _save(image, file, form, metadata, errors)
    except libvips.load().Error as error:
        if not errors:
            why = libvips.reason(error)
            raise ValueError(f"{form.name} cannot hold it: {why}") from error
    if errors:
        raise errors[0]


def _save(
    image: Any, file: BinaryIO, form: _Format, metadata: Metadata, errors: list[BaseException]
) -> None:
    options = _options(form, image, metadata)
    if form.name == "TIFF":
        image.tiffsave(os.fsencode(file.name), **options)  # names need not be UTF-8
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at, directory, pointer_at, pointer = metadata_writing.tiff_directory_with(
                data, metadata
            )
        for place, block in ((at, directory), (pointer_at, pointer)):
            file.seek(place)
            file.write(block)
    elif form.name == "WebP":
        file.write(_finished(image.webpsave_buffer(**options), metadata, form.kind))
    else:
        save_target = getattr(image, f"{form.kind}save_target")
        _stream(save_target, file, form.kind, metadata, options, errors)


def _stream(
    save_target: Any,
    file: BinaryIO,
    kind: str,
    metadata: Metadata,
    options: dict[str, Any],
    errors: list[BaseException],
) -> None:
    """Writes what comes from libvips, with more metadata in the first bytes."""
    head = bytearray()

    def put(chunk: bytes) -> None:
        if len(head) < _HEAD:
            head.extend(chunk)
            if len(head) >= _HEAD:
                file.write(metadata_writing.with_header(bytes(head), metadata, kind))
        else:
            file.write(chunk)

    def write(chunk: bytes) -> int:
        try:
            put(chunk)
        except BaseException as error:  # it must not leave libvips' callback
            errors.append(error)
            return -1
        return len(chunk)

    target = libvips.load().TargetCustom()
    target.on_write(write)
    save_target(target, **options)
    if len(head) < _HEAD:
        file.write(metadata_writing.with_header(bytes(head), metadata, kind))


def _bmp(pixels: np.ndarray) -> bytes:
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    swapped = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, codes[pixels.shape[2]])
    return cv2.imencode(".bmp", swapped)[1].tobytes()


def _options(form: _Format, image: Any, metadata: Metadata) -> dict[str, Any]:
    keep = libvips.load().enums.ForeignKeep
    # libvips' own EXIF data, made even where there are none, are only a place for ours in a WebP.
    kept = keep.XMP | keep.IPTC | keep.ICC
    kept |= keep.EXIF if form.kind == "webp" and metadata.exif else 0
    options = form.options | {"keep": kept}
    if form.name == "TIFF":
        size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
        # LZW is quick but makes 16-bit photographs larger than no compression does.
        compression = "deflate" if image.format == "ushort" else "lzw"
        options |= {"bigtiff": size > _CLASSIC, "compression": compression}
    return options


def _with_metadata(image: Any, metadata: Metadata, kind: str) -> Any:
    """Gives an image what libvips writes by itself into a file of such a kind."""
    blob = libvips.load().GValue.blob_type
    blobs = {"icc-profile-data": metadata.icc, "xmp-data": metadata.xmp}
    if kind == "jpeg" and metadata.iptc:
        blobs["iptc-data"] = metadata_writing.photoshop_block(metadata.iptc)
    if kind == "webp" and metadata.exif:
        blobs["exif-data"] = b"Exif\0\0" + metadata.exif
    if metadata.resolution:
        image = image.copy(xres=metadata.resolution[0], yres=metadata.resolution[1])
    for name, block in blobs.items():
        if block:
            image.set_type(blob, name, block)
    return image


def _finished(data: bytes, metadata: Metadata, kind: str) -> bytes:
    """Adds the metadata that libvips does not write."""
    if kind == "tiff":
        return metadata_writing.with_tiff_fields(data, metadata)
    if kind == "webp":
        return metadata_writing.with_webp_exif(data, metadata.exif) if metadata.exif else data
    return metadata_writing.with_header(data[:_HEAD], metadata, kind) + data[_HEAD:]
