"""Looks at small faces again up close, as a network that sees a small copy leaves them gray."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from residual_encoder.imaging import borders, face_detection
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows
from residual_encoder.inference.hints import Hint

# Choices of this project, by looking. A face of so many pixels in the network's view needs no
# second one.
LARGE = 40
AROUND = 3.0  # side of the close-up, in heights of the face: head and shoulders
# Half axes of the ellipse that takes the close-up's colors, in widths and heights of the face, and
# how much farther they fade out. The face's box reaches from eyebrows to chin.
INSIDE = 0.55, 0.75
FADED = 1.5


def with_faces(
    picture: Picture,
    area: Box,
    colored: np.ndarray,
    size: int,
    hints: Sequence[Hint],
    color: Callable[[Picture], np.ndarray],
) -> np.ndarray:
    """Colors the small faces of a picture from close-ups.

    Args:
      picture: H by W pixels; one of `Rows` stays as it is, since it is never whole in memory.
      area: What the network saw of it.
      colored: As of `with_close_ups`.
      size: Short side of the network's view, pixels.
      hints: In pixels of the picture; faces that have one with a color stay as they are.
      color: As of `with_close_ups`.

    Returns:
      `colored`.
    """
    if isinstance(picture.pixels, Rows):
        return colored
    seen = area.bottom - area.top, area.right - area.left
    faces = small_faces(face_detection.frontal_faces(picture), seen, size)
    changed = [hint for hint in hints if not hint.keep]
    unhinted = [face for face in faces if not any(_on(face, hint) for hint in changed)]
    return with_close_ups(picture, colored, unhinted, color)


def _on(face: Box, hint: Hint) -> bool:
    return bool(_weight(face, Box(int(hint.y), int(hint.y) + 1, int(hint.x), int(hint.x) + 1)))


def small_faces(faces: Sequence[Box], shape: tuple[int, ...], size: int) -> list[Box]:
    """Picks the faces that are too small in the network's view.

    Args:
      faces: In pixels of the picture.
      shape: Height and width of the picture.
      size: Short side of the network's view, pixels.
    """
    scale = size / min(shape[:2])
    return [face for face in faces if (face.bottom - face.top) * scale < LARGE]


def with_close_ups(
    picture: Picture,
    colored: np.ndarray,
    faces: Sequence[Box],
    color: Callable[[Picture], np.ndarray],
) -> np.ndarray:
    """Gives faces the colors that they get up close, where those are the colors of skin.

    Skin of every tone has more red than green, and more green than blue. What was taken for a face
    and is none mostly has not.

    Args:
      picture: H by W pixels.
      colored: [H, W, 3] RGB or [H, W, 4] RGBA, the picture colored; it is changed.
      faces: From the largest to the smallest; where two overlap, the smaller one stays on top.
      color: Colors a part of the picture, [h, w] -> [h, w, 3 or 4] of the same type.

    Returns:
      `colored`.
    """
    for face in faces:
        area = _around(face, picture.pixels.shape)
        near = color(borders.cropped(picture, area))[..., :3].astype(np.float32)
        red, green, blue = near[_inside(face, area)].mean((0, 1))
        if not red > green > blue:
            continue
        place = colored[area.top : area.bottom, area.left : area.right, :3]
        weight = _weight(face, area)[..., None]
        place[:] = np.rint(place + weight * (near - place)).astype(colored.dtype)
    return colored


def _around(face: Box, shape: tuple[int, ...]) -> Box:
    """Returns the square around a face, moved into the picture, or what the picture has of it."""
    side = round(AROUND * (face.bottom - face.top))

    def span(low: int, high: int, length: int) -> tuple[int, int]:
        start = min(max((low + high - side) // 2, 0), max(length - side, 0))
        return start, min(start + side, length)

    return Box(*span(face.top, face.bottom, shape[0]), *span(face.left, face.right, shape[1]))


def _inside(face: Box, area: Box) -> tuple[slice, slice]:
    """Returns the place of a face in the square around it."""
    rows = slice(max(face.top - area.top, 0), face.bottom - area.top)
    return rows, slice(max(face.left - area.left, 0), face.right - area.left)


def _weight(face: Box, area: Box) -> np.ndarray:
    """Returns the share of the close-up's colors: 1 on the face, smoothly down to 0 around it."""
    height, width = face.bottom - face.top, face.right - face.left
    y = (np.arange(area.top, area.bottom) + 0.5 - (face.top + face.bottom) / 2) / height
    x = (np.arange(area.left, area.right) + 0.5 - (face.left + face.right) / 2) / width
    distance = np.hypot(y[:, None] / INSIDE[1], x / INSIDE[0])
    near = np.clip((FADED - distance) / (FADED - 1), 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)  # smoothstep
