"""Draws photographs in gray with the same photographs colored below: the README's picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from residual_encoder.data.sample_images import luma_u8
from residual_encoder.imaging import tensor_resizing

CELL = 220  # side of a photograph in the gallery, pixels
SEAM = 8  # pixels between the photographs of the gallery, and around them
LABELS = 42  # pixels of the gallery's left and lower margins, which hold the labels
BACKGROUND = 104  # neutral gray: readable on a light and on a dark page, and it tints no color


def gallery(
    colorize: Callable[[np.ndarray], np.ndarray], pictures: Iterable[tuple[str, np.ndarray]]
) -> np.ndarray:
    """Draws photographs in gray, one row, and below each the same photograph colored.

    Args:
      colorize: uint8 [H, W] -> uint8 [H, W, 3].
      pictures: Names and photographs, uint8 [H, W] or [H, W, 3].

    Returns:
      uint8 [H, W, 3]: center squares of `CELL` pixels with their names below.

    Raises:
      ValueError: there is no picture.
    """
    named = [(name, luma_u8(picture)) for name, picture in pictures]
    if not named:
        raise ValueError("a gallery takes at least one picture. Received none.")
    step = CELL + SEAM
    size = 2 * step + SEAM + LABELS, len(named) * step + SEAM + LABELS
    canvas = np.full((*size, 3), BACKGROUND, np.uint8)
    for index, (_, gray) in enumerate(named):
        left = LABELS + SEAM + index * step
        for row, picture in enumerate((gray[..., None], colorize(gray))):
            top = SEAM + row * step
            canvas[top : top + CELL, left : left + CELL] = tensor_resizing.center_square_u8(
                picture, CELL
            )
    names = [name.replace("_", " ") for name, _ in named]
    return _labeled(canvas, names, ("gray", "colored"))


def _labeled(canvas: np.ndarray, names: list[str], rows: tuple[str, ...]) -> np.ndarray:
    """Writes names below the columns and labels left of the rows; uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    (height, width), dpi, step = canvas.shape[:2], 100, CELL + SEAM
    inches = (width + 0.1) / dpi, (height + 0.1) / dpi  # rounded down to whole pixels
    figure = Figure(figsize=inches, dpi=dpi)
    figure.figimage(canvas)
    style: dict[str, Any] = {"color": "white", "fontsize": 18, "ha": "center", "va": "center"}
    for index, name in enumerate(names):
        across = LABELS + SEAM + index * step + CELL / 2
        figure.text(across / width, LABELS / 2 / height, name, **style)
    for index, row in enumerate(rows):
        down = SEAM + index * step + CELL / 2
        figure.text(LABELS / 2 / width, 1 - down / height, row, rotation=90, **style)
    agg = FigureCanvasAgg(figure)
    agg.draw()
    return np.asarray(agg.buffer_rgba())[..., :3].copy()
