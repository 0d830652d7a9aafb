"""Finds frontal faces by a cascade of local binary patterns, which comes with scikit-image."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from residual_encoder.imaging import thumbnails
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture

# Of the searched copy's longer side: faces of 40 pixels in a megapixel still have 24.
SIDE = 720  # pixels
SMALLEST = 24  # pixels of a face that the cascade was trained on
STEP, SCALE = 1.0, 1.1  # steps of 1.5 miss half of the faces
# Overlapping windows that must agree on a face; and on one of a picture where another is sure, for
# a group has faces of all kinds. Of 240 faces of 28, 36, 48 and 64 pixels on scenes of 1500 x 1000
# the first alone finds 28, 78, 63 and 57 %, both 40, 88, 82 and 70 %, and nothing else; with 8 for
# 10, 45, 92, 85 and 77 %, and a place that is no face in every 20th scene. In 500 ImageNet
# photographs 16 find 14 faces; 10 by themselves 2 more, and 5 places that are none.
SURE, LIKELY = 16, 10


def frontal_faces(picture: Picture) -> list[Box]:
    """Finds upright frontal faces.

    Args:
      picture: H by W pixels.

    Returns:
      A box for each, about from eyebrows to chin, from the largest to the smallest.
    """
    height, width = picture.pixels.shape[:2]
    gray = thumbnails.luma(thumbnails.thumbnail(picture, SIDE))
    if min(gray.shape) < SMALLEST:
        return []
    pixels = np.ascontiguousarray(np.rint(255 * gray), np.uint8)
    found = _agreed(pixels, LIKELY)
    if not found or not _agreed(pixels, SURE):
        return []
    down, across = height / gray.shape[0], width / gray.shape[1]
    boxes = [_box(face, down, across) for face in found]
    return sorted(boxes, key=lambda box: (box.top - box.bottom, box))


def _agreed(gray: np.ndarray, windows: int) -> list[dict[str, int]]:
    """Returns the places, of [h, w] uint8, that so many windows of the cascade take for a face."""
    return _cascade().detect_multi_scale(
        gray,
        scale_factor=SCALE,
        step_ratio=STEP,
        min_size=(SMALLEST, SMALLEST),
        max_size=gray.shape,
        min_neighbor_number=windows,
    )


@functools.cache
def _cascade() -> Any:
    """Loads the cascade once; it keeps no state between pictures."""
    from skimage import data, feature

    return feature.Cascade(data.lbp_frontal_face_cascade_filename())


def _box(face: dict[str, int], down: float, across: float) -> Box:
    top, left = face["r"] * down, face["c"] * across
    bottom, right = top + face["height"] * down, left + face["width"] * across
    return Box(*(round(side) for side in (top, bottom, left, right)))
