"""Finds the uniform borders of scanned prints: white, black or toned paper, or a scanner's lid.

A border is a run of uniform lines along a side that ends at a straight edge: most of the next
lines' pixels differ from it. A bright sky above a skyline has no such edge and stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from residual_encoder.imaging import thumbnails
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows, blocks

SIDE = 768  # pixels of the copy's longer side that is searched
SMALLEST = 32  # pixels of the shorter side; smaller pictures are not searched
TOLERANCE = 0.06  # of white, along a line: paper's grain, shading and JPEG's noise
DRIFT = 0.15  # of white: a border may be shaded so much from its first line to its last
UNIFORM = 0.97  # share of a line's pixels that lie within the tolerance of its median
EDGE = 0.5  # share of pixels that differ from the border within `EDGE_LINES` after it
EDGE_LINES = 3
ALONE = 2 / 255  # deviation of a border that only one side has: a sky is never as even
PRINT = 0.1  # of a side: the least that is left of it
ROUNDS = 4  # a white border inside a black one is two


class Box(NamedTuple):
    """Bounds a part of a picture in pixels; `bottom` and `right` are outside."""

    top: int
    bottom: int
    left: int
    right: int


class _Side(NamedTuple):
    lines: int  # uniform ones along this side
    level: float  # of them, in [0, 1]
    sharp: bool  # whether they end at a straight edge
    spread: float  # standard deviation of their pixels


def print_area(picture: Picture) -> Box:
    """Finds what a picture's uniform borders surround.

    Args:
      picture: H by W pixels.

    Returns:
      The part inside; the whole picture where it has no borders, is blank or very small.
    """
    height, width = picture.pixels.shape[:2]
    whole = Box(0, height, 0, width)
    if min(height, width) < SMALLEST:
        return whole
    gray = thumbnails.luma(thumbnails.thumbnail(picture, SIDE))
    box = _inside(gray)
    if box == Box(0, gray.shape[0], 0, gray.shape[1]):
        return whole
    if gray.shape == (height, width):
        return box
    return _at_full_size(picture, gray, box)


def cropped(picture: Picture, box: Box) -> Picture:
    """Returns a part of a picture, which shares its memory."""
    if box == Box(0, picture.pixels.shape[0], 0, picture.pixels.shape[1]):
        return picture
    alpha = None if picture.alpha is None else _part(picture.alpha, box)
    return replace(picture, pixels=_part(picture.pixels, box), alpha=alpha)


def _part(pixels: np.ndarray | Rows, box: Box) -> Any:
    part = slice(box.top, box.bottom), slice(box.left, box.right)
    return pixels.part(*part) if isinstance(pixels, Rows) else pixels[part]


def pasted(inside: np.ndarray | Rows, box: Box, whole: np.ndarray | Rows) -> Any:
    """Puts a part of a picture into the whole.

    Args:
      inside: [h, w, C], the part.
      box: Where it lies.
      whole: [H, W, C], which is changed unless it is `Rows`.

    Returns:
      The whole.
    """
    if not isinstance(whole, Rows):
        whole[box.top : box.bottom, box.left : box.right] = inside
        return whole

    def taken(rows: slice) -> np.ndarray:
        output = whole[rows]
        first, last = max(box.top, rows.start), min(box.bottom, rows.stop)
        if first < last:
            place = slice(first - rows.start, last - rows.start), slice(box.left, box.right)
            output[place] = inside[first - box.top : last - box.top]
        return output

    return Rows(whole.shape, whole.dtype, taken)


def scaled(box: Box, before: tuple[int, int], after: tuple[int, int]) -> Box:
    """Returns the same part of a copy of another size; never empty.

    Args:
      box: Part of a picture.
      before: Height and width of the picture.
      after: Height and width of the copy.
    """
    vertical, horizontal = after[0] / before[0], after[1] / before[1]
    top, left = int(box.top * vertical), int(box.left * horizontal)
    bottom, right = round(box.bottom * vertical), round(box.right * horizontal)
    return Box(top, max(bottom, top + 1), left, max(right, left + 1))


def _inside(gray: np.ndarray) -> Box:
    """Finds what is inside the borders of [h, w] float32: one border after the other."""
    box = Box(0, gray.shape[0], 0, gray.shape[1])
    for _ in range(ROUNDS):
        part = gray[box.top : box.bottom, box.left : box.right]
        top, bottom, left, right = _widths(part)
        inner = Box(box.top + top, box.bottom - bottom, box.left + left, box.right - right)
        least = PRINT * gray.shape[0], PRINT * gray.shape[1]
        if inner.bottom - inner.top < least[0] or inner.right - inner.left < least[1]:
            break
        if inner == box:
            break
        box = inner
    return box


def _widths(gray: np.ndarray) -> list[int]:
    """Returns how many lines are border: at the top, the bottom, the left and the right."""
    views = gray, gray[::-1], gray.T, gray.T[::-1]
    counts = [_run(view)[0] for view in views]
    if any(count == len(view) for count, view in zip(counts, views, strict=True)):
        return [0, 0, 0, 0]  # blank
    ends = [(counts[2], counts[3])] * 2 + [(counts[0], counts[1])] * 2
    sides = [_side(view, *end) for view, end in zip(views, ends, strict=True)]
    sharp = [side for side in sides if side.sharp]
    if not sharp or (len(sharp) == 1 and sharp[0].spread > ALONE):
        return [0, 0, 0, 0]
    return [side.lines if side.sharp else _shared(side, sharp) for side in sides]


def _run(lines: np.ndarray) -> tuple[int, float]:
    """Returns how many lines from the first on are uniform, and the level of the last of them."""
    levels = np.median(lines, axis=1)
    near = np.mean(np.abs(lines - levels[:, None]) <= TOLERANCE, axis=1) >= UNIFORM
    near &= np.abs(levels - levels[0]) <= DRIFT
    near[1:] &= np.abs(np.diff(levels)) <= TOLERANCE / 2
    count = len(lines) if near.all() else int(np.argmin(near))
    return count, float(levels[max(count - 1, 0)])


def _side(lines: np.ndarray, before: int, after: int) -> _Side:
    """Describes the side at which `lines` begins; `before` and `after` of a line are borders."""
    count, level = _run(lines)
    across = slice(before, lines.shape[1] - after)
    following = np.abs(lines[count : count + EDGE_LINES, across] - level) > TOLERANCE
    sharp = bool(count and following.size and following.mean(axis=1).max() >= EDGE)
    return _Side(count, level, sharp, float(np.std(lines[:count])) if count else 0.0)


def _shared(side: _Side, sharp: list[_Side]) -> int:
    """Returns a border's width where the picture next to it is as bright: that of the others."""
    like = [other.lines for other in sharp if abs(other.level - side.level) <= TOLERANCE]
    return min(side.lines, *like) if len(like) > 1 else 0


# --- from the copy to the picture -----------------------------------------------------------------


def _at_full_size(picture: Picture, gray: np.ndarray, box: Box) -> Box:
    """Finds the lines of the picture at which the borders of its copy end."""
    height, width = picture.pixels.shape[:2]
    near = scaled(box, (gray.shape[0], gray.shape[1]), (height, width))
    reach = 2 * -(-max(height, width) // SIDE)
    top, bottom, left, right = _strips(picture.pixels, near, reach)
    return Box(
        near.top + _edge(top, near.top, reach),
        near.bottom - _edge(bottom[::-1], height - near.bottom, reach),
        near.left + _edge(left.swapaxes(0, 1), near.left, reach),
        near.right - _edge(right.swapaxes(0, 1)[::-1], width - near.right, reach),
    )


def _strips(pixels: np.ndarray | Rows, near: Box, reach: int) -> list[np.ndarray]:
    """Returns the pixels within `reach` of each side of a box; `Rows` are read once, from the top.

    Returns:
      Those at the top, at the bottom, at the left and at the right.
    """
    sides = [slice(max(0, side - reach), side + reach) for side in near]
    boxes = [(side, slice(near.left, near.right)) for side in sides[:2]]
    boxes += [(slice(near.top, near.bottom), side) for side in sides[2:]]
    if not isinstance(pixels, Rows):
        return [pixels[box] for box in boxes]
    found: list[list[np.ndarray]] = [[], [], [], []]
    for rows in blocks(pixels):
        block = pixels[rows]
        for parts, (lines, columns) in zip(found, boxes, strict=True):
            first, last = max(lines.start, rows.start), min(lines.stop, rows.stop)
            if first < last:  # a copy, so that the block is not kept
                parts.append(block[first - rows.start : last - rows.start, columns].copy())
    return [np.concatenate(parts) for parts in found]


def _edge(lines: np.ndarray, border: int, reach: int) -> int:
    """Returns how much further inside a border ends than it does in the copy; may be negative.

    Args:
      lines: Those within `reach` of the place, from outside to inside.
      border: Lines of the border by the copy; 0 is none.
      reach: Lines.
    """
    if not border:
        return 0
    gray = thumbnails.luma(lines.astype(np.float32) / np.iinfo(lines.dtype).max)
    differs = np.mean(np.abs(gray - np.median(gray[0])) > TOLERANCE, axis=1) > 1 - UNIFORM
    return int(np.argmax(differs)) - min(border, reach) if differs.any() else 0
