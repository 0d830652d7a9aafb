"""Tells of files in a folder whose names are not those of pictures what they are.

A folder of scans holds more than pictures by name: pictures without a suffix, raw files of cameras,
documents. What looks like a picture or film and is not colored is worth a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from residual_encoder.imaging import image_headers

HEAD = 4096  # bytes that are looked at
# Suffixes under which JPEG files and animated PNG files also go.
_ALIASES = frozenset(".jfif .jif .jfi .pjpeg .pjp .apng".split())
# What may be a picture or film to its owner, but is not read.
_UNREAD = {
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".jxl": "JPEG XL",
    ".jxr": "JPEG XR",
    ".psd": "Photoshop",
    ".psb": "Photoshop",
    ".xcf": "GIMP",
    ".pdf": "PDF",
    ".djvu": "DjVu",
    ".svg": "SVG",
    ".tga": "Targa",
    ".pcx": "PCX",
    ".exr": "OpenEXR",
    ".hdr": "Radiance",
    **dict.fromkeys(".cr2 .cr3 .nef .arw .orf .rw2 .raf .dng .pef .srw .raw".split(), "camera raw"),
    **dict.fromkeys(".asf .divx .dv .f4v .m2v .mxf .rm .rmvb .3g2".split(), "film"),
}
_HEIC = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


class Kind(NamedTuple):
    """Describes a file; at most one of the two is not empty."""

    suffix: str = ""  # of the picture format that its bytes are in, to be colored
    left_out: str = ""  # why it is not colored


def kind_of(path: Path) -> Kind:
    """Looks at a file's first bytes.

    Args:
      path: A file whose suffix is none of those that are read.

    Returns:
      The format of a picture without a suffix, or with one of `_ALIASES`; or why what looks like a
      picture or film is left out; or neither for any other file.
    """
    suffix = path.suffix.lower()
    if suffix in _UNREAD:
        return Kind(left_out=f"{_UNREAD[suffix]} files cannot be read; save as TIFF, PNG or JPEG")
    head = _head(path)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return Kind(left_out=f"{_UNREAD['.heic']} files cannot be read; save as TIFF, PNG or JPEG")
    if not _begins_a_picture(head):
        return Kind()
    if not suffix or suffix in _ALIASES:
        return Kind(suffix=image_headers.suffix_of(head))
    return Kind(left_out=f"a picture by its content, but named {suffix}; rename it to color it")


def _head(path: Path) -> bytes:
    """Returns a file's first bytes; none where it cannot be read, or is a pipe or device."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _begins_a_picture(head: bytes) -> bool:
    """Returns whether bytes begin a picture; two letters alone, as of BMP, may begin a text."""
    if not image_headers.is_picture(head):
        return False
    if head[:2] != b"BM" and head[:1] != b"P":
        return True
    return all(image_headers.declared_size(head) or (0,)) and not head.isascii()
