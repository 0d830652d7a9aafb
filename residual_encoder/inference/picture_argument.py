"""Takes pictures as arrays, as files, as bytes, decoded, and as Pillow has them; and grays."""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from residual_encoder.imaging import image_io
from residual_encoder.imaging.image_io import Picture

PictureLike = np.ndarray | Picture | str | os.PathLike[str] | bytes | Image.Image
_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # modes of Pillow that PNG holds as they are
# What PNG holds of the other modes without a loss; of those that are missing here, RGB.
_AS_PNG = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
_DEEP = ("I", "I;16B", "I;16L", "I;16N")  # 16 bits, as Pillow may have them
_WANTED = (
    "colorize() takes one picture, [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8 or uint16, or "
    "a path, the bytes of a file, or an image of Pillow"
)
_ABOUT_GRAYS = "gray is a batch of floats, [B, H, W, 1] in [0, 1]. Received "


def as_picture(picture: Any) -> Picture:
    """Returns what `Colorizer.colorize` takes as a `Picture`.

    Raises:
      ValueError: no picture, or of another shape or type.
      OSError: the file cannot be read.
    """
    if isinstance(picture, Picture):
        return picture
    if isinstance(picture, str | os.PathLike):
        return image_io.read(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        return _decoded(bytes(picture))
    if isinstance(picture, Image.Image):
        return _decoded(_png(picture))
    pixels = np.asarray(picture)
    if pixels.dtype == object:
        raise ValueError(f"{_WANTED}. Received {type(picture).__name__}.")
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    shape_fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shape_fits or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            f"{_WANTED}. Received {pixels.dtype} {list(pixels.shape)}. For a batch of gray in "
            "[0, 1] call chroma()."
        )
    return image_io.as_picture(pixels)


def _decoded(data: bytes) -> Picture:
    try:
        return image_io.decode(data)
    except ValueError as error:
        raise ValueError(f"The picture {error}") from error


def _png(image: Image.Image) -> bytes:
    """Encodes an image of Pillow, so that profile, gamma and orientation are read as a file's."""
    if image.mode == "F" or min(image.size) < 1:
        raise ValueError(
            f"Received an image of Pillow of mode {image.mode} and size {image.size}; convert it "
            'to "L" or "RGB", in which samples are 0 to 255.'
        )
    profile, exif = image.info.get("icc_profile"), image.getexif()
    more = PngInfo()
    if "gamma" in image.info and "srgb" not in image.info:  # as of a PNG that Pillow opened
        more.add(b"gAMA", struct.pack(">I", round(image.info["gamma"] * 100_000)))
    if image.mode in _DEEP:
        image = _of_16_bits(image)
    elif image.mode not in _OF_PNG:
        mode = _AS_PNG.get(image.mode, "RGB")
        image, profile = image.convert(mode), profile if mode == "LA" else None
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, icc_profile=profile, exif=exif, pnginfo=more)
    return buffer.getvalue()


def _of_16_bits(image: Image.Image) -> Image.Image:
    """Returns gray of 16 bits, which Pillow may have in another order or in 32 bits."""
    samples = np.asarray(image)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise ValueError(
            f"Received an image of Pillow of mode {image.mode} with samples from {low} to {high}; "
            "wanted are 0 to 65535."
        )
    return Image.fromarray(samples.astype(np.uint16))


def as_grays(gray: Any) -> np.ndarray:
    """Returns what `Colorizer.predict` and `chroma` take as float32 [B, H, W, 1].

    A tensor of a graph that TensorFlow traces has no numbers yet, and is returned as it is.

    Raises:
      ValueError: of another shape, no floats, or clearly not in [0, 1], as 0 to 255.
    """
    traced = hasattr(gray, "graph")
    gray = gray if traced else np.asarray(gray)
    dtype, shape = np.dtype(getattr(gray.dtype, "as_numpy_dtype", gray.dtype)), gray.shape
    if dtype.kind != "f" or len(shape) != 4 or shape[3] != 1 or 0 in shape[1:3]:
        raise ValueError(f"{_ABOUT_GRAYS}{dtype} {list(shape)}.")
    if traced:
        return gray
    if shape[0]:
        low, high = float(gray.min()), float(gray.max())
        if not (low > -1 and high < 2):  # also catches NaN
            raise ValueError(f"{_ABOUT_GRAYS}numbers from {low:g} to {high:g}.")
    return gray.astype(np.float32, copy=False)
