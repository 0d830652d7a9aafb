"""Scans of prints, made of photographs: tones, age, borders, grain and JPEG."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image

SEPIA = np.array([1.351, 1.203, 0.937])  # of gray, by the usual matrix of editors


@functools.cache
def photographs() -> dict[str, np.ndarray]:
    """Color photographs of scikit-image, scikit-learn and matplotlib, by name, uint8."""
    from residual_encoder.data import sample_images

    return {name: rgb for name, rgb in sample_images.gallery_photographs() if rgb.ndim == 3}


def gray(name: str) -> np.ndarray:
    """A photograph's luma, float64 [H, W], at 60 percent of its size."""
    picture = Image.fromarray(photographs()[name]).convert("L")
    size = tuple(int(0.6 * side) for side in picture.size)
    return np.asarray(picture.resize(size, Image.Resampling.BOX), np.float64)


def u8(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def pale(rgb: np.ndarray, saturation: float) -> np.ndarray:
    """A color photograph with so much of its color."""
    luma = np.asarray(Image.fromarray(rgb).convert("L"), np.float64)[..., None]
    return u8(luma + saturation * (rgb - luma))


def jpeg(x: np.ndarray, quality: int) -> np.ndarray:
    """What JPEG makes of it, with chroma at half the resolution."""
    data = io.BytesIO()
    Image.fromarray(u8(x)).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def toned(x: np.ndarray, *stops: tuple[int, tuple[int, int, int]]) -> np.ndarray:
    """Colors gray by its tone, linearly between stops of (gray, RGB)."""
    tones = [tone for tone, _ in stops]
    return np.stack([np.interp(x, tones, [rgb[c] for _, rgb in stops]) for c in range(3)], -1)


TINTS = {
    "sepia": lambda x: np.minimum(x[..., None] * SEPIA, 255),
    "cyanotype": lambda x: toned(x, (0, (5, 20, 60)), (100, (40, 90, 150)), (255, (245, 245, 235))),
    "cyanotype on cream": lambda x: toned(
        x, (0, (5, 20, 60)), (100, (50, 95, 145)), (255, (245, 232, 195))
    ),
    "yellowed": lambda x: 0.85 * x[..., None] * (1, 0.95, 0.78) + (30, 27, 21),
    "faded": lambda x: 70 + 0.5 * x[..., None] * (1, 0.97, 0.92) + (20, 5, 0),
    "magenta cast": lambda x: 60 + 0.6 * x[..., None] * (1.05, 0.85, 0.95),
    "split toned": lambda x: toned(
        x, (0, (20, 30, 60)), (128, (128, 125, 125)), (255, (255, 240, 205))
    ),
    "selenium": lambda x: toned(
        x, (0, (30, 20, 28)), (128, (130, 120, 128)), (255, (252, 250, 248))
    ),
    "neutral in RGB": lambda x: np.stack([x] * 3, -1),
}


def grain(x: np.ndarray, sigma: float) -> np.ndarray:
    return x + np.random.default_rng(1).normal(0, sigma, x.shape)


def yellow_edges(x: np.ndarray, strength: float = 0.5, reach: float = 0.1) -> np.ndarray:
    """Yellow comes in from the edges of [H, W, 3]."""
    height, width = x.shape[:2]
    y, across = np.mgrid[0:height, 0:width]
    inwards = np.minimum(
        np.minimum(y, height - 1 - y) / height, np.minimum(across, width - 1 - across) / width
    )
    return x * (1 - strength * np.exp(-inwards / reach)[..., None] * (0.15, 0.35, 1))


def yellow_corner(x: np.ndarray) -> np.ndarray:
    """Light fell on one corner."""
    y, across = (np.arange(side) / side for side in x.shape[:2])
    return x * (1 - 0.35 * np.hypot(y[:, None], across)[..., None] * (0.1, 0.3, 1))


AGES = {
    "as it is": lambda x: x,
    "grain": lambda x: grain(x, 6),
    "JPEG 40": lambda x: jpeg(x, 40),
    "yellow edges": yellow_edges,
    "yellow corner and grain": lambda x: grain(yellow_corner(x), 3),
    "toned border": lambda x: jpeg(grain(framed(x, (232, 215, 180)), 2), 85),
    "white border, yellow edges": lambda x: jpeg(yellow_edges(framed(x, (252, 252, 250)), 0.3), 85),
}


def framed(
    x: np.ndarray,
    color: int | tuple[int, ...],
    widths: tuple[int, int, int, int] = (20, 20, 20, 20),
) -> np.ndarray:
    """Puts a border around [H, W] or [H, W, 3]: pixels at the top, bottom, left and right."""
    top, bottom, left, right = widths
    whole = np.empty((x.shape[0] + top + bottom, x.shape[1] + left + right, *x.shape[2:]), x.dtype)
    whole[:] = color
    whole[top : top + x.shape[0], left : left + x.shape[1]] = x
    return whole
