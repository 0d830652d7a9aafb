"""Faces are found where they are, at any size and depth, and nowhere else."""

from __future__ import annotations

import cv2
import matplotlib.cbook
import numpy as np
import pytest
import skimage.data

from residual_encoder.imaging import face_detection, image_io
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.rows import Rows

EYES, CHIN = 100, 160  # rows of the astronaut's, by eye
NOSE = 224  # column
ALONE = 0.18  # scale at which 8 to 15 windows agree on the face of grace_hopper.jpg


def check(found: list[Box], factor: float = 1.0) -> None:
    (face,) = found
    assert face.top < EYES * factor < CHIN * factor < face.bottom + 12 * factor
    assert abs((face.left + face.right) / 2 - NOSE * factor) < 12 * factor
    assert 60 * factor < face.bottom - face.top < 130 * factor


def astronaut(factor: float) -> np.ndarray:
    return cv2.resize(
        skimage.data.astronaut(), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
    )


def test_a_face_is_found_in_color_in_gray_and_in_16_bits() -> None:
    picture = astronaut(0.6)
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    for pixels in (picture, gray, gray.astype(np.uint16) * 257):
        check(face_detection.frontal_faces(image_io.as_picture(pixels)), 0.6)


def test_boxes_are_in_pixels_of_the_picture() -> None:
    """A picture of 2,000 pixels, which is searched at 720."""
    large = np.full((2000, 2000), 128, np.uint8)
    large[:1024, :1024] = cv2.cvtColor(astronaut(2.0), cv2.COLOR_RGB2GRAY)
    check(face_detection.frontal_faces(image_io.as_picture(large)), 2.0)


def test_faces_come_from_the_largest_to_the_smallest() -> None:
    both = np.full((307, 461), 128, np.uint8)
    both[:154, :154] = cv2.cvtColor(astronaut(0.3), cv2.COLOR_RGB2GRAY)
    both[:, 154:] = cv2.cvtColor(astronaut(0.6), cv2.COLOR_RGB2GRAY)
    found = face_detection.frontal_faces(image_io.as_picture(both))
    assert [face.left > 154 for face in found] == [True, False]


@pytest.fixture
def agreed(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Box]]:
    """By how many windows agree, the places that the cascade finds; all of 20 x 20 pixels."""
    found: dict[int, list[Box]] = {face_detection.SURE: [], face_detection.LIKELY: []}

    def places(_: np.ndarray, windows: int) -> list[dict[str, int]]:
        boxes = found[windows]
        return [{"r": box.top, "c": box.left, "height": 20, "width": 20} for box in boxes]

    monkeypatch.setattr(face_detection, "_agreed", places)
    return found


def test_likely_faces_count_beside_a_sure_one_only(agreed: dict[int, list[Box]]) -> None:
    sure, likely = Box(10, 30, 10, 30), Box(60, 80, 60, 80)
    picture = image_io.as_picture(np.zeros((100, 100), np.uint8))
    agreed[face_detection.LIKELY] = [sure, likely]
    assert face_detection.frontal_faces(picture) == []
    agreed[face_detection.SURE] = [sure]
    assert face_detection.frontal_faces(picture) == [sure, likely]


def test_a_face_that_is_likely_by_itself_is_found_in_a_group() -> None:
    """Grace Hopper's at a size at which fewer windows agree on it, beside the astronaut's."""
    hopper = image_io.read(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    gray = cv2.cvtColor(hopper.pixels, cv2.COLOR_RGB2GRAY)
    group = np.full((300, 460), 128, np.uint8)
    small = cv2.resize(gray, None, fx=ALONE, fy=ALONE, interpolation=cv2.INTER_AREA)
    group[: small.shape[0], 300 : 300 + small.shape[1]] = small
    assert face_detection.frontal_faces(image_io.as_picture(group)) == []
    group[:154, :154] = cv2.cvtColor(astronaut(0.3), cv2.COLOR_RGB2GRAY)
    assert len(face_detection.frontal_faces(image_io.as_picture(group))) == 2


@pytest.mark.parametrize("name", ["chelsea", "coffee", "camera", "rocket"])
def test_nothing_else_is_a_face(name: str) -> None:
    """A cat, a cup, a man from the side, and a launch pad."""
    picture = image_io.as_picture(getattr(skimage.data, name)())
    assert face_detection.frontal_faces(picture) == []


@pytest.mark.parametrize("shape", [(1, 1), (23, 400), (400, 23), (24, 24)])
def test_small_and_blank_pictures_have_none(shape: tuple[int, int]) -> None:
    blank = image_io.as_picture(np.full(shape, 200, np.uint8))
    assert face_detection.frontal_faces(blank) == []


def test_pictures_in_rows_are_searched_too() -> None:
    gray = cv2.cvtColor(astronaut(0.6), cv2.COLOR_RGB2GRAY)
    rows = Rows(gray.shape, gray.dtype, lambda part: gray[part])
    check(face_detection.frontal_faces(image_io.Picture(rows)), 0.6)  # type: ignore[arg-type]
