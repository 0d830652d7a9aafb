"""Synthetic scenes whose colors follow from what is in them, drawn from a seed.

Grass is green because it has blades, a wall is brick red because it has courses, an orange has pits
and an apple has streaks: a network can learn to color these pictures without a download. How
bright a material is varies widely, so that gray alone does not tell the color.
All colors are sRGB code values in [0, 1], chosen by eye after photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# Float32 NumPy arrays. A plane is [N, N], a picture [3, N, N] (planes are quicker than pixels), a
# color [3, 1, 1].
Array = Any
Random = np.random.Generator

OVERSAMPLING = 2  # drawn twice as large and averaged, which smooths the edges


# --- noise ----------------------------------------------------------------------------------------


def _between(random: Random, count: int, knots: int) -> tuple[Array, Array]:
    """For linear interpolation at `count` places: the knot before each, and the way to the next."""
    phase = random.random(dtype=np.float32)
    place = (np.arange(count, dtype=np.float32) + phase) * np.float32((knots - 1) / (count + 1))
    low = np.minimum(place.astype(int), knots - 2)
    return low, place - low.astype(np.float32)


def _noise(random: Random, size: int, down: float, across: float) -> Array:
    """Smooth noise in [0, 1], [size, size], with about `down` x `across` bumps.

    Without matrix products: their library starts threads of its own, and many scenes are drawn at
    once.
    """
    rows, columns = max(2, int(down) + 1), max(2, int(across) + 1)
    knots = random.random((rows, columns), np.float32)
    low, share = _between(random, size, rows)
    lines = knots[low] + share[:, None] * (knots[low + 1] - knots[low])
    low, share = _between(random, size, columns)
    return lines.take(low, 1) + share * np.diff(lines).take(low, 1)


def _clouds(random: Random, size: int, bumps: float) -> Array:
    """Noise of four scales, in [0, 1]."""
    scales = [(0.53, 1), (0.27, 2), (0.13, 4), (0.07, 9)]
    return sum(share * _noise(random, size, bumps * k, bumps * k) for share, k in scales)


def _rgb(red: float, green: float, blue: float, tone: float = 1.0) -> Array:
    return np.array([[[red]], [[green]], [[blue]]], np.float32) * np.float32(tone)


def _mix(low: Array, high: Array, share: Array) -> Array:
    """Between two colors, by a plane in [0, 1]: a picture."""
    return low + share * (high - low)


def _step(plane: Array, edge: float, width: float) -> Array:
    """From 0 to 1 around `edge`."""
    return np.clip((plane - edge) / width + 0.5, 0, 1)


def _paint(picture: Array, color: Array, mask: Array) -> None:
    """Lays a color, or a picture, over another where the mask is 1."""
    picture += mask * (color - picture)


def _grid(size: int) -> tuple[Array, Array]:
    """Rows and columns in [0, 1], as [size, 1] and [1, size]."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return line[:, None], line[None, :]


# --- materials: a whole picture of each -----------------------------------------------------------


def _sky(random: Random, size: int) -> Array:
    y, _ = _grid(size)
    light = random.uniform(0.45, 1.0)
    top, low = _rgb(0.20, 0.42, 0.80, light), _rgb(0.62, 0.80, 0.96, light)
    if random.random() < 0.2:  # evening
        top, low = _rgb(0.30, 0.38, 0.62, light), _rgb(0.98, 0.66, 0.40, light)
    depth = np.broadcast_to(np.clip(y * 1.5, 0, 1), (size, size))
    picture = _mix(top, low, depth)
    white = _step(_clouds(random, size, 4), random.uniform(0.42, 0.75), 0.22)
    shade = 0.80 + 0.2 * _noise(random, size, 5, 5)
    _paint(picture, shade * _rgb(0.97, 0.97, 0.98, light), white)
    return picture


def _grass(random: Random, size: int) -> Array:
    far = _noise(random, size, 30, 110)
    near = np.roll(_noise(random, size, 9, 60), random.integers(size), 1)
    y, _ = _grid(size)
    blades = far + (near - far) * np.clip(1.6 * y - 0.3, 0, 1)
    patches = _noise(random, size, 4, 4)
    dark = _rgb(0.10, 0.22, 0.06, random.uniform(0.7, 1.5))
    high = _rgb(0.52, 0.70, 0.24, random.uniform(0.7, 1.2))
    return _mix(dark, high, np.clip(1.5 * (blades - 0.5) + 0.35 + 0.4 * (patches - 0.3), 0, 1))


def _sea(random: Random, size: int) -> Array:
    far = _noise(random, size, 90, 14)
    near = _noise(random, size, 34, 7)
    y, _ = _grid(size)
    ripples = far + (near - far) * y
    deep = _rgb(0.03, 0.22, 0.36, random.uniform(0.7, 1.7))
    high = _rgb(0.42, 0.70, 0.78, random.uniform(0.7, 1.15))
    picture = _mix(deep, high, np.clip(1.5 * (ripples - 0.5) + 0.42, 0, 1))
    _paint(picture, np.float32(0.95), _step(ripples, 0.93, 0.06))
    return picture


def _sand(random: Random, size: int) -> Array:
    grain = random.random((size // 2 + 1, size // 2 + 1), np.float32)
    grain = grain.repeat(2, 0).repeat(2, 1)[:size, :size]
    dunes = _noise(random, size, 7, 3)
    color = _rgb(0.88, 0.74, 0.52, random.uniform(0.45, 1.1))
    return _mix(0.62 * color, 1.1 * color, np.clip(0.45 * grain + 0.75 * dunes - 0.05, 0, 1))


def _bricks(random: Random, size: int) -> Array:
    y, x = _grid(size)
    courses = random.integers(9, 17)
    row = np.floor(y * courses).astype(int)
    length = x * courses / 2.4 + 0.5 * (row % 2) + random.random()
    column = np.floor(length).astype(int)
    tones = random.random((courses + 1, courses + 3), np.float32)
    tone = 0.65 * tones[row, column] + 0.35 * _noise(random, size, 60, 60)
    color = _rgb(0.68, 0.30, 0.20, random.uniform(0.6, 1.25))
    picture = _mix(0.62 * color, 1.15 * color, tone)
    joint = np.maximum(
        np.abs(y * courses - row - 0.5), 0.5 - 2.4 * (0.5 - np.abs(length - column - 0.5))
    )
    _paint(picture, np.float32(random.uniform(0.45, 0.8)), _step(joint, 0.44, 0.05))
    return picture


def _wood(random: Random, size: int) -> Array:
    fibers = 0.6 * _noise(random, size, 45, 3) + 0.4 * _noise(random, size, 90, 6)
    y, _ = _grid(size)
    boards = random.integers(2, 5)
    gap = np.abs((y * boards) % 1 - 0.5)
    color = _rgb(0.66, 0.44, 0.26, random.uniform(0.5, 1.25))
    picture = _mix(0.6 * color, 1.15 * color, np.clip(1.4 * fibers - 0.2, 0, 1))
    picture *= 1 - 0.6 * _step(gap, 0.485, 0.01)
    return picture


def _plaster(random: Random, size: int) -> Array:
    tone = random.uniform(0.3, 0.9) * (0.85 + 0.25 * _noise(random, size, 2, 2))
    return tone * _rgb(1.0, 0.99, 0.97)


def _foliage(random: Random, size: int) -> Array:
    tufts = 0.5 * _noise(random, size, 26, 26) + 0.5 * _noise(random, size, 60, 60)
    dark = _rgb(0.06, 0.15, 0.05, random.uniform(0.7, 1.5))
    high = _rgb(0.36, 0.55, 0.20, random.uniform(0.7, 1.3))
    return _mix(dark, high, np.clip(1.9 * (tufts - 0.5) + 0.45, 0, 1))


def _denim(random: Random, size: int) -> Array:
    y, x = _grid(size)
    twill = 0.5 + 0.5 * np.sin((x + y) * 150)
    color = _rgb(0.30, 0.42, 0.66, random.uniform(0.5, 1.3))
    return _mix(0.7 * color, 1.1 * color, 0.6 * twill + 0.4 * _noise(random, size, 10, 10))


# --- things: drawn into a picture -----------------------------------------------------------------


def _patch(picture: Array, middle: tuple[float, float], reach: float) -> tuple[Array, Array, Array]:
    """The square around (row, column), in shares of the side, and coordinates in units of reach."""
    size = picture.shape[-1]
    spans = [
        slice(max(0, int((at - reach) * size)), min(size, int((at + reach) * size) + 1))
        for at in middle
    ]
    y, x = (
        ((np.arange(span.start, span.stop, dtype=np.float32) + 0.5) / size - at) / reach
        for span, at in zip(spans, middle, strict=True)
    )
    return picture[:, spans[0], spans[1]], y[:, None], x[None, :]


def _ball(y: Array, x: Array, sun: float) -> tuple[Array, Array]:
    """Brightness and gloss of a ball of radius 1, lit from above and from the side of `sun`."""
    depth = np.sqrt(np.maximum(1 - y * y - x * x, 0))
    light = np.clip(-0.55 * y + 0.5 * sun * x + 0.65 * depth, 0, 1)
    return 0.28 + 0.85 * light, np.clip(light, 0, 1) ** 24


def _shadow(picture: Array, middle: tuple[float, float], reach: float) -> None:
    part, y, x = _patch(picture, (middle[0] + 0.8 * reach, middle[1]), 1.4 * reach)
    part *= 1 - 0.55 * np.clip(1.2 - (4.0 * y) ** 2 - (1.3 * x) ** 2, 0, 1)


def _fruit_skin(kind: str, random: Random, y: Array, x: Array) -> Array:
    """The colors of a round fruit, [3, h, w], before light."""
    tone = random.uniform(0.75, 1.15)
    side = max(y.size, x.size)
    if kind == "orange":
        pits = random.random((side, side), np.float32)[: y.size, : x.size]
        return _mix(_rgb(0.72, 0.36, 0.03, tone), _rgb(1.0, 0.60, 0.12, tone), pits)
    streaks = np.sin(27 * np.arctan2(x, y + 1.5) + random.uniform(0, 6)) * 0.5 + 0.5
    return _mix(_rgb(0.60, 0.07, 0.08, tone), _rgb(0.86, 0.24, 0.16, tone), streaks)


def _round_fruit(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    kind = str(random.choice(["apple", "orange"]))
    sun = float(random.choice([-1.0, 1.0]))
    _shadow(picture, middle, reach)
    part, y, x = _patch(picture, middle, 1.15 * reach)
    y, x = 1.15 * y, 1.15 * x
    radius = np.sqrt(y * y + x * x)
    if kind != "orange":
        radius = radius + 0.13 * np.exp(-((x / 0.3) ** 2)) * (y < 0) * np.abs(y)
    light, gloss = _ball(y, x, sun)
    colors = _fruit_skin(kind, random, y, x) * light + 0.5 * gloss
    _paint(part, colors, _step(-radius, -1, 0.04))
    if kind != "orange":
        stem = _step(-np.abs(x - 0.12 * (y + 0.9)), -0.05, 0.03) * _step(
            -np.abs(y + 0.95), -0.2, 0.03
        )
        _paint(part, _rgb(0.25, 0.17, 0.09), stem)


def _banana(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    _shadow(picture, middle, reach)
    part, y, x = _patch(picture, middle, 1.3 * reach)
    y, x = 1.3 * y, 1.3 * x * float(random.choice([-1.0, 1.0]))
    bend = y + 0.75 - np.sqrt(np.maximum(1.9 - x * x, 0)) + 0.45
    thick = 0.36 * np.sqrt(np.maximum(1.04 - x * x, 0))
    across = bend / np.maximum(thick, 0.02)
    ridge = 0.85 + 0.3 * _step(-across, -0.1, 0.2)
    tone = random.uniform(0.7, 1.05) * ridge * (1 - 0.22 * across)
    speckle = random.random(across.shape, np.float32) > 0.97
    colors = tone * (1 - 0.45 * speckle) * _rgb(0.95, 0.78, 0.20)
    _paint(part, colors, _step(-np.abs(across), -1, 0.12) * (np.abs(x) < 1.02))
    tips = _step(np.abs(x), 0.93, 0.04) * (np.abs(across) < 1) * (np.abs(x) < 1.02)
    _paint(part, _rgb(0.24, 0.18, 0.08), tips)


def _leaf(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    part, y, x = _patch(picture, middle, reach)
    turn = random.uniform(0, 2 * np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    width = 0.42 * (1 - along**2) * (1 - 0.3 * along)
    veins = np.maximum(
        _step(-np.abs(across), -0.03, 0.03),
        0.6 * _step(np.sin(16 * (along - np.abs(across))), 0.8, 0.3),
    )
    tone = random.uniform(0.6, 1.2) * (1 + 0.25 * np.sign(across))
    colors = tone * _rgb(0.24, 0.46, 0.14)
    colors = colors + 0.28 * veins * _rgb(0.8, 1.0, 0.6)
    _paint(part, colors, _step(width - np.abs(across), 0, 0.05) * (np.abs(along) < 1))


def _tree(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    foot = (middle[0] + 1.5 * reach, middle[1])
    part, y, x = _patch(picture, foot, reach)
    bark = 0.5 + 0.5 * np.sin(70 * x + 4 * np.sin(9 * y))
    trunk = _step(-np.abs(x), -0.11 - 0.06 * np.clip(y, 0, 1), 0.03) * (y < 0.55)
    _paint(part, _mix(_rgb(0.20, 0.13, 0.08), _rgb(0.46, 0.33, 0.22), bark), trunk)
    part, y, x = _patch(picture, middle, 1.2 * reach)
    y, x = 1.2 * y, 1.2 * x
    texture = _foliage(random, picture.shape[-1])[:, : y.size, : x.size]
    edge = np.sqrt(y * y + x * x) + 0.5 * (
        _noise(random, max(y.size, x.size), 9, 9)[: y.size, : x.size] - 0.5
    )
    light, _ = _ball(np.clip(y, -1, 1), np.clip(x, -1, 1), 1.0)
    _paint(part, texture * (0.45 + 0.7 * light), _step(-edge, -0.9, 0.12))


def _oval(y: Array, x: Array, height: float, width: float, soft: float = 0.06) -> Array:
    return _step(-np.sqrt((y / height) ** 2 + (x / width) ** 2), -1, soft)


def _face(
    picture: Array, random: Random, middle: tuple[float, float], reach: float, skin: Array
) -> None:
    part, y, x = _patch(picture, middle, 1.5 * reach)
    y, x = 1.5 * y, 1.5 * x
    sun = float(random.choice([-1.0, 1.0]))
    light = 0.72 + 0.35 * _ball(y / 1.1, x, sun)[0]
    strands = 0.5 + 0.5 * np.sin(45 * x + 9 * y + random.uniform(0, 6))
    hair = _rgb(0.30, 0.19, 0.11, random.uniform(0.25, 1.4))
    _paint(part, _mix(0.6 * hair, 1.2 * hair, strands), _oval(y + 0.22, x, 1.02, 0.95))
    _paint(part, skin * light, _oval(y - 0.08, x, 0.95, 0.74))
    for side in (-0.3, 0.3):
        _paint(part, np.float32(0.93), _oval(y + 0.02, x - side, 0.09, 0.15, 0.3))
        _paint(part, np.float32(0.07), _oval(y + 0.02, x - side, 0.08, 0.07, 0.3))
        _paint(part, 0.8 * hair, _oval(y + 0.2, x - side, 0.05, 0.19, 0.3))
    _paint(part, 0.75 * skin * light, _oval(y - 0.27, x - 0.05 * sun, 0.13, 0.1, 0.5))
    lips = skin * _rgb(0.95, 0.58, 0.58)
    _paint(part, lips, _oval(y - 0.57, x, 0.09, 0.27, 0.3))


def _figure(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Head and shoulders; denim and white shirts only, since other cloth could have any color."""
    skin = _rgb(0.90, 0.68, 0.54, random.uniform(0.42, 1.08))
    part, y, x = _patch(picture, (middle[0] + 2.7 * reach, middle[1]), 2.0 * reach)
    y, x = 2 * y, 2 * x
    body = _step(-np.sqrt((y / 1.9) ** 4 + (x / 1.65) ** 4), -1, 0.05)
    cloth = (
        _denim(random, picture.shape[-1])
        if random.random() < 0.6
        else _plaster(random, picture.shape[-1])
    )
    folds = 0.75 + 0.3 * np.sin(3.5 * x + 1.5 * np.sin(2 * y))
    _paint(part, cloth[:, : y.size, : x.size] * folds, body)
    neck = _step(-np.abs(x), -0.36, 0.05) * _step(-y, 1.25, 0.05)
    _paint(part, 0.8 * skin, neck)
    for side in (-1.0, 1.0):
        arm = _oval(y - 0.9, x - side * 1.5, 1.1, 0.3)
        _paint(part, skin * (0.85 + 0.15 * np.cos(5 * (x - side * 1.5))), arm)
    _face(picture, random, middle, reach, skin)


# --- scenes ---------------------------------------------------------------------------------------


def _ridge(random: Random, size: int, middle: float, height: float, bumps: float) -> Array:
    """A mask that is 1 below an uneven horizon."""
    y, _ = _grid(size)
    line = middle + height * (_noise(random, size, 1, bumps)[0] - 0.5)
    return _step(y - line[None, :], 0, 1.5 / size)


def _meadow(random: Random, size: int) -> Array:
    picture = _sky(random, size)
    horizon = random.uniform(0.3, 0.65)
    hills = 0.6 * _foliage(random, size) + _rgb(0.14, 0.18, 0.20)
    _paint(picture, hills, _ridge(random, size, horizon - 0.05, 0.25, 4))
    _paint(picture, _grass(random, size), _ridge(random, size, horizon + 0.05, 0.08, 3))
    for _ in range(random.integers(0, 4)):
        reach = random.uniform(0.07, 0.17)
        _tree(picture, random, (horizon - 0.9 * reach, random.random()), reach)
    return picture


def _beach(random: Random, size: int) -> Array:
    picture = _sky(random, size)
    horizon = random.uniform(0.2, 0.55)
    _paint(picture, _sea(random, size), _ridge(random, size, horizon, 0.0, 1))
    if random.random() < 0.75:
        shore = random.uniform(horizon + 0.15, 0.9)
        bend = random.uniform(-0.3, 0.3)
        y, x = _grid(size)
        line = y - shore - bend * (x - 0.5) - 0.05 * (_noise(random, size, 1, 6)[:1] - 0.5)
        _paint(picture, np.float32(0.95), _step(line, -0.015, 0.02))
        _paint(picture, _sand(random, size), _step(line, 0.01, 0.015))
    return picture


def _still_life(random: Random, size: int) -> Array:
    wall = _plaster if random.random() < 0.7 else _bricks
    picture = wall(random, size)
    edge = random.uniform(0.2, 0.5)
    _paint(picture, _wood(random, size), _ridge(random, size, edge, 0.0, 1))
    things = [_round_fruit, _round_fruit, _banana, _leaf]
    rows = sorted(random.uniform(edge + 0.02, 0.85, random.integers(2, 7)))
    for row in rows:
        thing = things[random.integers(len(things))]
        thing(picture, random, (row, random.uniform(0.08, 0.92)), random.uniform(0.11, 0.19))
    return picture


def _street(random: Random, size: int) -> Array:
    picture = _bricks(random, size)
    foot = random.uniform(0.75, 1.0)
    if random.random() < 0.6:
        reach = random.uniform(0.07, 0.14)
        head = foot - random.uniform(2.5, 4.2) * reach
        _figure(picture, random, (head, random.uniform(0.2, 0.8)), reach)
    ground = _grass(random, size) if random.random() < 0.5 else 0.8 * _plaster(random, size)
    _paint(picture, ground, _ridge(random, size, foot, 0.0, 1))
    return picture


def _portrait(random: Random, size: int) -> Array:
    grounds: list[Callable[[Random, int], Array]] = [_foliage, _plaster, _sky, _bricks]
    picture = grounds[random.integers(len(grounds))](random, size)
    reach = random.uniform(0.15, 0.24)
    _figure(picture, random, (random.uniform(0.3, 0.45), random.uniform(0.35, 0.65)), reach)
    return picture


SCENES = (_meadow, _beach, _still_life, _street, _portrait)


def _lit(picture: Array, random: Random) -> Array:
    """Varied light: brighter or darker, warmer or cooler, and falling off to one side."""
    y, x = _grid(picture.shape[-1])
    slope = random.uniform(-0.2, 0.2, 2)
    fall = (1 + slope[0] * (y - 0.5) + slope[1] * (x - 0.5)).astype(np.float32)
    warmth = random.uniform(-0.05, 0.05)
    return picture * fall * _rgb(1 + warmth, 1, 1 - warmth, random.uniform(0.72, 1.12))


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
