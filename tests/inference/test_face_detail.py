"""Close-ups: which faces get one, what they see, and how their colors fade out."""

from __future__ import annotations

import numpy as np
import pytest

from residual_encoder.imaging import image_io
from residual_encoder.imaging.borders import Box
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import face_detail

FACE = Box(80, 120, 100, 140)  # 40 pixels high


def close_up(seen: list[Picture], value: int = 200):
    def color(picture: Picture) -> np.ndarray:
        seen.append(picture)
        return np.full((*picture.pixels.shape, 3), value, picture.pixels.dtype)

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
    assert np.all(output[100, 100:140] == 200)  # half a width from the middle is inside 0.55
    assert np.all(output[72:128, 119:121] == 200)  # 0.7 of a height, too
    # Smoothstep is a half in the middle: 1.25 times 0.55 of 40 pixels are 27.5 from the middle.
    assert output[100, 120 + 27, 0] == pytest.approx(150, abs=1)
    assert np.all(output[100, 153:] == 100) and np.all(output[146:, 120] == 100)  # 1.5 times
    assert np.all(np.diff(output[100, 120:160, 0].astype(int)) <= 0)


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


def test_the_smaller_face_lies_on_top() -> None:
    picture, colored = image_io.as_picture(np.zeros((200, 300), np.uint8)), np.zeros((200, 300, 3))
    values = iter((100, 200))
    faces = [FACE, Box(90, 110, 110, 130)]
    output = face_detail.with_close_ups(
        picture, colored, faces, lambda part: np.full((*part.pixels.shape, 3), next(values))
    )
    assert output[100, 120, 0] == 200 and output[100, 102, 0] == 100
