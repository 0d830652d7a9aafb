"""Pictures that may be shown anywhere: scikit-image's photographs, and rendered scenes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from residual_encoder.data import scenes
from residual_encoder.evaluation import html_report
from residual_encoder.imaging import colorspace
from residual_encoder.inference.colorizer import Colorizer

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")  # in color, bundled with scikit-image
SCENES = 6
SCENE_SEED = 2  # training and validation scenes have other seeds
SCENE_SIZE = 192  # pixels a side
HEIGHT = 160  # of a strip on a sheet, pixels


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


def sheet(colorizer: Colorizer) -> np.ndarray:
    """Strips gray | output | truth: photographs two a row, scenes three. uint8 [H, W, 3]."""
    parts = (photographs(), 2), (rendered(), 3)
    sheets = [
        html_report.contact_sheet([_strip(colorizer, truth) for _, truth in pictures], columns)
        for pictures, columns in parts
    ]
    return html_report.contact_sheet(sheets, columns=1)


def _strip(colorizer: Colorizer, truth: np.ndarray) -> np.ndarray:
    """Gray | output | truth, `HEIGHT` pixels high."""
    gray = luma_u8(truth)
    strip = html_report.strip(gray, colorizer.colorize(gray), truth)
    width = round(strip.shape[1] * HEIGHT / strip.shape[0])
    small = tf.image.resize(strip, [HEIGHT, width], antialias=True)
    return np.rint(small).astype(np.uint8)
