"""Takes pictures as arrays, as files, as bytes, decoded, and as Pillow has them."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from PIL import Image

from residual_encoder.imaging import image_io
from residual_encoder.imaging.image_io import Picture

PictureLike = np.ndarray | Picture | str | os.PathLike[str] | bytes | Image.Image
_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # modes of Pillow that PNG holds as they are


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
    shape_fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shape_fits or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise ValueError(
            "colorize() takes one picture, [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8 or "
            "uint16, or a path, the bytes of a file, or an image of Pillow. Received "
            f"{pixels.dtype} {list(pixels.shape)}. For a batch of gray in [0, 1] call chroma()."
        )
    return image_io.as_picture(pixels)


def _decoded(data: bytes) -> Picture:
    try:
        return image_io.decode(data)
    except ValueError as error:
        raise ValueError(f"The picture {error}") from error


def _png(image: Image.Image) -> bytes:
    """Encodes an image of Pillow, so that its profile and orientation are read as a file's."""
    if image.mode == "F" or min(image.size) < 1:
        raise ValueError(
            f"Received an image of Pillow of mode {image.mode} and size {image.size}; convert it "
            'to "L" or "RGB", in which samples are 0 to 255.'
        )
    profile, exif = image.info.get("icc_profile"), image.getexif()
    if image.mode == "I":  # what Pillow makes of 16 bits
        image = image.convert("I;16")
    elif image.mode not in _OF_PNG:
        alpha = image.mode in ("PA", "La", "RGBa")
        image, profile = image.convert("RGBA" if alpha else "RGB"), None
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, icc_profile=profile, exif=exif)
    return buffer.getvalue()
