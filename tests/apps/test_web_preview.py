"""Previews of the page, and the files that it gives: as the command line writes them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import prints
from helpers.several import collection
from helpers.web import VIVID

from residual_encoder.apps.web import preview
from residual_encoder.imaging import borders, face_detection, image_io
from residual_encoder.imaging.borders import Box
from residual_encoder.inference import face_detail
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import Hint, parse


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights)


def test_the_network_runs_once(colorizer, photos, monkeypatch) -> None:
    calls = []
    predict = colorizer.predict
    monkeypatch.setattr(
        colorizer, "predict", lambda gray: calls.append(gray.shape) or predict(gray)
    )
    shown = preview.make_preview(colorizer, photos.deep)
    none, some, more = (
        preview.render_preview(colorizer, shown, saturation) for saturation in (0, 1, 2)
    )
    assert len(calls) == 1
    assert np.ptp(none, axis=-1).max() <= 1
    assert np.ptp(some, axis=-1).mean() > 1
    assert np.ptp(more, axis=-1).mean() > 1.5 * np.ptp(some, axis=-1).mean()
    assert colorizer.saturation == 1  # other visitors' is not touched


def test_a_small_picture_is_its_own_preview(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    colored = preview.render_preview(colorizer, shown, 1.0)
    np.testing.assert_array_equal(colored, colorizer.colorize(photos.jpeg))
    hints = [{"x": 50, "y": 40, "rgb": [200, 30, 40]}]
    hinted = preview.render_preview(colorizer, shown, 1.0, None, parse(hints))
    np.testing.assert_array_equal(hinted, colorizer.colorize(photos.jpeg, hints=hints))
    assert (hinted != colored).any()


def test_a_large_picture_is_made_smaller(colorizer, tmp_path) -> None:
    image_io.write(tmp_path / "wide.png", np.full((1200, 2000), 40_000, np.uint16))
    shown = preview.make_preview(colorizer, tmp_path / "wide.png")
    assert (shown.height, shown.width) == (1200, 2000)
    assert shown.picture.pixels.shape == (960, 1600)
    assert np.unique(shown.picture.pixels) == [40_000 >> 8]


def test_a_strip_keeps_as_many_pixels_as_other_pictures(colorizer, tmp_path) -> None:
    """At 1,600 pixels a side there would be nothing to see in a panorama that is enlarged."""
    image_io.write(tmp_path / "strip.png", np.full((8000, 400), 128, np.uint8))
    shown = preview.make_preview(colorizer, tmp_path / "strip.png")
    height, width = shown.picture.pixels.shape
    assert 0.95 * preview.AREA <= height * width <= preview.AREA
    assert preview.render_preview(colorizer, shown, 1.0).shape == (height, width, 3)


def test_pages_and_pictures_in_color_are_told(colorizer, tmp_path) -> None:
    """A file of several pictures takes no hints when it is written, so it takes none before."""
    photograph = prints.photographs()["flower"]
    image_io.write(tmp_path / "color.png", photograph)
    gray = np.ascontiguousarray(photograph[..., 1])
    tifffile.imwrite(tmp_path / "letter.tif", np.stack([gray, gray]), photometric="minisblack")
    color, letter = (
        preview.make_preview(colorizer, tmp_path / name) for name in ("color.png", "letter.tif")
    )
    assert (color.in_color, color.pictures) == (True, 1)
    assert (letter.in_color, letter.pictures) == (False, 2)
    hint = Hint(5, 5, (200, 30, 40))
    preview.render_preview(colorizer, color, 1.0, None, [hint])
    preview.render_preview(colorizer, letter, 1.0)
    with pytest.raises(ValueError, match="^letter.tif holds several pictures"):
        preview.render_preview(colorizer, letter, 1.0, None, [hint])


def test_what_is_left_out_of_a_collection_is_told(colorizer, tmp_path) -> None:
    assert preview.make_preview(colorizer, collection(tmp_path / "in" / "a.heic")).others == 2
    image_io.write(tmp_path / "one.png", np.full((40, 50), 99, np.uint8))
    assert preview.make_preview(colorizer, tmp_path / "one.png").others == 0


def test_what_is_clear_is_shown_on_white(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.clear)
    colored = preview.render_preview(colorizer, shown, 0.0)
    gray = image_io.read(photos.clear).pixels.astype(float)
    opacity = photos.alpha / 255
    assert np.abs(colored - (opacity * gray + (1 - opacity) * 255)[..., None]).max() <= 2


def test_small_faces_are_colored_as_by_the_command_line(
    colorizer, photos, tmp_path, monkeypatch
) -> None:
    face, hint = Box(20, 50, 30, 60), Hint(45, 35, (200, 30, 40))

    def pasted(picture, colored, faces, color) -> np.ndarray:
        for one in faces:
            part = color(borders.cropped(picture, one))
            colored[one.top : one.bottom, one.left : one.right] = part
        return colored

    monkeypatch.setattr(face_detection, "frontal_faces", lambda _: [face])
    monkeypatch.setattr(face_detail, "with_close_ups", pasted)
    near = copy.copy(colorizer)
    near.faces = True
    shown = preview.make_preview(colorizer, photos.jpeg)
    plain, faces = (
        preview.render_preview(colorizer, shown, 1.0, faces=some) for some in (False, True)
    )
    np.testing.assert_array_equal(faces, near.colorize(photos.jpeg))
    assert (faces != plain).any()
    hinted = preview.render_preview(colorizer, shown, 1.0, None, [hint], True)
    np.testing.assert_array_equal(hinted, colorizer.colorize(photos.jpeg, hints=[hint]))
    deep = preview.make_preview(colorizer, photos.deep)
    made = preview.render_full_size(colorizer, deep, 1.0, tmp_path, faces=True)
    np.testing.assert_array_equal(image_io.read(made).pixels, near.colorize(photos.deep))
    assert not colorizer.faces


def test_the_file_is_what_the_command_line_writes(
    colorizer, photos, command_line, tmp_path
) -> None:
    for source in (photos.jpeg, photos.deep, photos.clear):
        made = preview.render_full_size(
            colorizer, preview.make_preview(colorizer, source), VIVID, tmp_path
        )
        assert made.name == f"{source.stem}_colored{source.suffix}"
        assert made.read_bytes() == (command_line / source.name).read_bytes()


def test_a_bad_file_is_named_without_its_folder(colorizer, photos) -> None:
    with pytest.raises(ValueError, match="^broken.jpg is a truncated JPEG"):
        preview.make_preview(colorizer, photos.broken)
