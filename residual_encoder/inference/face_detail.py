"""Looks at small faces again up close, as a network that sees a small copy leaves them gray."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from residual_encoder.imaging import borders
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture

# A face that has as many pixels in the network's view needs no second one. Of ImageNet's crops, on
# which the networks are trained, faces are about as large.
LARGE = 40
AROUND = 3.0  # side of the close-up, in heights of the face: head and shoulders
# Half axes of the ellipse that takes the close-up's colors, in widths and heights of the face, and
# how much farther they fade out. The face's box reaches from eyebrows to chin.
INSIDE = 0.55, 0.75
FADED = 1.5


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
    """Gives faces the colors that they get up close.

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


def _weight(face: Box, area: Box) -> np.ndarray:
    """Returns the share of the close-up's colors: 1 on the face, smoothly down to 0 around it."""
    height, width = face.bottom - face.top, face.right - face.left
    y = (np.arange(area.top, area.bottom) + 0.5 - (face.top + face.bottom) / 2) / height
    x = (np.arange(area.left, area.right) + 0.5 - (face.left + face.right) / 2) / width
    distance = np.hypot(y[:, None] / INSIDE[1], x / INSIDE[0])
    near = np.clip((FADED - distance) / (FADED - 1), 0, 1)
    return (near * near * (3 - 2 * near)).astype(np.float32)  # smoothstep
