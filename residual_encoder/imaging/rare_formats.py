"""Reads the formats that libvips does not: PNM, BMP and JPEG 2000.

OpenCV decodes BMP and JPEG 2000. What their headers declare is compared with what it gives, since
it neither scales samples of fewer bits to their type nor refuses what it cannot do.
"""

from __future__ import annotations

import contextlib
import math
import re
import struct
from collections.abc import Iterator

import cv2
import numpy as np

from residual_encoder.imaging.image_headers import JP2

Size = tuple[int, int]  # height, width
_GAP = rb"(?:\s|#[^\n]*\n)+"
# Kind, width, height and, but of bitmaps, the value of white.
_PNM = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?:" + _GAP + rb")?")
_PEAK = re.compile(rb"(\d{1,5})\s")
_BGRX = (0xFF0000, 0xFF00, 0xFF)  # masks of a BMP's red, green and blue
_BYTES = {0, *_BGRX, 0xFF000000}
_TEXT_HEADER = 4096  # bytes: comments beyond are not looked through


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences OpenCV's own log: callers turn its failures into errors."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def size(data: bytes, kind: str) -> Size:
    """Returns the height and width that a "bmp", "jp2" or "pnm" declares; (0, 0) if damaged."""
    try:
        return {"bmp": _bmp_size, "jp2": _jp2_size, "pnm": _pnm_size}[kind](data)
    except struct.error:
        return 0, 0


def decode(data: bytes, kind: str) -> np.ndarray:
    """Decodes a "bmp", "jp2" or "pnm" to [H, W, 1 to 4] gray or RGB, alpha last; uint8 or uint16.

    Raises:
      ValueError: damaged, or a kind that is not decoded rightly; the message says why.
    """
    try:
        return {"bmp": _bmp, "jp2": _jp2, "pnm": _pnm}[kind](data)
    except struct.error as error:
        raise ValueError("its header") from error


def scaled(samples: np.ndarray, peak: int) -> np.ndarray:
    """Scales samples from 0 to `peak` to the full range of uint8, or of uint16 above 255."""
    dtype = np.uint8 if peak < 256 else np.uint16
    top = np.iinfo(dtype).max
    if samples.size and samples.max() > peak:
        raise ValueError(f"a sample is {samples.max()}, above white, which is {peak}")
    table = (np.arange(peak + 1, dtype=np.uint64) * top + peak // 2) // peak
    return samples.astype(dtype) if peak == top else table.astype(dtype)[samples]


# --- OpenCV ---------------------------------------------------------------------------------------


def _bmp_size(data: bytes) -> Size:
    core = struct.unpack_from("<I", data, 14) == (12,)  # OS/2: sides of 16 bits
    width, height = struct.unpack_from("<HH" if core else "<ii", data, 18)
    return abs(height), abs(width)


def _jp2_size(data: bytes) -> Size:
    """Reads the SIZ segment of the codestream, ITU-T T.800 annex A.5.1."""
    right, bottom, left, top = struct.unpack_from(">IIII", data, data.find(JP2[1]) + 8)
    return max(bottom - top, 0), max(right - left, 0)


def _by_opencv(data: bytes, size: Size) -> np.ndarray:
    """Decodes to [H, W, C], RGB."""
    try:
        with quiet():
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError("")
    if pixels.shape[:2] != size:
        raise ValueError(f"decoded to {pixels.shape[1]} x {pixels.shape[0]} pixels")
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    return cv2.cvtColor(pixels, codes[channels]) if channels > 1 else pixels[..., None]


def _bmp(data: bytes) -> np.ndarray:
    masks = _bmp_masks(data)
    if not {*masks} <= _BYTES or (len(masks) == 3 and masks != _BGRX):
        raise ValueError("Unsupported masks of its channels")
    pixels = _by_opencv(data, _bmp_size(data))
    if pixels.dtype != np.uint8:
        raise ValueError(f"Unsupported samples, {pixels.dtype}")
    # OpenCV takes for alpha what lies between the colors, mostly zeros, where no mask says so.
    return pixels[..., :3] if masks and not any(masks[3:]) else pixels


def _bmp_masks(data: bytes) -> tuple[int, ...]:
    """Returns the masks of red, green, blue and, where there may be one, alpha in 32 bits."""
    (length,) = struct.unpack_from("<I", data, 14)
    bits, compression = struct.unpack_from("<HI", data, 28) if length >= 40 else (0, 0)
    if bits != 32 or compression != 3:  # BI_BITFIELDS
        return ()
    return struct.unpack_from("<4I" if length >= 56 else "<3I", data, 54)


def _jp2(data: bytes) -> np.ndarray:
    start = data.find(JP2[1])
    (count,) = struct.unpack_from(">H", data, start + 40)
    parts = {struct.unpack_from(">BBB", data, start + 42 + 3 * number) for number in range(count)}
    if data.find(b"\xff\xd9", start) < 0:
        raise ValueError("its end is missing")
    enumerated = re.search(rb"colr\x01..(....)", data[:start], re.DOTALL)
    if enumerated and int.from_bytes(enumerated[1]) not in (16, 17, 18):  # sRGB, gray, sYCC
        raise ValueError("Unsupported color space")
    depth = max(parts, default=(99,))[0] + 1
    if len(parts) != 1 or depth > 16 or count not in (1, 3, 4) or b"pclr" in data[:start]:
        raise ValueError("Unsupported samples: a palette, signed, subsampled or uneven depths")
    pixels = _by_opencv(data, _jp2_size(data))
    if pixels.shape[2] != count or pixels.dtype != (np.uint8 if depth <= 8 else np.uint16):
        raise ValueError(f"Unsupported samples, {count} of {depth} bits")
    return scaled(pixels, (1 << depth) - 1)


# --- PNM ------------------------------------------------------------------------------------------


def _pnm_header(data: bytes) -> tuple[int, int, int, int, int, int]:
    """Returns kind, height, width, channels, the value of white and where the samples begin."""
    head = data[:_TEXT_HEADER]
    if head.startswith(b"P7"):
        end = re.search(rb"\nENDHDR\s*?\n", head)
        found = dict(re.findall(rb"\n(HEIGHT|WIDTH|DEPTH|MAXVAL)\s+(\d{1,9})", head))
        if not end or len(found) != 4:
            return 7, 0, 0, 0, 0, 0
        sides = (int(found[name]) for name in (b"HEIGHT", b"WIDTH", b"DEPTH", b"MAXVAL"))
        return 7, *sides, end.end()  # type: ignore[return-value]
    found_sides = _PNM.match(head)
    if not found_sides:
        return 0, 0, 0, 0, 0, 0
    kind, width, height = (int(part) for part in found_sides.groups())
    if kind in (1, 4):
        at = found_sides.end(3) + 1 if kind == 4 else found_sides.end()
        return kind, height, width, 1, 1, at
    peak = _PEAK.match(head, found_sides.end())
    channels = 3 if kind in (3, 6) else 1
    return kind, height, width, channels, int(peak[1]) if peak else 0, peak.end() if peak else 0


def _pnm_size(data: bytes) -> Size:
    return _pnm_header(data)[1:3]


def _pnm(data: bytes) -> np.ndarray:
    kind, height, width, channels, peak, at = _pnm_header(data)
    if not 0 < peak < 65536 or not 1 <= channels <= 4:
        raise ValueError("its header")
    shape = height, width, channels
    if kind == 4:
        rows = np.frombuffer(data, np.uint8, height * -(-width // 8), at).reshape(height, -1)
        samples = np.unpackbits(rows, axis=1, count=width)
    elif kind == 1:
        bits = re.sub(rb"#[^\n]*\n|\s", b"", data[at:])[: height * width]
        samples = np.frombuffer(bits, np.uint8) - ord("0")  # others than 0 and 1 are above white
    elif kind < 4:
        words = re.sub(rb"#[^\n]*\n", b" ", data[at:]).split(maxsplit=math.prod(shape))
        if not all(word.isdigit() and len(word) < 6 for word in words[: math.prod(shape)]):
            raise ValueError("a sample is no number")
        samples = np.array([int(word) for word in words[: math.prod(shape)]], np.uint32)
    else:
        form = np.dtype(np.uint8 if peak < 256 else ">u2")
        samples = np.frombuffer(data, form, math.prod(shape), at)
    pixels = scaled(samples.reshape(shape), peak)
    return pixels ^ 255 if kind in (1, 4) else pixels
