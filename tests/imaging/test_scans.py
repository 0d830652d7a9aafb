"""Pictures as scanners, archives and cameras write them: the right pixels, or a refusal.

Files are written by tifffile, imagecodecs and Pillow, and by hand where those do not write them.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.pictures import tiff
from helpers.scans import (
    ALPHA,
    DEEP,
    GRAY,
    alpha_of,
    check,
)

from residual_encoder.imaging import image_io

imagecodecs = pytest.importorskip("imagecodecs")

# --- planes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"rowsperstrip": 7}, {"compression": "lzw"}, {"tile": (32, 16)}, {"byteorder": ">"}],
    ids=["strip", "strips", "lzw", "tiles", "big-endian"],
)
def test_separate_planes(pixels: np.ndarray, options: dict) -> None:
    planes = np.stack([pixels, pixels // 2, 255 - pixels])
    color = image_io.decode(tiff(planes, photometric="rgb", planarconfig="separate", **options))
    np.testing.assert_array_equal(color.pixels, planes.transpose(1, 2, 0))
    gray = tiff(np.stack([pixels] * 3), photometric="rgb", planarconfig="separate", **options)
    check(gray, depth=8 * pixels.itemsize, atol=0)


@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
def test_separate_planes_with_alpha(pixels: np.ndarray) -> None:
    alpha = ALPHA.astype(pixels.dtype) * (257 if pixels.itemsize == 2 else 1)
    options: dict = {"planarconfig": "separate", "extrasamples": ["unassalpha"]}
    gray = tiff(np.stack([pixels, alpha]), photometric="minisblack", **options)
    check(gray, atol=0)
    color = tiff(np.stack([pixels, pixels, pixels, alpha]), photometric="rgb", **options)
    check(color, atol=0)
    for data in (gray, color):
        np.testing.assert_array_equal(alpha_of(data), ALPHA)


# --- depths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_more_bits(bits: int) -> None:
    pixels = GRAY if bits == 8 else DEEP >> (16 - bits)
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits)
    check(data, depth=8 if bits == 8 else 16, atol=0.51)
    white = np.full((16, 16), (1 << bits) - 1, pixels.dtype)
    encoded = imagecodecs.avif_encode(white, level=100, bitspersample=bits)
    assert (image_io.decode(encoded).pixels == (255 if bits == 8 else 65535)).all()


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("layout", ["gray", "white", "rgb", "planes", "strips"])
def test_tiff_of_9_to_15_bits(bits: int, layout: str) -> None:
    pixels, options = DEEP >> (16 - bits), {"photometric": "minisblack", "bitspersample": bits}
    if layout in ("rgb", "planes"):
        pixels = np.stack([pixels] * 3, -1 if layout == "rgb" else 0)
        options |= {"photometric": "rgb"}
        options |= {"planarconfig": "separate"} if layout == "planes" else {}
    options |= {"photometric": "miniswhite"} if layout == "white" else {}
    options |= {"rowsperstrip": 7} if layout == "strips" else {}
    wanted = 255.0 - GRAY if layout == "white" else GRAY
    check(tiff(pixels, **options), wanted, depth=16, atol=0.51)


def test_tiff_of_12_bits_in_tiles_or_refused() -> None:
    wide = np.tile(DEEP >> 4, (1, 5))
    options: dict = {"photometric": "minisblack", "bitspersample": 12}
    check(tiff(wide, tile=(64, 128), **options), np.tile(GRAY, (1, 5)), depth=16, atol=0.51)
    with pytest.raises(ValueError, match="has 12 bits a sample in a layout.*save it with 8 or 16"):
        image_io.decode(tiff(wide, tile=(16, 16), **options))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_2000_of_more_bits(bits: int, channels: int) -> None:
    pixels = GRAY if bits == 8 else DEEP >> (16 - bits)
    pixels = np.stack([pixels] * 3, -1) if channels == 3 else pixels
    data = imagecodecs.jpeg2k_encode(pixels, bitspersample=bits, level=0)
    check(data, depth=8 if bits == 8 else 16, atol=0.51)


@pytest.mark.parametrize("peak", [1, 15, 100, 255, 256, 1000, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6", "P7", "P7 alpha"])
def test_pnm_of_every_white(peak: int, kind: str) -> None:
    values = np.rint(GRAY / 255 * peak).astype(np.uint8 if peak < 256 else ">u2")
    channels = {"P3": 3, "P6": 3, "P7 alpha": 2}.get(kind, 1)
    samples = np.stack([values] * channels, -1).astype(values.dtype)
    body = samples.tobytes()
    head = f"{kind} 61 48\n# by hand\n{peak}\n".encode()
    if kind in ("P2", "P3"):
        body = " ".join(map(str, samples.ravel().tolist())).encode() + b"\n"
    if kind.startswith("P7"):
        head = f"P7\nWIDTH 61\nHEIGHT 48\nDEPTH {channels}\nMAXVAL {peak}\nENDHDR\n".encode()
    check(head + body, values.astype(float) / peak * 255, depth=8 if peak < 256 else 16, atol=0.51)
    if kind == "P7 alpha":
        np.testing.assert_allclose(alpha_of(head + body), values / peak * 255.0, atol=0.51)


def test_bitmaps_of_pnm_have_black_ones() -> None:
    black = GRAY < 120
    check(b"P4 61 48\n" + np.packbits(black, axis=1).tobytes(), 255.0 * ~black, atol=0)
    digits = "".join(str(int(bit)) for bit in black.ravel()).encode()
    check(b"P1\n61 48\n" + digits, 255.0 * ~black, atol=0)


def test_samples_above_white_are_refused() -> None:
    with pytest.raises(ValueError, match="above white, which is 100"):
        image_io.decode(b"P5 61 48 100\n" + GRAY.tobytes())
    for word in (b";\0\1", b"-1", b"1" * 400):
        with pytest.raises(ValueError, match=r"PNM \(a sample is no number\): get it again"):
            image_io.decode(b"P2 2 2 16\n1 2 3 " + word)


def old_jpeg() -> bytes:
    """A TIFF in the JPEG compression of TIFF 6.0, section 22, whose JPEG has its own tables."""
    jpeg = imagecodecs.jpeg_encode(GRAY)
    numbers = {256: 61, 257: 48, 258: 8, 259: 6, 262: 1, 277: 1, 278: 48}
    numbers |= {273: 146, 279: len(jpeg), 513: 146, 514: len(jpeg)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, numbers[tag]) for tag in sorted(numbers))
    head = b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries
    return head.ljust(146, b"\0") + jpeg


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (old_jpeg(), "Old-style JPEG"),
        (imagecodecs.jpeg_encode(DEEP >> 4, bitspersample=12), "precision 12"),
        (imagecodecs.ljpeg_encode(DEEP), "precision 16"),
        (imagecodecs.jpegls_encode(GRAY), "Unsupported marker"),
        (tiff(GRAY, compression="zstd"), "ZSTD"),
        (tiff(GRAY, compression="jpegxl"), "not implemented"),
    ],
)
def test_what_is_not_decoded_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"of a kind that cannot be read .*{why}.*save it as PNG"):
        image_io.decode(data)


def test_samples_of_no_picture_are_refused() -> None:
    for dtype in (np.uint32, np.int16, np.int8, np.float32):
        with pytest.raises(ValueError, match=f"has {np.dtype(dtype).name} samples; save it with 8"):
            image_io.decode(tiff(GRAY.astype(dtype)))
