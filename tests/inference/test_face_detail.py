"""Close-ups: which faces get one, what they see, and how their colors fade out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from residual_encoder.imaging import face_detection, image_io
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.rows import Rows
from residual_encoder.inference import face_detail
from residual_encoder.inference.colorizer import Colorizer

FACE = Box(80, 120, 100, 140)  # 40 pixels high


SKIN = 200, 190, 180


def close_up(seen: list[Picture], rgb: tuple[int, ...] = SKIN):
    def color(picture: Picture) -> np.ndarray:
        seen.append(picture)
        return np.full((*picture.pixels.shape, 3), rgb, picture.pixels.dtype)

    return color


def test_large_faces_need_none() -> None:
    """40 of 200 pixels are 25.6 of 128 in the network's view, and 51.2 of 256."""
    assert face_detail.small_faces([FACE], (200, 300), 128) == [FACE]
    assert face_detail.small_faces([FACE], (200, 300), 256) == []


def test_the_face_takes_the_colors_and_they_fade_out() -> None:
    pixels = np.arange(200 * 300, dtype=np.uint16).reshape(200, 300)
    colored, seen = np.full((200, 300, 3), 100, np.uint16), []
    output = face_detail.with_close_ups(
        image_io.as_picture(pixels), colored, [FACE], close_up(seen)
    )
    # Three heights around the middle of the face, (100, 120): rows 40 to 160, columns 60 to 180.
    np.testing.assert_array_equal(seen[0].pixels, pixels[40:160, 60:180])
    assert np.all(output[100, 100:140] == SKIN)  # half a width from the middle is inside 0.55
    assert np.all(output[72:128, 119:121] == SKIN)  # 0.7 of a height, too
    # Smoothstep is a half in the middle: 1.25 times 0.55 of 40 pixels are 27.5 from the middle.
    assert output[100, 120 + 27, 0] == pytest.approx(150, abs=1)
    assert np.all(output[100, 153:] == 100) and np.all(output[146:, 120] == 100)  # 1.5 times
    assert np.all(np.diff(output[100, 120:160, 0].astype(int)) <= 0)


@pytest.mark.parametrize("rgb", [(180, 200, 190), (200, 180, 190), (190, 190, 190)])
def test_what_has_no_color_of_skin_stays(rgb: tuple[int, ...]) -> None:
    colored = np.full((200, 300, 3), 100, np.uint8)
    picture = image_io.as_picture(np.zeros((200, 300), np.uint8))
    output = face_detail.with_close_ups(picture, colored, [FACE], close_up([], rgb))
    assert np.all(output == 100)


def test_alpha_stays() -> None:
    colored = np.full((200, 300, 4), 100, np.uint8)
    picture = image_io.as_picture(np.zeros((200, 300), np.uint8))
    output = face_detail.with_close_ups(picture, colored, [FACE], close_up([]))
    assert np.all(output[..., 3] == 100) and output[100, 120, 0] == 200


@pytest.mark.parametrize(
    ("face", "rows", "columns"),
    [
        (Box(0, 40, 0, 40), (0, 120), (0, 120)),  # moved into the picture
        (Box(160, 200, 260, 300), (80, 200), (180, 300)),
        (Box(10, 110, 90, 190), (0, 200), (0, 300)),  # higher than the picture
    ],
)
def test_a_close_up_lies_in_the_picture(
    face: Box, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    pixels = np.arange(200 * 300, dtype=np.uint16).reshape(200, 300)
    seen: list[Picture] = []
    colored = np.zeros((200, 300, 3), np.uint16)
    face_detail.with_close_ups(image_io.as_picture(pixels), colored, [face], close_up(seen))
    np.testing.assert_array_equal(seen[0].pixels, pixels[slice(*rows), slice(*columns)])
    assert colored[(face.top + face.bottom) // 2, (face.left + face.right) // 2, 0] == 200


def astronaut(side: int = 300) -> np.ndarray:
    """A photograph of a short side of 1,000 pixels with a face of about 60."""
    photograph = np.full((1000, 1000, 3), 128, np.uint8)
    small = cv2.resize(skimage.data.astronaut(), (side, side), interpolation=cv2.INTER_AREA)
    photograph[300 : 300 + side, 300 : 300 + side] = small
    return photograph


def test_a_colorizer_colors_faces_from_close_ups() -> None:
    """Only the face changes; levels of gray stay; hints on a face come first."""
    photograph = astronaut()
    plain, detailed = (Colorizer(faces=faces) for faces in (False, True))
    before, after = plain.colorize(photograph), detailed.colorize(photograph)
    np.testing.assert_array_equal(plain.colorize(photograph, faces=True), after)
    np.testing.assert_array_equal(detailed.colorize(photograph, faces=False), before)
    changed = np.argwhere((before != after).any(-1))
    (face,) = face_detection.frontal_faces(image_io.as_picture(photograph))
    middle = (face.top + face.bottom) / 2, (face.left + face.right) / 2
    assert len(changed) and np.abs(changed - middle).max() < 1.2 * (face.bottom - face.top)
    gray = [detailed.as_gray(image_io.as_picture(x)).astype(int) for x in (before, after)]
    assert np.abs(gray[0] - gray[1]).max() <= 2
    hint = {"x": middle[1], "y": middle[0], "rgb": [10, 200, 10]}
    np.testing.assert_array_equal(
        detailed.colorize(photograph, hints=[hint]), plain.colorize(photograph, hints=[hint])
    )


def test_pictures_in_rows_stay() -> None:
    gray = np.zeros((200, 300), np.uint8)
    rows = Picture(Rows(gray.shape, gray.dtype, lambda part: gray[part]))  # type: ignore[arg-type]
    colored = np.ones((200, 300, 3), np.uint8)
    area = Box(0, 200, 0, 300)
    assert face_detail.with_faces(rows, area, colored, 128, (), close_up([])) is colored


def test_the_smaller_face_lies_on_top() -> None:
    picture, colored = image_io.as_picture(np.zeros((200, 300), np.uint8)), np.zeros((200, 300, 3))
    values = iter(((120, 110, 100), SKIN))
    faces = [FACE, Box(90, 110, 110, 130)]
    output = face_detail.with_close_ups(
        picture, colored, faces, lambda part: np.full((*part.pixels.shape, 3), next(values))
    )
    assert output[100, 120, 0] == 200 and output[100, 102, 0] == 120
