"""Renders scenes of shaded, textured shapes in front of each other, with the mask of each.

Every surface has one color (ab of Lab), a texture, and light that falls off across it. Neighbors
differ in gray, as things in photographs mostly do; nothing else tells them apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import colorspace

SIZE = 416  # pixels a side
DARKEST, LIGHTEST = 20, 90  # of L in [0, 100], before light and texture
TEXTURES = ("grain", "stripes", "spots", "plain")


class Region(NamedTuple):
    """The visible part of one surface."""

    mask: np.ndarray  # [SIZE, SIZE] bool
    y: int  # its place that is farthest from its edge
    x: int


class Scene(NamedTuple):
    """A scene and its surfaces, the ground first."""

    rgb: np.ndarray  # uint8 [SIZE, SIZE, 3]
    regions: list[Region]


def render(seed: int) -> Scene:
    """Draws a ground and four shapes on it."""
    random = np.random.default_rng((20, seed))
    level = random.uniform(35, 75)
    lab = _surface(random, level)
    owner = np.zeros((SIZE, SIZE), int)
    levels = [level]
    for number, middle in enumerate(random.permutation(_places()), start=1):
        mask = _shape(random, middle)
        near = {levels[k] for k in np.unique(owner[mask])}
        levels.append(_apart(random, near))
        owner[mask] = number
        lab[mask] = _surface(random, levels[-1])[mask]
    rgb = colorspace.lab_to_rgb(lab.astype(np.float32)).numpy()
    regions = [_region(owner == number) for number in range(len(levels))]
    return Scene(np.rint(rgb * 255).astype(np.uint8), regions)


def _places() -> np.ndarray:
    """Returns middles of four shapes, a quarter of the picture each; they overlap somewhat."""
    return np.array([(0.3, 0.3), (0.3, 0.7), (0.7, 0.3), (0.7, 0.7)])


def _apart(random: np.random.Generator, near: set[float]) -> float:
    """Draws the level, of a hundred, that lies farthest from those near."""
    levels = random.uniform(DARKEST, LIGHTEST, 100)
    return float(max(levels, key=lambda level: min(abs(level - other) for other in near)))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    line = (np.arange(SIZE) + 0.5) / SIZE
    return line[:, None], line[None, :]


def _shape(random: np.random.Generator, middle: np.ndarray) -> np.ndarray:
    """Draws an ellipse, a rounded square or a star, turned at random."""
    at_y, at_x = middle + random.uniform(-0.05, 0.05, 2)
    y, x = _grid()
    y, x = y - at_y, x - at_x
    turn = random.uniform(0, np.pi)
    y, x = np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x
    high, wide = random.uniform(0.13, 0.2, 2)
    kind = random.integers(3)
    if kind == 2:  # a star with round arms
        angle = np.arctan2(y, x)
        return np.hypot(y, x) < 0.17 * (1 + 0.25 * np.cos(5 * angle))
    power = 2 if kind == 0 else 5
    return np.abs(y / high) ** power + np.abs(x / wide) ** power < 1


def _surface(random: np.random.Generator, level: float) -> np.ndarray:
    """Draws Lab [SIZE, SIZE, 3] of one color, with texture and shading around a level of L."""
    y, x = _grid()
    turn = random.uniform(0, 2 * np.pi)
    slope = random.uniform(6, 16) * (np.cos(turn) * (y - 0.5) + np.sin(turn) * (x - 0.5))
    light = level + slope + _texture(random, y, x)
    hue, strength = random.uniform(0, 2 * np.pi), random.uniform(5, 30)
    lab = np.empty((SIZE, SIZE, 3))
    lab[..., 0], lab[..., 1] = np.clip(light, 2, 98), strength * np.cos(hue)
    lab[..., 2] = strength * np.sin(hue)
    return lab


def _texture(random: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Draws a texture of a few units of L."""
    kind = TEXTURES[random.integers(len(TEXTURES))]
    strength = random.uniform(2, 5)
    turn, period = random.uniform(0, np.pi), random.uniform(0.01, 0.04)
    along = np.cos(turn) * y + np.sin(turn) * x
    across = np.cos(turn) * x - np.sin(turn) * y
    if kind == "grain":
        return random.normal(0, strength, (SIZE, SIZE))
    if kind == "stripes":
        return strength * np.sin(2 * np.pi * along / period)
    if kind == "spots":
        return strength * np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period)
    return np.zeros((SIZE, SIZE))


def _region(mask: np.ndarray) -> Region:
    """Finds the place inside a mask that is farthest from its edge."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Region(mask, int(y), int(x))
