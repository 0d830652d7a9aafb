"""The same pictures colored by every system, side by side: columns first, then one sheet of them.

A column holds a system's squares, one below the other; it is written when the system is measured,
and the sheet only puts columns next to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from residual_encoder.data import input_pipeline, sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import image_grids
from residual_encoder.imaging import image_io, tensor_resizing
from residual_encoder.inference.colorizer import Colorizer

SIDE = 96  # pixels of a square on the sheets
COUNT = 12  # validation photographs on a sheet, evenly spaced among the measured ones
VALIDATION, SHOWCASE = "validation.png", "showcase.png"


def write(folder: Path, colorizer: Colorizer, data: DataConfig, measured: int) -> None:
    """Writes a system's two columns: validation photographs, and pictures that may be shown."""
    for name, pictures in sources(data, measured).items():
        colored = [colorizer.colorize(picture) for picture in pictures]
        image_io.write(folder / name, np.concatenate(colored))


def sources(data: DataConfig, measured: int) -> dict[str, list[np.ndarray]]:
    """Returns the squares of both sheets by their column's file name, [SIDE, SIDE, 3] uint8."""
    return {VALIDATION: _validation(data, measured), SHOWCASE: _shown()}


def _validation(data: DataConfig, measured: int) -> list[np.ndarray]:
    batches = input_pipeline.eval_batches(data, batch_size=COUNT, image_size=SIDE, limit=measured)
    every = [picture for batch in batches for picture in batch.rgb.numpy()]
    places = np.linspace(0, len(every), COUNT, endpoint=False).astype(int)
    return [every[place] for place in np.unique(places)]


def _shown() -> list[np.ndarray]:
    pictures = [*sample_images.photographs(), *sample_images.rendered()]
    return [tensor_resizing.center_square_u8(picture, SIDE) for _, picture in pictures]


def sheet(pictures: Sequence[np.ndarray], colored: Mapping[str, np.ndarray]) -> bytes:
    """Lays out gray, every system, truth; a row for each picture, headings above.

    Args:
      pictures: The truth, [SIDE, SIDE, 3] uint8 each.
      colored: Columns by heading, [SIDE * len(pictures), SIDE, 3] uint8.

    Returns:
      A PNG file.
    """
    gray = np.concatenate([_gray(picture) for picture in pictures])
    named = {"gray": gray, **colored, "truth": np.concatenate(pictures)}
    return image_grids.headed_sheet(list(named), list(named.values()))


def _gray(picture: np.ndarray) -> np.ndarray:
    return np.broadcast_to(sample_images.luma_u8(picture)[..., None], picture.shape)
