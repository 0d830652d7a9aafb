"""Metadata of picture files: what goes along from a picture to its colored copy.

libvips keeps ICC profiles, XMP, resolution and the IPTC data of JPEG. What it leaves out or changes
is done here: EXIF data go along byte by byte, into and out of TIFF too, IPTC data into every
format, and texts.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any

from residual_encoder.imaging import animated_png, jp2_boxes, tiff_directory
from residual_encoder.imaging.image_headers import png_chunks
from residual_encoder.imaging.tiff_directory import LONG, SHORT, TIFF, Field

# TIFF 6.0 tags; EXIF borrows the first six. 33723 is IPTC's own.
DESCRIPTION, ORIENTATION, SOFTWARE, ARTIST = 270, 274, 305, 315
RESOLUTION, RESOLUTION_UNIT = (282, 283), 296
_UNITS = (1,), (2,), (3,)  # values of RESOLUTION_UNIT: none, inches, centimeters
DOCUMENT_NAME, COPYRIGHT, IPTC = 269, 33432, 33723
# Values of ORIENTATION, EXIF 2.32, 4.6.4.A. To turn a picture upright: transpose, then mirror the
# columns, then the rows.
TRANSPOSED, MIRRORED, UPSIDE_DOWN = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
_PIXELS_X, _PIXELS_Y = 0xA002, 0xA003
# Of a TIFF file's own directory what describes the picture and not how its pixels are stored.
_DESCRIBING = {DOCUMENT_NAME, DESCRIPTION, 271, 272, 285, 297, SOFTWARE, 306, ARTIST, 316}
_DESCRIBING |= {*RESOLUTION, RESOLUTION_UNIT}
_NOT_DESCRIBING = {700, IPTC, 34377, 34675, 37724}  # XMP and ICC are libvips'; Photoshop's layers
_NOT_DESCRIBING |= set(range(32_995, 32_999))  # SGI's, of how samples lie
_DNG = range(50_706, 52_600)
_LARGEST = 1 << 20  # bytes of one value
IPTC_RESOURCE = b"8BIM\x04\x04\0\0"  # IPTC data, without a name
PNG_IPTC = b"Raw profile type iptc"  # ImageMagick's custom, which others follow
NAME = "residual-encoder"
# "Edited using generative AI", not "algorithmically enhanced": the colors are no correction of
# something recorded, a model derived from sampled content made them up.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_MARK = (
    f'<rdf:Description rdf:about="" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    f' xmlns:Iptc4xmpExt="{_EXTENSION}"'
    f' Iptc4xmpExt:DigitalSourceType="{_SOURCE_TYPE}"/>'
).encode()
_PACKET = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)


@dataclass(frozen=True)
class Metadata:
    """Holds the metadata copied from a picture to its colored copy.

    Attributes:
      exif: A TIFF structure without "Exif" before it, orientation 1; empty where there is none.
      icc: A color profile for RGB; empty where there is none.
      xmp: An XMP packet; empty where there is none.
      iptc: IPTC-IIM records; empty where there are none.
      resolution: Pixels a millimeter, across and down; None where unknown.
      texts: Keyword and text, as PNG has them; a JPEG's comment has the keyword "Comment".
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    resolution: tuple[float, float] | None = None
    texts: tuple[tuple[str, str], ...] = ()


NOTHING = Metadata()


# --- reading --------------------------------------------------------------------------------------


def collect(image: Any, data: bytes, kind: str) -> Metadata:
    """Collects a file's metadata.

    Args:
      image: libvips' image of the file.
      data: The file's bytes.
      kind: As of `image_headers.kind_of`.
    """

    def blob(name: str) -> bytes:
        return bytes(image.get(name)) if image.get_typeof(name) else b""

    turned = bool(image.get_typeof("orientation")) and image.get("orientation") in TRANSPOSED
    if kind == "tiff":
        exif = upright(_exif_of_tiff(data), turned)
    else:
        block = blob("exif-data")
        start = re.search(rb"II\*\0|MM\0\*", block[:16])
        exif = upright(block[start.start() :]) if start else b""
    resolution = _dots(data, kind)
    resolution = resolution[::-1] if resolution and turned else resolution or _resolution(exif)
    texts = _png_texts(data) if kind == "png" else _jpeg_comments(data) if kind == "jpeg" else ()
    return Metadata(
        exif,
        rgb_profile(blob("icc-profile-data")),
        re.sub(rb"(tiff:Orientation(?:=[\"']|>))\d", rb"\g<1>1", blob("xmp-data")),
        _iptc(blob("iptc-data")) or _iptc_of_png(texts),
        resolution if resolution and all(map(_is_plausible, resolution)) else None,
        tuple(text for text in texts if text[0] != PNG_IPTC.decode()),
    )


def tags(data: bytes) -> dict[int, int]:
    """Returns short and long values of a TIFF structure's first directory, by tag.

    Where the directory is cut off, those before the end.
    """
    found: dict[int, int] = {}
    try:
        for entry in tiff_directory.entries(data, tiff_directory.first(data)):
            if entry.form and entry.kind in (SHORT, LONG):
                (found[entry.tag],) = struct.unpack_from(entry.form, data, entry.value_at)
    except (struct.error, OverflowError):
        pass
    return found


def rgb_profile(icc: bytes) -> bytes:
    """Returns the profile if it is for RGB, else nothing: a gray one does not fit a color file."""
    return icc if icc[16:20] == b"RGB " else b""  # ICC.1:2022, 7.2.8: data color space


def upright(exif: bytes, turned: bool | None = None) -> bytes:
    """Adapts EXIF data to a picture that has been turned upright.

    Orientation becomes 1, width and height change places where the picture was turned by a
    quarter, and the thumbnail, which is gray and perhaps lies on its side, is left out.

    Args:
      exif: A TIFF structure.
      turned: Whether it was turned by a quarter; None is as its orientation says.

    Returns:
      The same without a thumbnail; empty where the data is damaged.
    """
    if exif[:4] not in TIFF:
        return b""
    if turned is None:
        turned = tags(exif).get(ORIENTATION, 1) in TRANSPOSED
    sign = tiff_directory.order(exif)
    try:
        fields = tiff_directory.read(exif)
    except (struct.error, OverflowError):
        return b""
    return tiff_directory.structure(_adapted(fields, sign, turned), sign)


def _adapted(fields: tuple[Field, ...], sign: str, turned: bool) -> tuple[Field, ...]:
    sides = (_PIXELS_X, _PIXELS_Y), RESOLUTION
    swaps = {tag: other for pair in sides for tag, other in (pair, pair[::-1])} if turned else {}

    def adapted(field: Field) -> Field:
        if field.tag == ORIENTATION:
            return Field(ORIENTATION, SHORT, struct.pack(sign + "H", 1))
        inner = _adapted(field.fields, sign, turned)
        return field._replace(tag=swaps.get(field.tag, field.tag), fields=inner)

    return tuple(adapted(field) for field in fields if _is_valid(field, sign))


def _is_valid(field: Field, sign: str) -> bool:
    """Returns whether readers of TIFF take an entry: of another unit they refuse the whole file."""
    return field.tag != RESOLUTION_UNIT or tiff_directory.whole(field, sign) in _UNITS


def _exif_of_tiff(data: bytes) -> bytes:
    """Makes EXIF data of what a TIFF file's directory tells about the picture."""
    try:
        fields = tiff_directory.read(data)
    except (struct.error, OverflowError):
        return b""
    kept = tuple(field for field in fields if describes(field))
    return tiff_directory.structure(kept, tiff_directory.order(data)) if kept else b""


def describes(field: Field) -> bool:
    """Returns whether an entry describes the picture, not how its pixels are stored."""
    if field.tag < 700:
        return field.tag in _DESCRIBING and len(field.data) < _LARGEST
    other = field.tag in _NOT_DESCRIBING or field.tag in _DNG or field.tag == ORIENTATION
    return not other and len(field.data) < _LARGEST


def _dots(data: bytes, kind: str) -> tuple[float, float] | None:
    """Returns pixels a millimeter as a file's own fields have them; None without a unit."""
    if kind == "jp2":
        return jp2_boxes.resolution(data)
    if kind == "jpeg" and data[6:10] == b"JFIF":
        unit, across, down = struct.unpack_from(">BHH", data, 13)
        scale = {1: 25.4, 2: 10.0}.get(unit, 0.0)
    elif kind == "png" and len(block := png_chunks(data, (b"pHYs",)).get(b"pHYs", b"")) == 9:
        across, down, unit = struct.unpack(">IIB", block)
        scale = 1000.0 * unit
    else:
        return None
    return (across / scale, down / scale) if scale and across and down else None


def _resolution(exif: bytes) -> tuple[float, float] | None:
    """Returns pixels a millimeter as EXIF data have them."""
    if not exif:
        return None
    sign = tiff_directory.order(exif)
    found = {field.tag: field.data for field in tiff_directory.read(exif)}
    unit = {2: 25.4, 3: 10.0}.get(tags(exif).get(RESOLUTION_UNIT, 2))
    pairs = [
        struct.unpack(sign + "II", found.get(tag, b"").ljust(8, b"\0")[:8]) for tag in RESOLUTION
    ]
    if not unit or not all(part for pair in pairs for part in pair):
        return None
    return pairs[0][0] / pairs[0][1] / unit, pairs[1][0] / pairs[1][1] / unit


def _is_plausible(side: float) -> bool:
    """Returns whether pixels a millimeter are those of some scanner, and fit into all formats."""
    return 0.001 <= side <= 100_000


def _iptc(block: bytes) -> bytes:
    """Returns the records of what JPEG and TIFF files hold: plain, or among Photoshop's."""
    if block[:1] == b"\x1c":
        return block
    at = block.find(IPTC_RESOURCE) + len(IPTC_RESOURCE)
    if at < len(IPTC_RESOURCE):
        return b""
    return block[at + 4 : at + 4 + int.from_bytes(block[at : at + 4])]


def _iptc_of_png(texts: tuple[tuple[str, str], ...]) -> bytes:
    found = dict(texts).get(PNG_IPTC.decode(), "").split(maxsplit=2)
    try:
        return _iptc(bytes.fromhex(found[2])) if len(found) == 3 else b""
    except ValueError:
        return b""


def _jpeg_comments(data: bytes) -> tuple[tuple[str, str], ...]:
    found, at = [], 2
    while at + 4 < len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xFE:
            found.append(("Comment", _text(bytes(data[at + 4 : at + 2 + length]))))
        at += 2 + length
    return tuple(found)


def _text(block: bytes) -> str:
    try:
        return block.decode().rstrip("\0")
    except UnicodeDecodeError:
        return block.decode("latin-1").rstrip("\0")


def _png_texts(data: bytes) -> tuple[tuple[str, str], ...]:
    found = []
    for kind, begin, end in animated_png.places(data):
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = bytes(data[begin:end]).partition(b"\0")
            if keyword != b"XML:com.adobe.xmp":
                found.append((keyword.decode("latin-1"), _png_text(kind, rest)))
    return tuple((keyword, text) for keyword, text in found if text is not None)


def _png_text(kind: bytes, rest: bytes) -> str | None:
    """Decodes a text of PNG's third edition, 11.3.3; None where it is damaged."""
    packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\x01")
    if kind == b"iTXt":
        rest = rest[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        rest = rest[1:]
    try:
        block = zlib.decompressobj().decompress(rest, _LARGEST) if packed else rest
        return block.decode("utf-8" if kind == b"iTXt" else "latin-1")
    except (zlib.error, UnicodeDecodeError):
        return None


# --- marking --------------------------------------------------------------------------------------


def marked(metadata: Metadata) -> Metadata:
    """Marks metadata as that of a picture that was colored by an algorithm.

    EXIF's Software becomes this program, and IPTC's DigitalSourceType in XMP tells that a trained
    model took part.
    """
    exif = with_fields(metadata.exif, {SOFTWARE: Field(SOFTWARE, 2, NAME.encode() + b"\0")}, True)
    space = rb"(?:\w+:)DigitalSourceType"
    xmp = re.sub(rb"\s" + space + rb"\s*=\s*([\"']).*?\1", b"", metadata.xmp, flags=re.DOTALL)
    xmp = re.sub(rb"<(" + space + rb")\b.*?(?:</\1>|/>)", b"", xmp, flags=re.DOTALL)
    end = re.search(rb"</[\w.-]+:RDF\s*>", xmp or _PACKET)
    if end:
        xmp = xmp or _PACKET
        xmp = xmp[: end.start()] + _MARK + xmp[end.start() :]
    return replace(metadata, exif=exif, xmp=xmp)


def with_fields(exif: bytes, added: dict[int, Field], replaced: bool = False) -> bytes:
    """Adds fields, in the byte order "<", to EXIF data; those there stay or are replaced."""
    sign = tiff_directory.order(exif) if exif else "<"
    present = tiff_directory.read(exif) if exif else ()
    tags_there = {field.tag for field in present}
    new = tuple(field for tag, field in added.items() if replaced or tag not in tags_there)
    kept = tuple(field for field in present if not replaced or field.tag not in added)
    return tiff_directory.structure(
        kept + (tiff_directory.swapped(new) if sign == ">" else new), sign
    )
