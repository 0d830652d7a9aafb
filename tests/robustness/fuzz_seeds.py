"""Small files of every format that is read, from which fuzzing begins."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import pyvips
import test_odd_inputs
import tifffile
from helpers import scans as odd_scans
from helpers.pictures import chunk, tiff
from PIL import Image


def seeds() -> dict[str, bytes]:
    """Small files of every format, depth and oddity, among them those of the tests."""
    found = {name: case.data for name, case in test_odd_inputs.CASES.items()}
    rgb = test_odd_inputs.soft(64, 96, 3)
    for suffix in (".jp2", ".avif", ".ppm", ".pgm", ".pbm", ".pam", ".gif", ".webp"):
        pixels = rgb if suffix not in (".pgm", ".pbm") else rgb[..., 0]
        done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels))
        if done:
            found[f"opencv{suffix}"] = data.tobytes()
    found["animated.gif"] = animated("GIF")
    found["animated.webp"] = animated("WEBP")
    found["animated.png"] = animated("PNG")
    found["big.tif"] = tiff(rgb, photometric="rgb", bigtiff=True)
    found["tiled.tif"] = tiff(rgb, photometric="rgb", tile=(16, 16))
    return found | scans(test_odd_inputs, rgb) | by_libvips(rgb) | documents(rgb)


def scans(odd: Any, rgb: Any) -> dict[str, bytes]:
    """Files as scanners and archives write them."""
    deep, gray = odd.soft(64, 96, dtype=np.uint16), rgb[..., 0]
    white: dict[str, Any] = {"photometric": "minisblack"}
    found = {
        f"{bits}.tif": tiff(deep >> (16 - bits), **white, bitspersample=bits)
        for bits in (9, 12, 14)
    }
    planes = {"planarconfig": "separate", "photometric": "rgb"}
    found["planes.tif"] = tiff(rgb.transpose(2, 0, 1), **planes)
    found["tiled planes.tif"] = tiff(rgb.transpose(2, 0, 1), tile=(16, 16), **planes)
    found["lzw.tif"] = tiff(gray, compression="lzw", iccprofile=odd_scans.PROFILES["linear"])
    found["jpeg.tif"] = tiff(rgb, compression="jpeg", photometric="rgb")
    found["alpha.tif"] = tiff(np.stack([gray, gray], -1), extrasamples=["assocalpha"], **white)
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    found["gamma.png"] = odd_scans.png(gray, gamma)
    found["deep.avif"] = imagecodecs.avif_encode(deep >> 6, bitspersample=10)
    found["deep.jp2"] = imagecodecs.jpeg2k_encode(deep >> 4, bitspersample=12)
    found["deep.ppm"] = b"P6 16 16 1000\n" + bytes(1536)
    return found


def animated(form: str) -> bytes:
    """Three frames, written by Pillow."""
    frames = [Image.fromarray(test_odd_inputs.soft(24, 40, 3) + 40 * n) for n in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def by_libvips(rgb: Any) -> dict[str, bytes]:
    """PNG of 1 to 16 bits, interlaced and not, and the kinds of JPEG, WebP, AVIF and TIFF."""
    image = pyvips.Image.new_from_array(rgb)
    gray = image.extract_band(1)
    found = {}
    for bits in (1, 2, 4, 8):
        for interlace in (False, True):
            name = f"{bits} bits, {interlace}.png"
            found[name] = gray.pngsave_buffer(bitdepth=bits, interlace=interlace)
    deep = (gray * 257).cast("ushort").copy(interpretation="grey16")
    found["16 bits interlaced.png"] = deep.pngsave_buffer(interlace=True)
    found["palette interlaced.png"] = image.pngsave_buffer(palette=True, interlace=True)
    found["progressive.jpg"] = image.jpegsave_buffer(interlace=True)
    found["subsampled.jpg"] = image.jpegsave_buffer(subsample_mode="on", restart_interval=2)
    cmyk = image.icc_transform("cmyk", input_profile="srgb")
    found["profiled cmyk.jpg"] = cmyk.jpegsave_buffer()
    found["lossless.webp"] = image.bandjoin(gray).webpsave_buffer(lossless=True)
    for bits in (8, 10, 12):
        wide = (image * 257).cast("ushort").copy(interpretation="rgb16") if bits > 8 else image
        found[f"{bits}.avif"] = wide.heifsave_buffer(compression="av1", bitdepth=bits, effort=0)
    for name, options in {
        "pyramid.tif": {"tile": True, "pyramid": True, "tile_width": 16, "tile_height": 16},
        "sub ifd.tif": {"tile": True, "pyramid": True, "subifd": True, "tile_width": 16},
        "bits.tif": {"bitdepth": 1, "compression": "ccittfax4"},
        "deflate.tif": {"compression": "deflate", "predictor": "horizontal"},
        "packbits.tif": {"compression": "packbits"},
    }.items():
        found[name] = gray.tiffsave_buffer(**options)
    found["lab.tif"] = image.colourspace("labs").tiffsave_buffer()
    found["cmyk deflate.tif"] = cmyk.tiffsave_buffer(compression="deflate")
    return found


def documents(rgb: Any) -> dict[str, bytes]:
    """TIFFs of several pages, in both sizes and orders of bytes; HEIC; JPEG of 12 bits."""
    found = {}
    for big, order in ((False, "<"), (True, ">")):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, bigtiff=big, byteorder=order) as file:
            for number in range(3):
                file.write(
                    rgb[: 40 - number], photometric="rgb", compression="lzw" if big else None
                )
            file.write(rgb[::2, ::2], photometric="rgb", subfiletype=1, subifds=0)
        found[f"pages {order}.tif"] = buffer.getvalue()
    frames = [Image.fromarray(rgb[:24, :40] // number) for number in (1, 2, 3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:], duration=80)
    found["animated.avif"] = buffer.getvalue()
    pillow_heif.register_heif_opener()
    for bits in (8, 10):
        heif = pillow_heif.from_bytes(
            "RGB" if bits == 8 else "RGB;16",
            (rgb.shape[1], rgb.shape[0]),
            rgb.tobytes() if bits == 8 else (rgb.astype("u2") * 257).tobytes(),
        )
        buffer = io.BytesIO()
        heif.save(buffer)
        found[f"{bits}.heic"] = buffer.getvalue()
    found["12 bits.jpg"] = imagecodecs.jpeg8_encode(rgb[..., 1].astype("u2") * 16, bitspersample=12)
    return found
