"""Applies hints, which say what color a place of a picture has, to a network's chroma."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import hint_propagation, resizing
from residual_encoder.imaging.array_colors import HSV, ArrayColorSpace
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.hint_propagation import Mark
from residual_encoder.inference.hints import Hint


class Hinted(NamedTuple):
    """Chroma with hints, and the factor that is left to be applied to all of it."""

    chroma: np.ndarray  # [h, w, 2] float32
    saturation: float


def spreading_size(small: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the height and width at which colors are spread, see `hint_propagation.SIDE`.

    Args:
      small: Height and width of the network's chroma, which is never spread at less.
      shape: Height and width of the picture, which is not enlarged.
    """
    factor = max(1.0, hint_propagation.SIDE / min(small[:2]))
    height, width = (
        max(side, min(round(side * factor), full))
        for side, full in zip(small[:2], shape[:2], strict=True)
    )
    return height, width


def apply(
    chroma: np.ndarray,
    gray: np.ndarray,
    hints: Sequence[Hint],
    area: Box,
    shape: tuple[int, ...],
    space: ArrayColorSpace,
    saturation: float,
) -> Hinted:
    """Gives the regions around hints their colors; see `imaging.hint_propagation`.

    The saturation is that of the network's colors: a color that was chosen looks as it was chosen.

    Args:
      chroma: [h, w, 2] float32 in [0, 1], of the picture inside its borders.
      gray: [h', w', 1] float32 in [0, 1], of the same, of `spreading_size`.
      hints: In pixels of the whole picture.
      area: The part of the picture that `chroma` belongs to.
      shape: Height and width of the whole picture, pixels.
      space: The color space of `chroma`.
      saturation: Factor on the distance of the network's chroma from neutral.

    Returns:
      The chroma, outside [0, 1] where the saturation leads there, and a saturation of 1; where no
      hint has a color, `chroma` and `saturation` as they came.

    Raises:
      ValueError: a hint lies outside the picture, or on its border, which stays gray.
    """
    marks = [
        mark(hint, f"hint {number}", gray.shape, area, shape, space)
        for number, hint in enumerate(hints, start=1)
    ]
    if all(one.chroma is None for one in marks):
        return Hinted(chroma, saturation)
    planar = saturated(to_plane(chroma, space), saturation, space)
    return Hinted(from_plane(_spread(gray, planar, marks), space), 1.0)


def _spread(gray: np.ndarray, planar: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Spreads colors at the size of `gray`; [h, w, 2] chroma keeps its bits where none reaches."""
    fine = resizing.resized(planar, *gray.shape[:2])
    paint = hint_propagation.propagate(gray, fine, marks)
    return paint.resized(*planar.shape[:2]).on(planar)


def saturated(planar: np.ndarray, saturation: float, space: ArrayColorSpace) -> np.ndarray:
    """Multiplies the distance of chroma in the plane, [..., 2], from neutral; 1 changes no bit."""
    if saturation == 1:
        return planar
    neutral = np.float32(0 if space is HSV else space.neutral)
    return neutral + np.float32(saturation) * (planar - neutral)


def mark(
    hint: Hint,
    name: str,
    small: tuple[int, ...],
    area: Box,
    shape: tuple[int, ...],
    space: ArrayColorSpace,
) -> Mark:
    """Returns a hint at its pixel of the small picture.

    Args:
      hint: In pixels of the whole picture.
      name: For errors.
      small: Height and width of the small picture.
      area: As of `apply`.
      shape: As of `apply`.
      space: As of `apply`.

    Raises:
      ValueError: it lies outside the picture, or on its border.
    """
    height, width = shape[:2]
    if not (0 <= hint.x < width and 0 <= hint.y < height):
        raise ValueError(
            f"{name} at x={hint.x}, y={hint.y} lies outside the picture of {width} x {height} "
            "pixels; x and y count from the top left of the upright picture at full size"
        )
    if not (area.left <= hint.x < area.right and area.top <= hint.y < area.bottom):
        raise ValueError(
            f"{name} at x={hint.x}, y={hint.y} lies on the border of the picture, which stays gray"
        )
    y = int((hint.y - area.top) * small[0] / (area.bottom - area.top))
    x = int((hint.x - area.left) * small[1] / (area.right - area.left))
    return Mark(min(y, small[0] - 1), min(x, small[1] - 1), _chroma_of(hint, space))


def _chroma_of(hint: Hint, space: ArrayColorSpace) -> np.ndarray | None:
    """Returns a hint's chroma, [2] float32, in the plane; None keeps what is there."""
    if hint.keep:
        return None
    if hint.rgb is None:
        chroma = np.full((1, 2), space.neutral, np.float32)
    else:
        chroma = space.chroma(np.array([hint.rgb], np.float32) / 255)
    return to_plane(chroma, space)[0]


def to_plane(chroma: np.ndarray, space: ArrayColorSpace) -> np.ndarray:
    """Returns chroma whose differences are differences of color: of HSV, hue as a direction."""
    if space is not HSV:
        return chroma
    angle = 2 * np.pi * chroma[..., 0]
    return (chroma[..., 1:] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(np.float32)


def from_plane(planar: np.ndarray, space: ArrayColorSpace) -> np.ndarray:
    """Reverses `to_plane`."""
    if space is not HSV:
        return planar
    hue = np.arctan2(planar[..., 1], planar[..., 0]) / (2 * np.pi) % 1
    return np.stack([hue, np.hypot(planar[..., 0], planar[..., 1])], axis=-1).astype(np.float32)
