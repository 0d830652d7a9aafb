"""Reads and writes animations: GIF, animated PNG, WebP and AVIF in, animated PNG and WebP out.

Frames come composed, as a viewer shows them, one at a time. Those of PNG are decoded by `image_io`
and composed here, which keeps 16 bits and the picture's own gray; the others by Pillow.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from residual_encoder.imaging import animated_png, animated_webp, image_io
from residual_encoder.imaging.animated_png import PngJoiner
from residual_encoder.imaging.animated_webp import WebpJoiner
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.image_metadata import (
    MIRRORED,
    ORIENTATION,
    TRANSPOSED,
    UPSIDE_DOWN,
    Metadata,
)

_ONCE = 1  # plays of a GIF that has no number
# What Pillow raises for damaged files, beside its own errors.
_DAMAGE = (EOFError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error)
# Frames are composed with alpha, in about 20 bytes of memory a pixel.
_MOST_PIXELS = 50_000_000
HOLDS_FRAMES = frozenset((".png", ".webp"))  # what can be written


@dataclass(frozen=True)
class Animation:
    """Describes an animation.

    Attributes:
      path: The file.
      form: "GIF", "PNG", "WebP" or "AVIF".
      pixels: Of one frame.
      count: Frames, with a PNG's still picture that is not one of them.
      loop: How often it plays; 0 is for ever. As the file has it.
      alpha: Whether frames have transparency.
      still: Whether the first is a PNG's picture for programs that show no animations.
    """

    path: Path
    form: str
    pixels: int
    count: int
    loop: int
    alpha: bool
    still: bool = False


class Frame(NamedTuple):
    """Holds one frame as it is shown."""

    picture: Picture  # upright, of the animation's size, with alpha if the animation has it
    duration: Fraction | None  # seconds; None of a PNG's still picture


def inspect(path: Path) -> Animation | None:
    """Describes an animation; None where the file is none, or has one frame.

    Raises:
      ValueError: an animation that is damaged or too large; the message has the file's name.
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    with _named(path):
        if head.startswith(animated_png.START):
            with _mapped(path) as data:
                found = animated_png.header(data)
            if found is None:
                return None
            _check_size(found.width, found.height)
            return Animation(path, "PNG", found.width * found.height, *found[2:])
        if head.startswith(b"GIF8"):
            with _mapped(path) as data:
                _check_size(*_gif_extent(data))
            return _by_pillow(path, "GIF")
        if animated_webp.is_animated(head):
            _check_size(*animated_webp.canvas(head))
            return _by_pillow(path, "WebP")
        if head[4:12] == b"ftypavis":
            return _by_pillow(path, "AVIF")
    return None


def frames(animation: Animation) -> Iterator[Frame]:
    """Yields the composed frames of an animation.

    Raises:
      ValueError: a frame cannot be read; the message has the file's name.
      OSError: the file cannot be read.
    """
    metadata = image_io.read(animation.path).metadata
    composed = _composed_png if animation.form == "PNG" else _composed_by_pillow
    with _named(animation.path):
        orientation = _orientation(animation.path)
        for pixels, duration in composed(animation):
            yield Frame(_picture(pixels, animation.alpha, orientation, metadata), duration)


def _picture(pixels: np.ndarray, alpha: bool, orientation: int, metadata: Metadata) -> Picture:
    """Makes an upright picture of a canvas [H, W, 4]."""
    if orientation in TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in MIRRORED:
        pixels = pixels[:, ::-1]
    if orientation in UPSIDE_DOWN:
        pixels = pixels[::-1]
    return image_io.as_picture(pixels if alpha else pixels[..., :3], metadata)


# --- through Pillow -------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a picture with Pillow; its errors become a ValueError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise ValueError("begins like an animation, but is damaged, or cannot be read") from error
    except (*_DAMAGE, Image.DecompressionBombError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"is a damaged animation: {error}") from error


def _by_pillow(path: Path, form: str) -> Animation | None:
    with _opened(path) as image:
        size = image.size
    _check_size(*size)
    with _opened(path) as image:
        count = getattr(image, "n_frames", 1)
        if count < 2:
            return None
        loop = image.info.get("loop", _ONCE if form == "GIF" else 0)
        alpha = form == "GIF" and _gif_alpha(image) or image.mode in ("RGBA", "LA", "PA")
        return Animation(path, form, size[0] * size[1], count, loop, alpha)


def _gif_extent(data: mmap.mmap) -> tuple[int, int]:
    """Returns the width and height of all frames, for which Pillow makes room; GIF 89a."""
    right = bottom = 0
    with contextlib.suppress(IndexError, struct.error):  # the end is missing
        right, bottom = struct.unpack_from("<HH", data, 6)
        at = 13 + _gif_table(data[10])
        while data[at] in (0x2C, 0x21):  # an image, or an extension
            if data[at] == 0x2C:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
                right, bottom = max(right, left + width), max(bottom, top + height)
                at += 11 + _gif_table(flags)
            else:
                at += 2
            while data[at]:  # the length of a part; the last is empty
                at += data[at] + 1
            at += 1
    return right, bottom


def _gif_table(flags: int) -> int:
    """Returns the bytes of a color table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_alpha(image: Any) -> bool:
    """Returns whether a GIF's frames have transparent pixels, or may get some."""
    for number in range(image.n_frames):
        image.seek(number)
        if "transparency" in image.info or image.disposal_method == animated_png.BACKGROUND + 1:
            return True
        if number == 0 and image.dispose_extent not in (None, (0, 0, *image.size)):
            return True
    return False


def _composed_by_pillow(animation: Animation) -> Iterator[tuple[np.ndarray, Fraction]]:
    times: list[Fraction] = []
    if animation.form == "WebP":
        with _mapped(animation.path) as data:
            times, _ = animated_webp.durations(data)
    with _opened(animation.path) as image:
        width, height = image.size  # what lies outside is not shown
        for number in range(animation.count):
            image.seek(number)
            pixels = np.asarray(image.convert("RGBA"))[:height, :width]
            own = Fraction(image.info.get("duration", 0)).limit_denominator(1000) / 1000
            yield pixels, times[number] if number < len(times) else own


def _orientation(path: Path) -> int:
    with _opened(path) as image:
        return image.getexif().get(ORIENTATION, 1)


# --- animated PNG ---------------------------------------------------------------------------------


def _composed_png(animation: Animation) -> Iterator[tuple[np.ndarray, Fraction | None]]:
    """Yields canvases [H, W, 4] after each frame was drawn, and their durations."""
    canvas: np.ndarray | None = None
    with _mapped(animation.path) as data:
        for frame in animated_png.frames(data):
            pixels = _with_alpha(image_io.decode(frame.png))
            if frame.duration is None:
                yield pixels, None
                continue
            if canvas is None:
                canvas = np.zeros((*_sides(data), 4), pixels.dtype)
            height, width = pixels.shape[:2]
            place = np.s_[frame.top : frame.top + height, frame.left : frame.left + width]
            before = canvas[place].copy() if frame.dispose == animated_png.PREVIOUS else 0
            over = frame.blend == animated_png.OVER
            canvas[place] = _over(canvas[place], pixels) if over else pixels
            yield canvas.copy(), frame.duration
            if frame.dispose in (animated_png.BACKGROUND, animated_png.PREVIOUS):
                canvas[place] = before


def _sides(data: mmap.mmap) -> tuple[int, int]:
    found = animated_png.header(data)
    return (found.height, found.width) if found else (0, 0)


def _with_alpha(picture: Picture) -> np.ndarray:
    """Returns [H, W, 4]; a picture without alpha is opaque."""
    alpha = picture.alpha
    if alpha is None:
        shape, kind = picture.pixels.shape[:2], picture.pixels.dtype
        alpha = np.full(shape, np.iinfo(kind).max, kind)
    return np.dstack([picture.rgb, alpha])


def _over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Draws [H, W, 4] over another, with alpha that is not premultiplied."""
    top = float(np.iinfo(above.dtype).max)
    front = above[..., 3:] / top
    back = below[..., 3:] / top * (1 - front)
    alpha = front + back
    color = (above[..., :3] * front + below[..., :3] * back) / np.maximum(alpha, 1e-9)
    return np.rint(np.concatenate([color, alpha * top], axis=-1)).astype(above.dtype)


# --- writing --------------------------------------------------------------------------------------


class Writer:
    """Writes colored frames to an animated PNG or WebP."""

    def __init__(self, path: Path, animation: Animation) -> None:
        """Begins the file `path`, whose suffix is one of `HOLDS_FRAMES`."""
        self.suffix, self.animation = path.suffix.lower(), animation
        self.file = path.open("wb")
        self.joiner: PngJoiner | WebpJoiner | None = None

    def add(self, pixels: np.ndarray, metadata: Metadata, duration: Fraction | None) -> None:
        """Appends a frame [H, W, 3] or [H, W, 4]; see `image_io.encode`.

        Raises:
          ValueError: the format cannot hold it.
        """
        encoded = image_io.encode(pixels, self.suffix, metadata)
        if self.joiner is None:
            if self.suffix == ".png":
                self.joiner = PngJoiner(self.file, self.animation.loop)
            else:
                height, width = pixels.shape[:2]
                self.joiner = WebpJoiner(self.file, self.animation.loop, height, width)
        if duration is None and self.suffix != ".png":
            return  # only PNG has a still picture for programs that show no animations
        self.joiner.add(encoded, duration)

    def finish(self) -> None:
        """Completes the file."""
        if self.joiner is not None:
            self.joiner.finish()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


# --- files ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before the message of an error."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} {error}") from error


def _check_size(width: int, height: int) -> None:
    most = min(_MOST_PIXELS, image_io.MAX_PIXELS)
    if width * height > most:
        raise ValueError(
            f"has {width} x {height} pixels a frame; at most {most / 1e6:.0f} megapixels are "
            "taken: make it smaller first"
        )
