"""Pictures that may be shown anywhere: scikit-image's photographs, and rendered scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from residual_encoder.data import scenes
from residual_encoder.imaging import colorspace

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # in color, bundled with scikit-image
SCENES = 6
SCENE_SEED = 2  # training and validation scenes have other seeds
SCENE_SIZE = 192  # pixels a side


def rendered() -> Iterator[tuple[str, np.ndarray]]:
    """Names and scenes that are in no split, uint8 [H, W, 3]."""
    for index in range(SCENES):
        yield f"scene-{index}", scenes.render(SCENE_SEED, index, SCENE_SIZE)


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Names and photographs, uint8 [H, W, 3]."""
    from skimage import data

    for name in PHOTOGRAPHS:
        yield name, getattr(data, name)()


def luma_u8(rgb_u8: np.ndarray) -> np.ndarray:
    """The gray picture that is given to color. uint8 [H, W, 3] -> uint8 [H, W]."""
    luma = colorspace.luma_gray(rgb_u8 / np.float32(255)).numpy()[..., 0]
    return np.rint(luma * 255).astype(np.uint8)
