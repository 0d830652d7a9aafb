"""Pictures in color are told from gray ones with a tint, whatever age and compression did."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import prints

from residual_encoder.imaging import image_io
from residual_encoder.imaging.color_detection import in_color

# Each with so much of its color that it is still seen to be in color.
PALEST = {
    "astronaut": 0.3,
    "chelsea": 0.5,
    "coffee": 0.4,
    "rocket": 0.7,
    "china": 0.5,
    "flower": 0.3,
    "grace_hopper": 0.3,
}


def found(pixels: np.ndarray) -> bool:
    return in_color(image_io.as_picture(np.ascontiguousarray(pixels)))


@pytest.mark.parametrize("name", PALEST)
@pytest.mark.parametrize("saturation", ["whole", "pale"])
def test_photographs_in_color(name: str, saturation: str) -> None:
    rgb = prints.photographs()[name]
    assert found(rgb if saturation == "whole" else prints.pale(rgb, PALEST[name]))


@pytest.mark.parametrize("name", ["astronaut", "china", "flower", "grace_hopper"])
@pytest.mark.parametrize("age", ["grain", "JPEG 40", "yellow edges", "toned border"])
def test_scans_of_color_prints(name: str, age: str) -> None:
    rgb = prints.photographs()[name].astype(float)
    faded = 40 + 0.7 * rgb * (1, 0.95, 0.8)  # a color print fades and yellows, too
    assert found(prints.u8(prints.AGES[age](faded)))


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "china", "grace_hopper"])
@pytest.mark.parametrize("age", prints.AGES)
@pytest.mark.parametrize("tint", prints.TINTS)
def test_gray_with_a_tint(tint: str, age: str, name: str) -> None:
    assert not found(prints.u8(prints.AGES[age](prints.TINTS[tint](prints.gray(name)))))


def test_depth_and_alpha_do_not_matter() -> None:
    rgb = prints.photographs()["coffee"]
    alpha = np.full((*rgb.shape[:2], 1), 200, np.uint8)
    assert found(rgb.astype(np.uint16) * 257)
    assert found(np.concatenate([rgb, alpha], axis=-1))
    sepia = prints.u8(prints.TINTS["sepia"](prints.gray("coffee")))
    assert not found(sepia.astype(np.uint16) * 257)


@pytest.mark.parametrize(("side", "colored"), [(0.15, False), (0.4, True)])
def test_a_small_part_in_color_does_not_count(side: float, colored: bool) -> None:
    """A red stamp of 2 percent, and a red door of 16 percent."""
    gray = np.stack([prints.gray("china")] * 3, -1)
    height, width = (int(side * length) for length in gray.shape[:2])
    gray[40 : 40 + height, 60 : 60 + width] *= (1.0, 0.4, 0.4)
    assert found(prints.u8(gray)) == colored


def test_a_border_does_not_count() -> None:
    gray = np.stack([prints.gray("astronaut")] * 3, -1)
    for color in ((190, 40, 30), (40, 60, 160)):
        assert not found(prints.u8(prints.framed(gray, color, (60, 60, 60, 60))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 5), (12, 17), (33, 40)])
def test_small_pictures(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    gray = random.integers(0, 256, shape).astype(float)
    assert not found(prints.u8(prints.TINTS["yellowed"](gray)))
    assert not found(prints.u8(gray))
    if min(shape) > 2:  # two halves, of two hues
        halves = np.full((*shape, 3), (1.0, 0.4, 0.3))
        halves[:, : shape[1] // 2] = (0.3, 0.7, 0.5)
        assert found(prints.u8(halves * random.integers(80, 256, (*shape, 1))))
