"""Synthetic scenes whose colors follow from their content, drawn from a seed.

Grass is green because it has blades, a wall is brick red because it has courses, an orange has pits
and an apple has streaks: a network can learn to color these pictures without a download. How
bright a material is varies widely, so that gray alone does not tell the color.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residual_encoder.data.scene_parts import (
    Array,
    Random,
    banana,
    bricks,
    figure,
    foliage,
    grass,
    grid,
    leaf,
    noise,
    paint,
    plaster,
    rgb,
    round_fruit,
    sand,
    sea,
    sky,
    step,
    tree,
    wood,
)

OVERSAMPLING = 2  # drawn twice as large and averaged, which smooths the edges


def _ridge(random: Random, size: int, middle: float, height: float, bumps: float) -> Array:
    """Draws a mask that is 1 below an uneven horizon."""
    y, _ = grid(size)
    line = middle + height * (noise(random, size, 1, bumps)[0] - 0.5)
    return step(y - line[None, :], 0, 1.5 / size)


def _meadow(random: Random, size: int) -> Array:
    picture = sky(random, size)
    horizon = random.uniform(0.3, 0.65)
    hills = 0.6 * foliage(random, size) + rgb(0.14, 0.18, 0.20)
    paint(picture, hills, _ridge(random, size, horizon - 0.05, 0.25, 4))
    paint(picture, grass(random, size), _ridge(random, size, horizon + 0.05, 0.08, 3))
    for _ in range(random.integers(0, 4)):
        reach = random.uniform(0.07, 0.17)
        tree(picture, random, (horizon - 0.9 * reach, random.random()), reach)
    return picture


def _beach(random: Random, size: int) -> Array:
    picture = sky(random, size)
    horizon = random.uniform(0.2, 0.55)
    paint(picture, sea(random, size), _ridge(random, size, horizon, 0.0, 1))
    if random.random() < 0.75:
        shore = random.uniform(horizon + 0.15, 0.9)
        bend = random.uniform(-0.3, 0.3)
        y, x = grid(size)
        line = y - shore - bend * (x - 0.5) - 0.05 * (noise(random, size, 1, 6)[:1] - 0.5)
        paint(picture, np.float32(0.95), step(line, -0.015, 0.02))
        paint(picture, sand(random, size), step(line, 0.01, 0.015))
    return picture


def _still_life(random: Random, size: int) -> Array:
    wall = plaster if random.random() < 0.7 else bricks
    picture = wall(random, size)
    edge = random.uniform(0.2, 0.5)
    paint(picture, wood(random, size), _ridge(random, size, edge, 0.0, 1))
    things = [round_fruit, round_fruit, banana, leaf]
    rows = sorted(random.uniform(edge + 0.02, 0.85, random.integers(2, 7)))
    for row in rows:
        thing = things[random.integers(len(things))]
        thing(picture, random, (row, random.uniform(0.08, 0.92)), random.uniform(0.11, 0.19))
    return picture


def _street(random: Random, size: int) -> Array:
    picture = bricks(random, size)
    foot = random.uniform(0.75, 1.0)
    if random.random() < 0.6:
        reach = random.uniform(0.07, 0.14)
        head = foot - random.uniform(2.5, 4.2) * reach
        figure(picture, random, (head, random.uniform(0.2, 0.8)), reach)
    ground = grass(random, size) if random.random() < 0.5 else 0.8 * plaster(random, size)
    paint(picture, ground, _ridge(random, size, foot, 0.0, 1))
    return picture


def _portrait(random: Random, size: int) -> Array:
    grounds: list[Callable[[Random, int], Array]] = [foliage, plaster, sky, bricks]
    picture = grounds[random.integers(len(grounds))](random, size)
    reach = random.uniform(0.15, 0.24)
    figure(picture, random, (random.uniform(0.3, 0.45), random.uniform(0.35, 0.65)), reach)
    return picture


SCENES = (_meadow, _beach, _still_life, _street, _portrait)


def _lit(picture: Array, random: Random) -> Array:
    """Varies the light: brighter or darker, warmer or cooler, falling off to one side."""
    y, x = grid(picture.shape[-1])
    slope = random.uniform(-0.2, 0.2, 2)
    fall = (1 + slope[0] * (y - 0.5) + slope[1] * (x - 0.5)).astype(np.float32)
    warmth = random.uniform(-0.05, 0.05)
    return picture * fall * rgb(1 + warmth, 1, 1 - warmth, random.uniform(0.72, 1.12))


def render(seed: int, index: int, size: int) -> Array:
    """Draws a scene.

    Args:
      seed: Which collection of scenes.
      index: Which of its scenes; five kinds take turns by chance.
      size: Side in pixels, at least 1. Another size shows other detail, not the same scene scaled.

    Returns:
      uint8 [size, size, 3], sRGB; the same for the same arguments.

    Raises:
      ValueError: an argument is out of range.
    """
    if size < 1 or seed < 0 or index < 0:
        raise ValueError(
            f"size {size} must be at least 1; seed {seed} and index {index} at least 0"
        )
    random = np.random.default_rng((seed, index))
    scene = SCENES[random.integers(len(SCENES))]
    drawn = np.clip(_lit(scene(random, size * OVERSAMPLING), random), 0, 1)
    corners = [
        drawn[:, y::OVERSAMPLING, x::OVERSAMPLING] for y, x in np.ndindex(2 * (OVERSAMPLING,))
    ]
    smooth = (sum(corners) / len(corners)).transpose(1, 2, 0)
    return np.ascontiguousarray(np.rint(smooth * 255).astype(np.uint8))
