"""Pictures as scanners, archives and cameras write them: the right pixels, or a refusal.

Files are written by tifffile, imagecodecs and Pillow, and by hand where those do not write them.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from residual_encoder.imaging import image_io

imagecodecs = pytest.importorskip("imagecodecs")

Y, X = np.mgrid[:48, :61]
GRAY = (40 + X * 3 + Y // 2).astype(np.uint8)  # 40 to 243: no level of a depth is missing
DEEP = GRAY.astype(np.uint16) * 257
ALPHA = (255 - Y * 4).astype(np.uint8)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


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


# --- what gray means ------------------------------------------------------------------------------


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


def through(profile: bytes, pixels: np.ndarray = GRAY) -> np.ndarray:
    """The pixels as Pillow shows them on an sRGB screen."""
    source, screen = io.BytesIO(profile), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, screen, "L", "RGB", renderingIntent=1)
    shown = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert shown is not None
    return np.asarray(shown)[..., 1].astype(float)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_gray_profiles_at_8_bits(name: str, form: str) -> None:
    buffer, options = io.BytesIO(), {"quality": 100} if form == "JPEG" else {}
    Image.fromarray(GRAY).save(buffer, form, icc_profile=PROFILES[name], **options)
    wanted = through(PROFILES[name])
    assert np.abs(wanted - GRAY).max() > 1.5 or name == "gamma 2.2"  # there is something to do
    check(buffer.getvalue(), wanted)
    assert image_io.decode(buffer.getvalue()).metadata.icc == b""  # sRGB now


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("layout", ["plain", "white", "alpha", "12 bits", "planes"])
def test_gray_profiles_at_16_bits(name: str, layout: str) -> None:
    options: dict = {"photometric": "minisblack", "iccprofile": PROFILES[name]}
    pixels, wanted = DEEP, through(PROFILES[name])
    if layout == "white":
        options["photometric"], wanted = "miniswhite", through(PROFILES[name], 255 - GRAY)
    if layout in ("alpha", "planes"):
        pixels = np.stack([DEEP, ALPHA.astype(np.uint16) * 257], -1 if layout == "alpha" else 0)
        options["extrasamples"] = ["unassalpha"]
        options["planarconfig"] = "contig" if layout == "alpha" else "separate"
    if layout == "12 bits":
        pixels, options["bitspersample"] = DEEP >> 4, 12
    data = tiff(pixels, **options)
    check(data, wanted, depth=16)
    if layout in ("alpha", "planes"):
        np.testing.assert_array_equal(alpha_of(data), ALPHA)  # no profile is for alpha


def test_gray_profile_of_a_jpeg_2000() -> None:
    profile = PROFILES["gamma 1.8"]
    data = imagecodecs.jpeg2k_encode(GRAY, level=0)
    at = data.index(b"colr") - 4
    length = int.from_bytes(data[at : at + 4])
    box = struct.pack(">I", 11 + len(profile)) + b"colr\x02\0\0" + profile
    head = data.index(b"jp2h") - 4
    longer = int.from_bytes(data[head : head + 4]) - length + len(box)
    whole = (
        data[:head] + struct.pack(">I", longer) + data[head + 4 : at] + box + data[at + length :]
    )
    check(whole, through(profile))


def test_a_damaged_profile_is_no_reason_to_refuse_a_picture() -> None:
    for profile in (PROFILES["linear"][:130], PROFILES["linear"][:20] + bytes(200)):
        buffer = io.BytesIO()
        Image.fromarray(GRAY).save(buffer, "TIFF", icc_profile=profile)
        check(buffer.getvalue(), GRAY, atol=0)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 0.7, 2.0])
@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
def test_gamma_of_png(gamma: float, pixels: np.ndarray) -> None:
    stored = struct.pack(">I", round(100_000 * gamma))
    wanted = srgb((GRAY / 255) ** (1 / gamma))
    check(png(pixels, chunk(b"gAMA", stored)), wanted, depth=8 * pixels.itemsize, atol=0.51)
    check(png(pixels, chunk(b"sRGB", b"\0"), chunk(b"gAMA", stored)), atol=0)  # sRGB counts


def test_the_gamma_that_srgb_files_have_changes_nothing() -> None:
    check(png(GRAY, chunk(b"gAMA", struct.pack(">I", 45_455))), atol=0)


def test_cicp_of_png() -> None:
    def tagged(transfer: int) -> bytes:
        gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
        return png(DEEP, gamma, chunk(b"cICP", bytes([1, transfer, 0, 1])))

    check(tagged(8), srgb(GRAY / 255), atol=0.51)
    check(tagged(4), srgb((GRAY / 255) ** 2.2), atol=0.51)
    check(tagged(13), atol=0)
    for hdr in (16, 18):
        with pytest.raises(ValueError, match="is an HDR picture .* convert it to sRGB first"):
            image_io.decode(tagged(hdr))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
def test_transfer_functions_of_tiff(photometric: str, pixels: np.ndarray) -> None:
    count = 256 if pixels.itemsize == 1 else 65536
    table = np.rint(np.linspace(0, 1, count) ** 1.5 * 65535).astype(int)
    extra = [(301, "H", count, table.tolist(), True)]
    data = tiff(pixels, photometric=photometric, extratags=extra)
    check(data, srgb(table[pixels] / 65535), atol=0.51)


@pytest.mark.parametrize("pixels", [GRAY, DEEP, GRAY > 120], ids=["8", "16", "1"])
@pytest.mark.parametrize("layout", [{}, {"tile": (32, 16)}, {"compression": "deflate"}])
def test_white_is_zero(pixels: np.ndarray, layout: dict) -> None:
    wanted = 255.0 - (255 * pixels if pixels.dtype == bool else GRAY)
    check(tiff(pixels, photometric="miniswhite", **layout), wanted, atol=0)


# --- alpha ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [GRAY, DEEP], ids=["8", "16"])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_of_tiff(pixels: np.ndarray, color: bool, kind: str) -> None:
    peak = np.iinfo(pixels.dtype).max
    alpha = ALPHA.astype(pixels.dtype) * (257 if pixels.itemsize == 2 else 1)
    stored = pixels if kind == "unassalpha" else np.rint(pixels * (alpha / peak))
    channels = [stored.astype(pixels.dtype)] * (3 if color else 1) + [alpha]
    photometric = "rgb" if color else "minisblack"
    options: dict = {"photometric": photometric, "planarconfig": "contig"}
    data = tiff(np.stack(channels, -1), extrasamples=[kind], **options)
    check(data, depth=8 * pixels.itemsize, atol=5 if peak == 255 and kind == "assocalpha" else 0.1)
    np.testing.assert_array_equal(alpha_of(data), ALPHA)


def test_an_infrared_channel_is_no_alpha() -> None:
    options: dict = {"photometric": "rgb", "planarconfig": "contig"}
    infrared = tiff(np.stack([GRAY] * 3 + [ALPHA], -1), extrasamples=["unspecified"], **options)
    check(infrared, atol=0)
    assert image_io.decode(infrared).alpha is None
    both = tiff(
        np.stack([GRAY] * 3 + [ALPHA, GRAY], -1),
        extrasamples=["unassalpha", "unspecified"],
        **options,
    )
    np.testing.assert_array_equal(alpha_of(both), ALPHA)


def test_gray_with_alpha_of_pillow() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.stack([GRAY, ALPHA], -1)).save(buffer, "TIFF")
    np.testing.assert_array_equal(alpha_of(buffer.getvalue()), ALPHA)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgba_is_written_with_its_meaning(dtype: type, tmp_path: Path) -> None:
    pixels = np.stack([GRAY, GRAY, GRAY, ALPHA], -1).astype(dtype)
    image_io.write(tmp_path / "a.tif", pixels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].tags["ExtraSamples"].value in (2, (2,))
        np.testing.assert_array_equal(file.asarray(), pixels)


# --- turned, and cut off --------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_avif_turned_by_its_box(turns: int) -> None:
    """ISO/IEC 23008-12, 6.5.10: counted in quarters, anticlockwise."""
    data = imagecodecs.avif_encode(np.stack([GRAY] * 3, -1), level=100)
    check(with_box(data, b"irot", bytes([turns])), np.rot90(GRAY, turns), atol=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_avif_mirrored_by_its_box(axis: int) -> None:
    data = imagecodecs.avif_encode(np.stack([GRAY] * 3, -1), level=100)
    check(with_box(data, b"imir", bytes([axis])), np.flip(GRAY, axis), atol=1)


def with_box(avif: bytes, kind: bytes, content: bytes) -> bytes:
    """An AVIF with one more property of its only picture."""
    data, box = bytearray(avif), struct.pack(">I", 8 + len(content)) + kind + content
    ipco, ipma = data.index(b"ipco") - 4, data.index(b"ipma") - 4
    length = int.from_bytes(data[ipco : ipco + 4])
    count, at = 0, ipco + 8
    while at < ipco + length:
        count, at = count + 1, at + int.from_bytes(data[at : at + 4])
    association = bytes([0x80 | (count + 1)])
    ipma_length = int.from_bytes(data[ipma : ipma + 4])
    amount = ipma + 12 + 4 + 2  # one entry: item of 16 bits, then the number of properties
    data[amount] += 1
    data[ipma : ipma + 4] = struct.pack(">I", ipma_length + 1)
    data[ipma + ipma_length : ipma + ipma_length] = association
    data[ipco : ipco + 4] = struct.pack(">I", length + len(box))
    data[ipco + length : ipco + length] = box
    grown = len(box) + 1
    for outer in (b"meta", b"iprp"):
        at = data.index(outer) - 4
        data[at : at + 4] = struct.pack(">I", int.from_bytes(data[at : at + 4]) + grown)
    return moved(data, grown)


def moved(data: bytearray, by: int) -> bytes:
    """Adds to every offset of the box of places; 4 bytes each, without a base."""
    at = data.index(b"iloc")
    version, sizes, base = data[at + 4], data[at + 8], data[at + 9] >> 4
    assert version == 0 and sizes == 0x44
    entries = int.from_bytes(data[at + 10 : at + 12])
    at += 12
    for _ in range(entries):
        at += 4 + base
        extents = int.from_bytes(data[at : at + 2])
        at += 2
        for _ in range(extents):
            place = int.from_bytes(data[at : at + 4]) + by
            data[at : at + 4] = struct.pack(">I", place)
            at += 8
    return bytes(data)


def jpeg(progressive: bool = False, **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", quality=90, progressive=progressive, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_opens(progressive: bool) -> None:
    whole = jpeg(progressive)
    wanted = image_io.decode(whole).pixels
    for cut in (1, 2):
        np.testing.assert_array_equal(image_io.decode(whole[:-cut]).pixels, wanted)
    np.testing.assert_array_equal(image_io.decode(whole[:-2] + bytes(100)).pixels, wanted)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [8, 20, 100, 1000])
def test_a_jpeg_that_lacks_pixels_is_refused(progressive: bool, cut: int) -> None:
    whole = jpeg(progressive)
    for data in (whole[:-cut], whole[:-cut] + b"\xff\xd9"):  # also where something closed it
        with pytest.raises(ValueError, match="is a truncated JPEG.*get the file again"):
            image_io.decode(data)


def test_a_jpeg_with_bytes_between_its_segments_opens_all_the_same() -> None:
    whole = jpeg()
    at = whole.index(b"\xff\xdb")
    odd = whole[:at] + b"\0\0\0" + whole[at:]
    np.testing.assert_array_equal(image_io.decode(odd).pixels, image_io.decode(whole).pixels)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_other_truncated_files_are_refused(share: float) -> None:
    whole = {
        "jp2": imagecodecs.jpeg2k_encode(GRAY, level=0),
        "avif": imagecodecs.avif_encode(GRAY, level=100),
        "pgm": b"P5 61 48 255\n" + GRAY.tobytes(),
        "packed": tiff(DEEP >> 4, photometric="minisblack", bitspersample=12),
        "planes": tiff(np.stack([GRAY, ALPHA]), photometric="minisblack", planarconfig="separate"),
    }
    for data in whole.values():
        with pytest.raises(ValueError, match="damaged or truncated"):
            image_io.decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_by_opencv_is_pillows(mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(GRAY).convert(mode, dither=Image.Dither.NONE).save(buffer, "BMP")
    shown = np.asarray(Image.open(buffer).convert("RGB"))
    np.testing.assert_array_equal(image_io.decode(buffer.getvalue()).rgb, shown)


def test_opencv_gives_what_the_header_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    data = imagecodecs.jpeg2k_encode(DEEP >> 4, bitspersample=12, level=0)
    for wrong in (GRAY, np.zeros((4, 4), np.uint16), np.zeros((48, 61, 3), np.uint16)):
        monkeypatch.setattr(cv2, "imdecode", lambda *_, answer=wrong: answer)
        with pytest.raises(ValueError, match="JP2"):
            image_io.decode(data)
