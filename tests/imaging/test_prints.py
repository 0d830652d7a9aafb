"""Borders of prints are found to the pixel, skies are none; levels use all tones."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import prints

from residual_encoder.imaging import image_io, levels
from residual_encoder.imaging.borders import Box, cropped, print_area, scaled
from residual_encoder.imaging.image_io import Picture


def picture(pixels: np.ndarray) -> Picture:
    return image_io.as_picture(np.ascontiguousarray(pixels))


def whole(pixels: np.ndarray) -> Box:
    return Box(0, pixels.shape[0], 0, pixels.shape[1])


def near(found: Box, wanted: Box, pixels: int = 2) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= pixels


WHITE, BLACK, CREAM, GRAY = (255,) * 3, (6, 6, 6), (236, 222, 190), (128, 128, 128)


@pytest.mark.parametrize("color", [WHITE, BLACK, CREAM, GRAY])
@pytest.mark.parametrize("width", [6, 30, 90])
@pytest.mark.parametrize("name", ["china", "coffee", "grace_hopper"])
def test_borders_are_found(name: str, width: int, color: tuple[int, ...]) -> None:
    inner = np.stack([prints.gray(name)] * 3, -1)
    scan = prints.jpeg(prints.grain(prints.framed(inner, color, (width,) * 4), 2), 80)
    height, across = inner.shape[:2]
    assert near(print_area(picture(scan)), Box(width, width + height, width, width + across))


@pytest.mark.parametrize(
    "widths", [(0, 0, 25, 25), (40, 0, 0, 30), (12, 60, 12, 12), (0, 50, 0, 0)]
)
def test_borders_of_some_sides(widths: tuple[int, int, int, int]) -> None:
    inner = prints.u8(prints.gray("china"))
    scan = prints.framed(inner, 255, widths)
    top, bottom, left, right = widths
    wanted = Box(top, scan.shape[0] - bottom, left, scan.shape[1] - right)
    assert near(print_area(picture(scan)), wanted)


def test_a_white_border_inside_a_black_one() -> None:
    inner = prints.u8(prints.gray("coffee"))
    scan = prints.framed(prints.framed(inner, 250), 3, (35, 10, 0, 50))
    assert near(print_area(picture(scan)), Box(55, 55 + inner.shape[0], 20, 20 + inner.shape[1]))


def test_a_large_deep_scan_is_cut_to_the_pixel() -> None:
    inner = np.kron(prints.u8(prints.gray("grace_hopper")), np.ones((7, 7), np.uint8)).astype(
        np.uint16
    )
    scan = prints.framed(inner * 257, 62_000, (301, 402, 203, 504))
    height, width = inner.shape
    assert near(print_area(picture(scan)), Box(301, 301 + height, 203, 203 + width), 1)


@pytest.mark.parametrize("name", prints.photographs())
def test_photographs_have_none(name: str) -> None:
    rgb = prints.photographs()[name]
    assert print_area(picture(rgb)) == whole(rgb)


def test_a_bright_sky_is_none() -> None:
    """White above a skyline, and above a straight horizon with the grain of a film."""
    random = np.random.default_rng(0)
    town = np.full((300, 400), 252, np.uint8)
    for left in range(0, 400, 25):
        town[random.integers(100, 250) :, left : left + 25] = random.integers(20, 200)
    town[220:] = random.integers(0, 160, (80, 400))
    assert print_area(picture(town)) == whole(town)
    sea = prints.u8(random.normal(240, 4, (300, 400)))
    sea[150:] = prints.u8(random.normal(90, 20, (150, 400)))
    assert print_area(picture(sea)) == whole(sea)


@pytest.mark.parametrize("shape", [(1, 1), (5, 300), (40, 40), (300, 200)])
def test_blank_and_tiny_pictures_stay_whole(shape: tuple[int, int]) -> None:
    for tone in (0, 255):
        blank = np.full(shape, tone, np.uint8)
        assert print_area(picture(blank)) == whole(blank)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert print_area(picture(noise)) == whole(noise)


def test_parts() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    part = cropped(Picture(pixels, alpha=pixels + 100), Box(1, 4, 2, 8))
    np.testing.assert_array_equal(part.pixels, pixels[1:4, 2:8])
    np.testing.assert_array_equal(part.alpha, pixels[1:4, 2:8] + 100)
    assert scaled(Box(10, 90, 20, 180), (100, 200), (50, 100)) == (5, 45, 10, 90)
    assert scaled(Box(50, 51, 0, 200), (100, 200), (10, 20)) == (5, 6, 0, 20)


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_use_all_tones_and_keep_their_order(dtype: type) -> None:
    peak = np.iinfo(dtype).max
    faded = ((0.3 + 0.4 * prints.gray("astronaut") / 255) * peak).astype(dtype)
    done = levels.stretched(picture(faded), whole(faded)).pixels
    assert done.dtype == dtype
    low, high = np.quantile(faded, 0.006), np.quantile(faded, 0.994)
    assert done.min() == 0 and done.max() == peak
    assert not np.any((done == 0) & (faded > low)) and not np.any((done == peak) & (faded < high))
    assert np.ptp(done[(faded > low) & (faded < high)].astype(int)) > 0.95 * peak
    order = np.argsort(faded, axis=None)
    assert (np.diff(done.ravel()[order].astype(int)) >= 0).all()


def test_a_border_does_not_decide_levels() -> None:
    faded = prints.u8(90 + 0.3 * prints.gray("china"))
    scan = prints.framed(faded, 255)
    area = print_area(picture(scan))
    inside = cropped(levels.stretched(picture(scan), area), area).pixels
    np.testing.assert_array_equal(inside, levels.stretched(picture(faded), whole(faded)).pixels)


def test_levels_leave_whole_ranges_and_blanks() -> None:
    all_tones = np.arange(256, dtype=np.uint8).repeat(3).reshape(24, 32) // 2 * 2
    hardly_any = 100 + np.arange(8, dtype=np.uint8)[None]
    for pixels in (all_tones, np.full((9, 9), 77, np.uint8), hardly_any):
        done = levels.stretched(picture(pixels), whole(pixels)).pixels
        assert np.abs(done.astype(int) - pixels).max() <= 2
