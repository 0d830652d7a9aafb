"""Puts metadata into the files that libvips writes, where it leaves some out or changes them."""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import replace
from typing import Any

from residual_encoder.imaging import animated_webp, tiff_directory
from residual_encoder.imaging.animated_png import chunk
from residual_encoder.imaging.image_headers import PNG
from residual_encoder.imaging.image_metadata import (
    ARTIST,
    COPYRIGHT,
    DESCRIPTION,
    DOCUMENT_NAME,
    IPTC,
    IPTC_RESOURCE,
    PNG_IPTC,
    RESOLUTION,
    RESOLUTION_UNIT,
    Metadata,
    describes,
    with_fields,
)
from residual_encoder.imaging.tiff_directory import SHORT, Field

JPEG_EXIF = 65_527  # bytes; a segment's 65,535 without its length and "Exif\0\0"
_JPEG_ICC = 255 * 65_519
_JPEG_COMMENT = 65_533
_DIRECTORY = 256  # bytes that the entries of resolution and texts take, at most
_PHOTOSHOP = b"Photoshop 3.0\0"
# Texts of PNG and their EXIF tags. "Comment" is that of JPEG.
_TEXTS = {
    "Title": DOCUMENT_NAME,
    "Author": ARTIST,
    "Copyright": COPYRIGHT,
    "Description": DESCRIPTION,
    "Comment": DESCRIPTION,
}


def prepared(metadata: Metadata, kind: str) -> Metadata:
    """Puts into EXIF data what a format has no other place for, and leaves out what does not fit.

    Args:
      metadata: Of the picture to write.
      kind: "jpeg", "png", "webp" or "tiff".
    """
    added = {}
    if metadata.resolution and (metadata.exif or kind in ("webp", "tiff")):
        dots = [struct.pack("<II", round(25_400 * side), 1000) for side in metadata.resolution]
        added = {tag: Field(tag, 5, dot) for tag, dot in zip(RESOLUTION, dots, strict=True)}
        added[RESOLUTION_UNIT] = Field(RESOLUTION_UNIT, SHORT, struct.pack("<H", 2))
    room = JPEG_EXIF - len(metadata.exif) - _DIRECTORY if kind == "jpeg" else sys.maxsize
    for keyword, text in metadata.texts if kind != "png" else ():
        block, tag = text.encode() + b"\0", _TEXTS.get(keyword)
        # A text that is too long is left out by itself, not with all of the EXIF data.
        if tag and (kind != "jpeg" or keyword != "Comment") and len(block) <= room:
            added.setdefault(tag, Field(tag, 2, block))
            room -= len(block)
    if metadata.iptc and kind == "webp":
        added[IPTC] = Field(IPTC, 7, metadata.iptc)
    exif = with_fields(metadata.exif, added) if added else metadata.exif
    if kind == "jpeg":
        return replace(
            metadata,
            exif=_shortened(exif, JPEG_EXIF),
            icc=metadata.icc if len(metadata.icc) <= _JPEG_ICC else b"",
            iptc=metadata.iptc if len(metadata.iptc) < 65_000 else b"",
        )
    return replace(metadata, exif=exif)


def _shortened(exif: bytes, most: int) -> bytes:
    """Leaves out the largest entries of EXIF data until so many bytes are not exceeded."""
    if len(exif) <= most:
        return exif
    sign, fields = tiff_directory.order(exif), tiff_directory.read(exif)
    while fields and len(exif := tiff_directory.structure(fields, sign)) > most:
        fields = _without_largest(fields)
    return exif if fields else b""


def _without_largest(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Takes out the largest value of a directory, or of one that it points at."""

    def size(field: Field) -> int:
        return max(len(field.data), *map(size, field.fields), 0)

    largest = max(fields, key=size)
    rest = tuple(field for field in fields if field is not largest)
    if inner := largest.fields and _without_largest(largest.fields):
        return (*rest, largest._replace(fields=inner))
    return rest


def with_header(head: bytes, metadata: Metadata, kind: str) -> bytes:
    """Adds what libvips left out to the first bytes of a JPEG or PNG that it wrote.

    A resolution that is not known, which it writes all the same, is taken out.
    """
    at = head.find(b"pHYs", 0, head.find(b"IDAT")) - 4
    if kind == "png" and not metadata.resolution and at > 0:
        head = head[:at] + head[at + 21 :]
    at = 2 if kind == "jpeg" else len(PNG) + 25  # behind the header
    return head[:at] + _inserted(metadata, kind) + head[at:]


def _inserted(metadata: Metadata, kind: str) -> bytes:
    if kind == "png":
        parts = [chunk(b"eXIf", metadata.exif)] if metadata.exif else []
        parts += [_png_chunk(*text) for text in metadata.texts if 0 < len(text[0]) < 80]
        if metadata.iptc:
            block = f"\niptc\n{len(metadata.iptc):8}\n{metadata.iptc.hex()}\n".encode()
            parts.append(chunk(b"zTXt", PNG_IPTC + b"\0\0" + zlib.compress(block)))
        return b"".join(parts)
    dots = [min(65535, max(1, round(25.4 * side))) for side in metadata.resolution or ()]
    jfif = struct.pack(">BHH", 1, *dots) if dots else b"\0\0\1\0\1"  # or pixels of no known size
    parts = [_segment(0xE0, b"JFIF\0\1\2" + jfif + b"\0\0")]
    parts += [_segment(0xE1, b"Exif\0\0" + metadata.exif)] if metadata.exif else []
    for keyword, text in metadata.texts:
        if keyword == "Comment":
            whole = text.encode()[:_JPEG_COMMENT].decode(errors="ignore")  # no half character
            parts.append(_segment(0xFE, whole.encode()))
    return b"".join(parts)


def photoshop_block(iptc: bytes) -> bytes:
    """Returns IPTC records as a JPEG holds them."""
    return _PHOTOSHOP + IPTC_RESOURCE + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)


def _segment(code: int, block: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(block) + 2) + block


def _png_chunk(keyword: str, text: str) -> bytes:
    head = keyword.encode("latin-1", "replace") + b"\0"
    try:
        return chunk(b"tEXt", head + text.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", head + b"\0\0\0\0" + text.encode())


def with_webp_exif(webp: bytes, exif: bytes) -> bytes:
    """Replaces the EXIF data of a WebP."""
    parts = [(name, exif if name == b"EXIF" else old) for name, old in animated_webp.chunks(webp)]
    whole = b"WEBP" + b"".join(animated_webp.chunk(*part) for part in parts)
    return animated_webp.chunk(b"RIFF", whole)


def tiff_directory_with(data: Any, metadata: Metadata) -> tuple[int, bytes, int, bytes]:
    """Makes the first directory of a TIFF anew, with EXIF data and IPTC records.

    Returns:
      Where the directory goes, behind the end of the data; its bytes; and where to write which
      bytes that point at it.
    """
    fields, sign = tiff_directory.read(data, stay=True), tiff_directory.order(data)
    start, big = len(data) + len(data) % 2, data[2:4] in (b"+\0", b"\0+")
    # libvips writes a resolution even where none is known, and always in centimeters.
    fields = tuple(f for f in fields if f.tag not in (*RESOLUTION, RESOLUTION_UNIT))
    there = {field.tag for field in fields}
    own: tuple[Field, ...] = tiff_directory.read(metadata.exif) if metadata.exif else ()
    other = bool(metadata.exif) and tiff_directory.order(metadata.exif) != sign
    own = tiff_directory.swapped(own) if other else tuple(_loose(field) for field in own)
    kept = tuple(field for field in own if field.tag not in there and describes(field))
    kept += (Field(IPTC, 7, metadata.iptc),) if metadata.iptc else ()
    directory = tiff_directory.write((*fields, *kept), sign, start, big)
    return start, directory, 8 if big else 4, struct.pack(sign + ("Q" if big else "I"), start)


def with_tiff_fields(data: bytes, metadata: Metadata) -> bytes:
    """Adds EXIF data and IPTC records to a TIFF file's bytes."""
    start, directory, at, pointer = tiff_directory_with(data, metadata)
    whole = data[:at] + pointer + data[at + len(pointer) :]
    return whole + bytes(start - len(data)) + directory


def _loose(field: Field) -> Field:
    return field._replace(at=0, fields=tuple(_loose(inner) for inner in field.fields))
