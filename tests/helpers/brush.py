"""Measures how far a hint reaches in a rendered scene."""

from __future__ import annotations

import numpy as np

from helpers import shapes
from residual_encoder.data import sample_images
from residual_encoder.imaging import array_colors
from residual_encoder.inference.colorizer import Colorizer


def ab(rgb_u8: np.ndarray) -> np.ndarray:
    """Returns a and b of Lab: uint8 [..., 3] -> float32 [..., 2]."""
    return array_colors.rgb_to_lab(rgb_u8 / np.float32(255))[..., 1:]


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns distances of [..., 2] in ab."""
    return np.linalg.norm(one - other, axis=-1)


def color_for(colored: np.ndarray, gray: int, y: int, x: int) -> np.ndarray:
    """Returns a color that differs from what is there and can be shown at its gray."""
    level = array_colors.lightness(np.float32([[gray / 255]]))[0, 0]
    angles = np.deg2rad(np.arange(0, 360, 30))
    wanted = 35 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    lab = np.insert(wanted, 0, level, axis=1).astype(np.float32)
    rgb = np.rint(array_colors.lab_to_rgb(lab) * 255)
    moved, apart = distance(ab(rgb), wanted), distance(ab(colored[y, x][None]), wanted)
    return rgb[np.argmax(np.minimum(apart, 40) - 3 * moved)]


def spread(model: Colorizer, scene: shapes.Scene, region: shapes.Region) -> tuple[float, float]:
    """Returns shares: of a region within 10 in ab of its hint, of the rest that moves by over 5."""
    gray = sample_images.luma_u8(scene.rgb)
    before = model.colorize(gray)
    rgb = color_for(before, gray[region.y, region.x], region.y, region.x)
    hint = {"x": region.x, "y": region.y, "rgb": [int(value) for value in rgb]}
    after = ab(model.colorize(gray, hints=[hint]))
    inside = distance(after, ab(rgb[None])[0])[region.mask] < 10
    outside = distance(after, ab(before))[~region.mask] > 5
    return float(inside.mean()), float(outside.mean())
