"""A gray picture as scanners and archives write it, and what is to be read of it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from helpers.pictures import chunk
from residual_encoder.imaging import image_io

Y, X = np.mgrid[:48, :61]
GRAY = (40 + X * 3 + Y // 2).astype(np.uint8)  # 40 to 243: no level of a depth is missing
DEEP = GRAY.astype(np.uint16) * 257
ALPHA = (255 - Y * 4).astype(np.uint8)


def png(pixels: np.ndarray, *chunks: bytes) -> bytes:
    """A gray PNG of 8 or 16 bits with more chunks."""
    bits, rows = 8 * pixels.itemsize, pixels.astype(">u2" if pixels.itemsize == 2 else "u1")
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = chunk(b"IHDR", head), *chunks, chunk(b"IDAT", body), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def check(data: bytes, wanted: Any = GRAY, depth: int | None = None, atol: float = 1.0) -> None:
    """Gray pixels within `atol` of 255, and the depth of the file."""
    picture = image_io.decode(data)
    assert not picture.has_color
    pixels = picture.pixels / (257 if picture.depth == 16 else 1)
    np.testing.assert_allclose(pixels, wanted, atol=atol)
    assert depth in (None, picture.depth)


def alpha_of(data: bytes) -> np.ndarray:
    picture = image_io.decode(data)
    assert picture.alpha is not None
    return picture.alpha / (257 if picture.depth == 16 else 1)


def srgb(light: Any) -> np.ndarray:
    """Light from 0 to 1 as sRGB from 0 to 255; IEC 61966-2-1."""
    light = np.asarray(light, float)
    return 255 * np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    )


def gray_profile(curve: np.ndarray | float) -> bytes:
    """An ICC profile of version 2 for gray: an exponent, or light by sample value in [0, 1]."""
    if isinstance(curve, float):
        tone = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(curve * 256)) + b"\0\0"
    else:
        table = np.rint(curve * 65535).astype(">u2")
        tone = b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Gray\0" + bytes(78)
    tags = {b"desc": text + bytes(-len(text) % 4), b"wtpt": white, b"kTRC": tone}
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, block in tags.items():
        table += name + struct.pack(">II", at + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", at + len(body), b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + white[8:]
    return head.ljust(128, b"\0") + table + body


def dot_gain(percent: int) -> np.ndarray:
    """Light by sample value on paper where a half-tone of 50 % prints `percent` darker."""
    ink = 1 - np.linspace(0, 1, 256)
    printed = np.clip(ink + 4 * percent / 100 * ink * (1 - ink), 0, 1)
    return 1 - printed


PROFILES = {
    "linear": gray_profile(1.0),
    "gamma 1.8": gray_profile(1.8),
    "gamma 2.2": gray_profile(2.2),
    "dot gain 20": gray_profile(dot_gain(20)),
    "dot gain 15": gray_profile(dot_gain(15)),
}
