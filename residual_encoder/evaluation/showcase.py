"""The sheet of sample images, colored: gray | output | truth."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from residual_encoder.data.sample_images import luma_u8, photographs, rendered
from residual_encoder.evaluation import html_report
from residual_encoder.inference.colorizer import Colorizer

HEIGHT = 160  # of a strip on a sheet, pixels


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
