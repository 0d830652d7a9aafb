"""Draws the parts of the synthetic scenes: noise, materials that fill a picture, and things.

All colors are sRGB code values in [0, 1], chosen by eye after photographs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Float32 NumPy arrays. A plane is [N, N], a picture [3, N, N] (planes are quicker than pixels), a
# color [3, 1, 1].
Array = Any
Random = np.random.Generator


# --- noise ----------------------------------------------------------------------------------------


def _between(random: Random, count: int, knots: int) -> tuple[Array, Array]:
    """Prepares linear interpolation at `count` places: the knot before each, the way onward."""
    phase = random.random(dtype=np.float32)
    place = (np.arange(count, dtype=np.float32) + phase) * np.float32((knots - 1) / (count + 1))
    low = np.minimum(place.astype(int), knots - 2)
    return low, place - low.astype(np.float32)


def noise(random: Random, size: int, down: float, across: float) -> Array:
    """Draws smooth noise in [0, 1], [size, size], with about `down` x `across` bumps.

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
    """Adds up noise of four scales, in [0, 1]."""
    scales = [(0.53, 1), (0.27, 2), (0.13, 4), (0.07, 9)]
    return sum(share * noise(random, size, bumps * k, bumps * k) for share, k in scales)


def rgb(red: float, green: float, blue: float, tone: float = 1.0) -> Array:
    """Returns a color times a tone, [3, 1, 1] float32."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32) * np.float32(tone)


def _mix(low: Array, high: Array, share: Array) -> Array:
    """Mixes two colors by a plane in [0, 1] into a picture."""
    return low + share * (high - low)


def step(plane: Array, edge: float, width: float) -> Array:
    """Rises from 0 to 1 around `edge`, over `width`."""
    return np.clip((plane - edge) / width + 0.5, 0, 1)


def paint(picture: Array, color: Array, mask: Array) -> None:
    """Lays a color, or a picture, over another where the mask is 1."""
    picture += mask * (color - picture)


def grid(size: int) -> tuple[Array, Array]:
    """Returns rows and columns in [0, 1], as [size, 1] and [1, size]."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return line[:, None], line[None, :]


# --- materials: a whole picture of each -----------------------------------------------------------


def sky(random: Random, size: int) -> Array:
    """Draws a sky of day or evening with clouds. [3, size, size]."""
    y, _ = grid(size)
    light = random.uniform(0.45, 1.0)
    top, low = rgb(0.20, 0.42, 0.80, light), rgb(0.62, 0.80, 0.96, light)
    if random.random() < 0.2:  # evening
        top, low = rgb(0.30, 0.38, 0.62, light), rgb(0.98, 0.66, 0.40, light)
    depth = np.broadcast_to(np.clip(y * 1.5, 0, 1), (size, size))
    picture = _mix(top, low, depth)
    white = step(_clouds(random, size, 4), random.uniform(0.42, 0.75), 0.22)
    shade = 0.80 + 0.2 * noise(random, size, 5, 5)
    paint(picture, shade * rgb(0.97, 0.97, 0.98, light), white)
    return picture


def grass(random: Random, size: int) -> Array:
    """Draws blades of grass, finer toward the top. [3, size, size]."""
    far = noise(random, size, 30, 110)
    near = np.roll(noise(random, size, 9, 60), random.integers(size), 1)
    y, _ = grid(size)
    blades = far + (near - far) * np.clip(1.6 * y - 0.3, 0, 1)
    patches = noise(random, size, 4, 4)
    dark = rgb(0.10, 0.22, 0.06, random.uniform(0.7, 1.5))
    high = rgb(0.52, 0.70, 0.24, random.uniform(0.7, 1.2))
    return _mix(dark, high, np.clip(1.5 * (blades - 0.5) + 0.35 + 0.4 * (patches - 0.3), 0, 1))


def sea(random: Random, size: int) -> Array:
    """Draws water with ripples and foam. [3, size, size]."""
    far = noise(random, size, 90, 14)
    near = noise(random, size, 34, 7)
    y, _ = grid(size)
    ripples = far + (near - far) * y
    deep = rgb(0.03, 0.22, 0.36, random.uniform(0.7, 1.7))
    high = rgb(0.42, 0.70, 0.78, random.uniform(0.7, 1.15))
    picture = _mix(deep, high, np.clip(1.5 * (ripples - 0.5) + 0.42, 0, 1))
    paint(picture, np.float32(0.95), step(ripples, 0.93, 0.06))
    return picture


def sand(random: Random, size: int) -> Array:
    """Draws grains and dunes. [3, size, size]."""
    grain = random.random((size // 2 + 1, size // 2 + 1), np.float32)
    grain = grain.repeat(2, 0).repeat(2, 1)[:size, :size]
    dunes = noise(random, size, 7, 3)
    color = rgb(0.88, 0.74, 0.52, random.uniform(0.45, 1.1))
    return _mix(0.62 * color, 1.1 * color, np.clip(0.45 * grain + 0.75 * dunes - 0.05, 0, 1))


def bricks(random: Random, size: int) -> Array:
    """Draws courses of bricks with joints. [3, size, size]."""
    y, x = grid(size)
    courses = random.integers(9, 17)
    row = np.floor(y * courses).astype(int)
    length = x * courses / 2.4 + 0.5 * (row % 2) + random.random()
    column = np.floor(length).astype(int)
    tones = random.random((courses + 1, courses + 3), np.float32)
    tone = 0.65 * tones[row, column] + 0.35 * noise(random, size, 60, 60)
    color = rgb(0.68, 0.30, 0.20, random.uniform(0.6, 1.25))
    picture = _mix(0.62 * color, 1.15 * color, tone)
    joint = np.maximum(
        np.abs(y * courses - row - 0.5), 0.5 - 2.4 * (0.5 - np.abs(length - column - 0.5))
    )
    paint(picture, np.float32(random.uniform(0.45, 0.8)), step(joint, 0.44, 0.05))
    return picture


def wood(random: Random, size: int) -> Array:
    """Draws boards with fibers. [3, size, size]."""
    fibers = 0.6 * noise(random, size, 45, 3) + 0.4 * noise(random, size, 90, 6)
    y, _ = grid(size)
    boards = random.integers(2, 5)
    gap = np.abs((y * boards) % 1 - 0.5)
    color = rgb(0.66, 0.44, 0.26, random.uniform(0.5, 1.25))
    picture = _mix(0.6 * color, 1.15 * color, np.clip(1.4 * fibers - 0.2, 0, 1))
    picture *= 1 - 0.6 * step(gap, 0.485, 0.01)
    return picture


def plaster(random: Random, size: int) -> Array:
    """Draws a wall that is almost white. [3, size, size]."""
    tone = random.uniform(0.3, 0.9) * (0.85 + 0.25 * noise(random, size, 2, 2))
    return tone * rgb(1.0, 0.99, 0.97)


def foliage(random: Random, size: int) -> Array:
    """Draws tufts of leaves. [3, size, size]."""
    tufts = 0.5 * noise(random, size, 26, 26) + 0.5 * noise(random, size, 60, 60)
    dark = rgb(0.06, 0.15, 0.05, random.uniform(0.7, 1.5))
    high = rgb(0.36, 0.55, 0.20, random.uniform(0.7, 1.3))
    return _mix(dark, high, np.clip(1.9 * (tufts - 0.5) + 0.45, 0, 1))


def _denim(random: Random, size: int) -> Array:
    y, x = grid(size)
    twill = 0.5 + 0.5 * np.sin((x + y) * 150)
    color = rgb(0.30, 0.42, 0.66, random.uniform(0.5, 1.3))
    return _mix(0.7 * color, 1.1 * color, 0.6 * twill + 0.4 * noise(random, size, 10, 10))


# --- things: drawn into a picture -----------------------------------------------------------------


def _patch(picture: Array, middle: tuple[float, float], reach: float) -> tuple[Array, Array, Array]:
    """Cuts out the square around (row, column), with coordinates in units of reach."""
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
    """Shades a ball of radius 1, lit from above and from the side of `sun`: brightness, gloss."""
    depth = np.sqrt(np.maximum(1 - y * y - x * x, 0))
    light = np.clip(-0.55 * y + 0.5 * sun * x + 0.65 * depth, 0, 1)
    return 0.28 + 0.85 * light, np.clip(light, 0, 1) ** 24


def _shadow(picture: Array, middle: tuple[float, float], reach: float) -> None:
    part, y, x = _patch(picture, (middle[0] + 0.8 * reach, middle[1]), 1.4 * reach)
    part *= 1 - 0.55 * np.clip(1.2 - (4.0 * y) ** 2 - (1.3 * x) ** 2, 0, 1)


def _fruit_skin(kind: str, random: Random, y: Array, x: Array) -> Array:
    """Draws the skin of a round fruit, [3, h, w], before light."""
    tone = random.uniform(0.75, 1.15)
    side = max(y.size, x.size)
    if kind == "orange":
        pits = random.random((side, side), np.float32)[: y.size, : x.size]
        return _mix(rgb(0.72, 0.36, 0.03, tone), rgb(1.0, 0.60, 0.12, tone), pits)
    streaks = np.sin(27 * np.arctan2(x, y + 1.5) + random.uniform(0, 6)) * 0.5 + 0.5
    return _mix(rgb(0.60, 0.07, 0.08, tone), rgb(0.86, 0.24, 0.16, tone), streaks)


def round_fruit(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Draws an apple or an orange with its shadow into a picture."""
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
    paint(part, colors, step(-radius, -1, 0.04))
    if kind != "orange":
        stem = step(-np.abs(x - 0.12 * (y + 0.9)), -0.05, 0.03) * step(
            -np.abs(y + 0.95), -0.2, 0.03
        )
        paint(part, rgb(0.25, 0.17, 0.09), stem)


def banana(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Draws a banana with its shadow into a picture."""
    _shadow(picture, middle, reach)
    part, y, x = _patch(picture, middle, 1.3 * reach)
    y, x = 1.3 * y, 1.3 * x * float(random.choice([-1.0, 1.0]))
    bend = y + 0.75 - np.sqrt(np.maximum(1.9 - x * x, 0)) + 0.45
    thick = 0.36 * np.sqrt(np.maximum(1.04 - x * x, 0))
    across = bend / np.maximum(thick, 0.02)
    ridge = 0.85 + 0.3 * step(-across, -0.1, 0.2)
    tone = random.uniform(0.7, 1.05) * ridge * (1 - 0.22 * across)
    speckle = random.random(across.shape, np.float32) > 0.97
    colors = tone * (1 - 0.45 * speckle) * rgb(0.95, 0.78, 0.20)
    paint(part, colors, step(-np.abs(across), -1, 0.12) * (np.abs(x) < 1.02))
    tips = step(np.abs(x), 0.93, 0.04) * (np.abs(across) < 1) * (np.abs(x) < 1.02)
    paint(part, rgb(0.24, 0.18, 0.08), tips)


def leaf(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Draws a leaf with veins into a picture."""
    part, y, x = _patch(picture, middle, reach)
    turn = random.uniform(0, 2 * np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    width = 0.42 * (1 - along**2) * (1 - 0.3 * along)
    veins = np.maximum(
        step(-np.abs(across), -0.03, 0.03),
        0.6 * step(np.sin(16 * (along - np.abs(across))), 0.8, 0.3),
    )
    tone = random.uniform(0.6, 1.2) * (1 + 0.25 * np.sign(across))
    colors = tone * rgb(0.24, 0.46, 0.14)
    colors = colors + 0.28 * veins * rgb(0.8, 1.0, 0.6)
    paint(part, colors, step(width - np.abs(across), 0, 0.05) * (np.abs(along) < 1))


def tree(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Draws a trunk and a crown into a picture."""
    foot = (middle[0] + 1.5 * reach, middle[1])
    part, y, x = _patch(picture, foot, reach)
    bark = 0.5 + 0.5 * np.sin(70 * x + 4 * np.sin(9 * y))
    trunk = step(-np.abs(x), -0.11 - 0.06 * np.clip(y, 0, 1), 0.03) * (y < 0.55)
    paint(part, _mix(rgb(0.20, 0.13, 0.08), rgb(0.46, 0.33, 0.22), bark), trunk)
    part, y, x = _patch(picture, middle, 1.2 * reach)
    y, x = 1.2 * y, 1.2 * x
    texture = foliage(random, picture.shape[-1])[:, : y.size, : x.size]
    edge = np.sqrt(y * y + x * x) + 0.5 * (
        noise(random, max(y.size, x.size), 9, 9)[: y.size, : x.size] - 0.5
    )
    light, _ = _ball(np.clip(y, -1, 1), np.clip(x, -1, 1), 1.0)
    paint(part, texture * (0.45 + 0.7 * light), step(-edge, -0.9, 0.12))


def _oval(y: Array, x: Array, height: float, width: float, soft: float = 0.06) -> Array:
    return step(-np.sqrt((y / height) ** 2 + (x / width) ** 2), -1, soft)


def _face(
    picture: Array, random: Random, middle: tuple[float, float], reach: float, skin: Array
) -> None:
    part, y, x = _patch(picture, middle, 1.5 * reach)
    y, x = 1.5 * y, 1.5 * x
    sun = float(random.choice([-1.0, 1.0]))
    light = 0.72 + 0.35 * _ball(y / 1.1, x, sun)[0]
    strands = 0.5 + 0.5 * np.sin(45 * x + 9 * y + random.uniform(0, 6))
    hair = rgb(0.30, 0.19, 0.11, random.uniform(0.25, 1.4))
    paint(part, _mix(0.6 * hair, 1.2 * hair, strands), _oval(y + 0.22, x, 1.02, 0.95))
    paint(part, skin * light, _oval(y - 0.08, x, 0.95, 0.74))
    for side in (-0.3, 0.3):
        paint(part, np.float32(0.93), _oval(y + 0.02, x - side, 0.09, 0.15, 0.3))
        paint(part, np.float32(0.07), _oval(y + 0.02, x - side, 0.08, 0.07, 0.3))
        paint(part, 0.8 * hair, _oval(y + 0.2, x - side, 0.05, 0.19, 0.3))
    paint(part, 0.75 * skin * light, _oval(y - 0.27, x - 0.05 * sun, 0.13, 0.1, 0.5))
    lips = skin * rgb(0.95, 0.58, 0.58)
    paint(part, lips, _oval(y - 0.57, x, 0.09, 0.27, 0.3))


def figure(picture: Array, random: Random, middle: tuple[float, float], reach: float) -> None:
    """Draws head and shoulders; in denim or white, since other cloth could have any color."""
    skin = rgb(0.90, 0.68, 0.54, random.uniform(0.42, 1.08))
    part, y, x = _patch(picture, (middle[0] + 2.7 * reach, middle[1]), 2.0 * reach)
    y, x = 2 * y, 2 * x
    body = step(-np.sqrt((y / 1.9) ** 4 + (x / 1.65) ** 4), -1, 0.05)
    cloth = (
        _denim(random, picture.shape[-1])
        if random.random() < 0.6
        else plaster(random, picture.shape[-1])
    )
    folds = 0.75 + 0.3 * np.sin(3.5 * x + 1.5 * np.sin(2 * y))
    paint(part, cloth[:, : y.size, : x.size] * folds, body)
    neck = step(-np.abs(x), -0.36, 0.05) * step(-y, 1.25, 0.05)
    paint(part, 0.8 * skin, neck)
    for side in (-1.0, 1.0):
        arm = _oval(y - 0.9, x - side * 1.5, 1.1, 0.3)
        paint(part, skin * (0.85 + 0.15 * np.cos(5 * (x - side * 1.5))), arm)
    _face(picture, random, middle, reach, skin)
