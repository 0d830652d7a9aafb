"""Opens picture files with libvips and brings their samples to sRGB, upright, 8 or 16 bits.

Only headers are read here: pixels are computed when they are asked for, in rows from the top.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.imaging import (
    image_headers,
    jp2_boxes,
    libvips,
    rare_formats,
    tiff_directory,
    tiff_stream,
)
from residual_encoder.imaging.image_headers import png_chunks
from residual_encoder.imaging.tiff_layout import Layout

# Each by its own loader: SVG, matrices or a JPEG's gain map are not to be found in these files.
_LOADERS = dict.fromkeys(("jpeg", "png", "gif", "tiff", "webp"), "") | {"avif": "heifload"}
_COLORS = {"b-w": 1, "grey16": 1, "cmyk": 4}  # libvips' interpretations; others have 3
_LAB = ("lab", "labs", "labq", "xyz", "yxy", "lch")
_SAMPLES = {"float": "float32", "double": "float64", "uint": "uint32", "int": "int32"}
_SAMPLES |= {"char": "int8", "short": "int16", "complex": "complex64", "dpcomplex": "complex128"}
_IN_ROWS = ("jpeg", "png", "tiff")
_INTERLACED = {"jpeg": "a progressive JPEG", "png": "an interlaced PNG"}
_NAMES = (("b-w", "srgb"), ("grey16", "rgb16"))  # of gray and color, of 8 and 16 bits
_CMYK = 5  # a TIFF's PhotometricInterpretation
_END = b"\xff\xd9"  # of a JPEG
_TRANSFER_FUNCTION, _MEANING, _SAMPLES_PER_PIXEL, _EXTRA_SAMPLES = 301, 262, 277, 338
# What a transfer function of ITU-T H.273 is to a still picture: exponents of light, or SDR that is
# shown as sRGB; others are refused.
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0}
_AS_SRGB = (0, 1, 2, 3, 6, 13, 14, 15)  # 0 and 3 are reserved: somebody told nothing

Source = tuple[bytes, str | None]  # the file's bytes, or a map of them, and its path if it has one


class Opened:
    """Holds a picture file whose header was read.

    Attributes:
      kind: As of `image_headers.kind_of`.
      raw: libvips' image with the file's own samples and metadata.
      data: The file's bytes.
    """

    def __init__(self, data: bytes, path: str | None = None, access: str = "sequential") -> None:
        """Reads the header.

        Raises:
          ValueError: no picture, or a damaged one; the message continues the file's name.
        """
        self.kind, self.data = image_headers.kind_of(data) or "", data
        self.path, self.access = path, access
        if not self.kind:
            raise ValueError(image_headers.explain(data))
        self._layout: Layout | None = None  # where libvips needs a changed header
        self._planes: list[Any] = []
        self.errors: list[BaseException] = []  # of reading what was changed
        with libvips.MESSAGES:
            self.raw = self._loaded()

    def _loaded(self) -> Any:
        """Loads the header; of the kinds that libvips does not read an image without samples."""
        vips = libvips.load()
        vips.vips_lib.vips_error_clear()  # of what other files left there
        try:
            if self.kind not in _LOADERS:
                return self._described(vips.Image.black(*reversed(self._size())))
            if self.kind == "tiff":
                return self._tiff()
            if self.kind == "jpeg" and _end_is_missing(self.data):
                self.data, self.path = bytes(self.data) + _END, None
            return self._load(self.data, self.path)
        except (vips.Error, struct.error, OverflowError, KeyError) as error:
            why = libvips.reason(error) if isinstance(error, vips.Error) else "its header"
            raise ValueError(image_headers.explain(self.data, why)) from error

    def _load(self, data: bytes, path: str | None) -> Any:
        name = (_LOADERS[self.kind] or f"{self.kind}load") + ("" if path else "_buffer")
        loader = getattr(libvips.load().Image, name)
        source = os.fsencode(path) if path else data  # names need not be UTF-8
        return loader(source, access=self.access, fail_on="error")

    def _tiff(self) -> Any:
        layout = Layout(self.data, self.path)
        if not layout.is_odd:
            return self._load(self.data, self.path)
        self._layout = layout
        self._planes = layout.planes(lambda file: libvips.tiff_of(file, self.errors, self.access))
        return self._planes[0]

    def _size(self) -> tuple[int, int]:
        height, width = rare_formats.size(self.data, self.kind)
        if not (0 < height < 10**7 and 0 < width < 10**7):
            raise struct.error
        return height, width

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width in pixels, before EXIF orientation."""
        width = self._layout.width if self._layout else self.raw.width
        if self.kind == "gif":  # libvips takes a large screen for a mistake
            screen, height = struct.unpack_from("<HH", self.data, 6)
            return max(height, self.raw.height), max(screen, width)
        return self.raw.height, width

    def image(self) -> Any:
        """Returns libvips' image of 1 or 3 channels, gray or sRGB, and alpha behind; upright.

        Raises:
          ValueError: samples of an unknown meaning; the message continues the file's name.
        """
        vips = libvips.load()
        try:
            with libvips.MESSAGES:
                image = self._normal(self._samples())
                # Turning needs rows in another order than a sequential file gives.
                if self.turned and self.access == "sequential":
                    image = computed(self, image.copy_memory)
                return image.autorot()
        except (vips.Error, struct.error, OverflowError) as error:
            raise ValueError(image_headers.explain(self.data, libvips.reason(error))) from error

    def check_rows(self) -> None:
        """Checks that the file can be decoded row by row.

        Raises:
          ValueError: its format has no rows in order; the message continues the file's name.
        """
        interlaced = bool(self.raw.get_typeof("interlaced") and self.raw.get("interlaced"))
        if interlaced or self.kind not in _IN_ROWS:
            height, width = self.size
            raise ValueError(
                f"has {height * width / 1e6:.0f} megapixels; "
                f"{_INTERLACED.get(self.kind, self.kind.upper())} is decoded as a whole, which "
                "would take too much memory: save it as TIFF first"
            )

    @property
    def turned(self) -> bool:
        """Returns whether the samples do not lie upright in the file."""
        known = self.raw.get_typeof("orientation") != 0
        return known and self.raw.get("orientation") in range(2, 9)

    def _samples(self) -> Any:
        """Returns the samples of all channels; of kinds that libvips does not read in memory."""
        if self._layout:
            return self._from_planes(self._layout)
        if self.kind in _LOADERS:
            return _full_range(self.raw) if self.kind == "avif" else self.raw
        try:
            pixels = rare_formats.decode(self.data, self.kind)
        except ValueError as error:
            raise ValueError(image_headers.explain(self.data, str(error))) from error
        return _with_fields(from_array(pixels), self.raw)

    def _described(self, image: Any) -> Any:
        """Gives an image the metadata of a JPEG 2000 file."""
        for name, block in jp2_boxes.blobs(self.data).items() if self.kind == "jp2" else ():
            image.set_type(libvips.load().GValue.blob_type, name, block)
        return image

    def _from_planes(self, layout: Layout) -> Any:
        if layout.is_packed:
            rows = layout.rows(self._planes)
            joined = tiff_stream.image_of(rows, self.errors, self.access)
        else:
            joined = self._planes[0].bandjoin(self._planes[1:])
        image = _with_fields(joined, self.raw)
        if layout.is_lab:
            return _lab(image)
        if layout.meaning == _CMYK:
            return image.copy(interpretation="cmyk")
        return image.copy(interpretation=_NAMES[layout.bits > 8][layout.samples > 2])

    def _normal(self, image: Any) -> Any:
        """Makes the colors sRGB and keeps gray as gray."""
        colors = min(_COLORS.get(image.interpretation, 3), image.bands)
        alpha = image[colors] if self._has_alpha(image.bands - colors) else None
        base = image.extract_band(0, n=colors)
        if alpha and image.format == "short":  # CIE Lab of 16 bits, whose alpha has another range
            raise ValueError("has CIE Lab colors with alpha; save it as RGB")
        base = base if image.interpretation in _LAB else _checked(base)
        base = self._light(base, colors)
        return base.bandjoin(alpha.cast(base.format)) if alpha else base

    def _has_alpha(self, count: int) -> bool:
        """Returns whether the first of the samples behind the colors is alpha.

        In TIFF 6.0 an extra sample is premultiplied alpha (libvips divides by it), alpha, or has no
        meaning: of color pictures that is mostly an infrared channel, but Pillow writes the alpha
        of gray pictures so, and others do not tell of a single extra sample at all.
        """
        if not count or self.kind != "tiff":
            return count > 0
        found = tiff_directory.numbers(self.data, (_EXTRA_SAMPLES, _SAMPLES_PER_PIXEL))
        samples, extra = found.get(_SAMPLES_PER_PIXEL, (1,))[0], found.get(_EXTRA_SAMPLES)
        if extra is None:  # libvips makes an alpha of its own of YCbCr
            return count == 1 and samples in (2, 4, 5)
        return extra[0] != 0 or samples == 2

    def _light(self, base: Any, colors: int) -> Any:
        """Applies what the file tells of the light that its samples mean."""
        deep = base.format not in ("uchar", "float") or base.interpretation == "labs"
        if base.interpretation in _LAB:
            return base.colourspace("rgb16" if deep else "srgb")
        space = profile_space(base)
        if colors == 4 or (colors == 1 and space == b"GRAY"):
            try:
                if space in (b"GRAY", b"CMYK"):
                    rgb = _through_profile(base, deep)
                    return rgb[:1] if colors == 1 else rgb
            except libvips.load().Error:
                pass  # the profile is damaged
        if colors == 4:
            ink = base.invert()
            return (ink[:3] * ink[3] / _peak(base)).rint().cast(base.format)
        tables = None if space else self._transfer(65536 if deep else 256)
        return base if tables is None else base.maplut(_lookup(tables, colors, deep))

    def _transfer(self, count: int) -> np.ndarray | None:
        """Returns the light of every sample value, [tables, count] in [0, 1]; None is sRGB."""
        if self.kind == "tiff":
            return self._tiff_transfer(count)
        exponent = self._exponent()
        return None if exponent is None else np.linspace(0, 1, count)[None] ** exponent

    def _tiff_transfer(self, count: int) -> np.ndarray | None:
        tags = (_TRANSFER_FUNCTION, _MEANING)
        found = tiff_directory.numbers(self.data, tags)
        table = np.array(found.get(_TRANSFER_FUNCTION, ()), float)
        if len(table) not in (count, 3 * count):
            return None
        table = table.reshape(-1, count) / 65535
        return table[:, ::-1] if found.get(_MEANING) == (0,) else table

    def _exponent(self) -> float | None:
        if self.kind == "png":
            chunks = png_chunks(self.data, (b"cICP", b"sRGB", b"gAMA"))
            if len(chunks.get(b"cICP", b"")) == 4:
                return _named_exponent(chunks[b"cICP"][1])
            gamma = int.from_bytes(chunks.get(b"gAMA", b"")) / 100_000
            # Like libpng, which takes 5 % for no difference: sRGB files have 0.45455.
            if b"sRGB" in chunks or not gamma or abs(2.2 * gamma - 1) < 0.05:
                return None
            return 1 / gamma
        if self.kind == "avif":
            found = re.search(rb"colrnclx..(..)", self.data[:65536], re.DOTALL)
            return _named_exponent(int.from_bytes(found[1])) if found else None
        return None


def from_array(pixels: np.ndarray) -> Any:
    """Makes libvips' image of [H, W] or [H, W, C] uint8 or uint16, without a copy if contiguous."""
    pixels = np.ascontiguousarray(pixels)
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    form = "uchar" if pixels.dtype == np.uint8 else "ushort"
    image = libvips.load().Image.new_from_memory(
        pixels.data, pixels.shape[1], pixels.shape[0], bands, form
    )
    return image.copy(interpretation=_NAMES[form == "ushort"][bands > 2])


def profile_space(image: Any) -> bytes:
    """Returns the color space of an image's ICC profile, such as b"GRAY"; b"" without."""
    if not image.get_typeof("icc-profile-data"):
        return b""
    return bytes(image.get("icc-profile-data")[16:20])  # ICC.1:2022, 7.2.8


def _peak(image: Any) -> int:
    return 255 if image.format == "uchar" else 65535


def _checked(image: Any) -> Any:
    if image.format not in ("uchar", "ushort"):
        samples = _SAMPLES.get(image.format, image.format)
        raise ValueError(f"has {samples} samples; save it with 8 or 16 bits a channel")
    return image


def _end_is_missing(data: bytes) -> bool:
    """Returns whether a JPEG has no end marker behind its picture.

    libjpeg takes that for a truncated file. With one it decodes what is there, and warns unless
    that is all.
    """
    scan = data.rfind(b"\xff\xda")
    if scan < 0:
        raise ValueError("is a truncated JPEG: the data ends inside the header; get the file again")
    return data.find(_END, scan) < 0


def _full_range(image: Any) -> Any:
    """Stretches samples of 9 to 15 bits, which libheif shifts to the upper end of 16."""
    bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 8
    if not 8 < bits < 16:
        return image
    factor = 65535 / ((1 << bits) - 1) / (1 << 16 - bits)
    return (image * factor).rint().cast("ushort").copy(interpretation=image.interpretation)


def _lab(image: Any) -> Any:
    """Makes CIE Lab of TIFF's samples of 8 bits: L from 0 to 255, a and b with a sign."""
    signed = image.extract_band(1, n=2).copy(format="char")
    lab = (image[0] * (100 / 255)).bandjoin(signed)
    lab = lab.bandjoin(image.extract_band(3, n=image.bands - 3)) if image.bands > 3 else lab
    return lab.copy(interpretation="lab")


def _with_fields(image: Any, source: Any) -> Any:
    """Gives an image another's metadata."""
    image = image.copy(xres=source.xres, yres=source.yres)
    for name in set(source.get_fields()) - set(image.get_fields()):
        image.set_type(source.get_typeof(name), name, source.get(name))
    return image


def _through_profile(image: Any, deep: bool) -> Any:
    return image.icc_transform("srgb", embedded=True, depth=16 if deep else 8)


def _named_exponent(code: int) -> float | None:
    if code in _AS_SRGB:
        return None
    if code not in _EXPONENTS:
        raise ValueError(
            f"is an HDR picture (transfer function {code} of ITU-T H.273); convert it to sRGB first"
        )
    return _EXPONENTS[code]


def _lookup(light: np.ndarray, bands: int, deep: bool) -> Any:
    """Makes libvips' table from samples to sRGB; IEC 61966-2-1."""
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    form, peak = (np.uint16, 65535) if deep else (np.uint8, 255)
    table = np.rint(peak * np.clip(curve, 0, 1)).astype(form)
    return from_array(np.broadcast_to(table.T[:, None][:, :, :bands], (table.shape[1], 1, bands)))


def pixels(opened: Opened) -> np.ndarray:
    """Decodes a file to [H, W] or [H, W, 1 to 4], gray or RGB, alpha last; uint8 or uint16.

    Raises:
      ValueError: truncated or damaged; the message continues the file's name.
    """
    image = opened.image()
    samples: Any = np.frombuffer(computed(opened, image.write_to_memory), libvips.dtype(image))
    return samples.reshape(image.height, image.width, image.bands)


def computed(opened: Opened, work: Callable[..., Any], *arguments: Any) -> Any:
    """Calls what computes pixels of a file.

    libjpeg fills missing pixels with gray and warns, which libvips passes over at the end of the
    picture; of tiles that cannot be read it makes black ones. It notes both.

    Raises:
      ValueError: truncated or damaged; the message continues the file's name.
    """
    vips = libvips.load()
    with libvips.MESSAGES:
        vips.vips_lib.vips_error_clear()
        try:
            samples = work(*arguments)
        except vips.Error as error:
            cause = next(iter(opened.errors), error)
            if not isinstance(cause, vips.Error):
                raise cause from error
            raise ValueError(image_headers.explain(opened.data, libvips.reason(cause))) from error
        notes = vips.ffi.string(vips.vips_lib.vips_error_buffer()).decode(errors="replace")
    if opened.kind == "jpeg" and "premature end" in notes:
        raise ValueError("is a truncated JPEG: its end is missing; get the file again")
    if opened.kind == "jpeg" and re.search("bad Huffman|instead of RST", notes):
        raise ValueError("is a damaged JPEG: a part of its pixels is lost; get the file again")
    if opened.kind != "jpeg" and notes:
        why = libvips.reason(vips.Error("", notes))
        raise ValueError(image_headers.explain(opened.data, why))
    return samples


def mapped(path: Path) -> Any:
    """Maps a file into memory, read-only."""
    import mmap

    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
