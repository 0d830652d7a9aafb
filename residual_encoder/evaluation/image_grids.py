"""Pictures side by side: strips gray | output | truth, contact sheets, columns with headings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from residual_encoder.data.sample_images import luma_u8
from residual_encoder.evaluation import plots
from residual_encoder.imaging import tensor_resizing

GAP = 4  # pixels of white between the strips of a contact sheet
HEIGHT = 160  # pixels of a strip on `sheet`


def _panel(picture: Any) -> np.ndarray:
    """Converts [H, W], [H, W, 1] or [H, W, 3], float in [0, 1] or uint8, to [H, W, 3] uint8."""
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(f"a panel is [H, W], [H, W, 1] or [H, W, 3]. Received {pixels.shape}.")
    if pixels.dtype != np.uint8:
        pixels = np.round(np.clip(pixels.astype(np.float64), 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def strip(gray: Any, output: Any, truth: Any) -> np.ndarray:
    """Puts gray | output | truth into a strip, as in the article.

    Args:
      gray: [H, W] or [H, W, 1], float in [0, 1] or uint8.
      output: [H, W, 3] RGB, float in [0, 1] or uint8.
      truth: As `output`.

    Returns:
      [H, 3 W, 3] uint8.

    Raises:
      ValueError: the three are not pictures of one size.
    """
    panels = [_panel(picture) for picture in (gray, output, truth)]
    sizes = {panel.shape for panel in panels}
    if len(sizes) > 1:
        raise ValueError(f"a strip takes three pictures of one size. Received {sorted(sizes)}.")
    return np.concatenate(panels, axis=1)


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    missing = (height - picture.shape[0], width - picture.shape[1])
    return np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)], constant_values=255)


def contact_sheet(strips: Sequence[np.ndarray], columns: int = 1) -> np.ndarray:
    """Arranges strips in rows and columns, in reading order, on white.

    Args:
      strips: [H, W, 3] uint8 each; sizes may differ.
      columns: Strips a row.

    Returns:
      [H, W, 3] uint8.

    Raises:
      ValueError: there is no strip, or `columns` is below 1.
    """
    if not strips or columns < 1:
        raise ValueError(
            f"a contact sheet takes at least one strip and one column. "
            f"Received {len(strips)} strips, columns={columns}."
        )
    width = max(picture.shape[1] for picture in strips)
    rows = []
    for start in range(0, len(strips), columns):
        row = list(strips[start : start + columns])
        height = max(picture.shape[0] for picture in row)
        row += [np.full((height, width, 3), 255, np.uint8)] * (columns - len(row))
        padded = [_padded(picture, height + GAP, width + GAP) for picture in row]
        rows.append(np.concatenate(padded, axis=1))
    return np.concatenate(rows, axis=0)[:-GAP, :-GAP]


def headed_sheet(headings: Sequence[str], columns: Sequence[np.ndarray]) -> bytes:
    """Puts columns of pictures side by side, each below its heading.

    Args:
      headings: One a column.
      columns: [H, W, 3] uint8 each, of one height.

    Returns:
      A PNG file; the pictures are shown pixel by pixel.

    Raises:
      ValueError: there is no column, or not one heading for each, or their heights differ.
    """
    heights = {column.shape[0] for column in columns}
    if len(heights) != 1 or len(headings) != len(columns):
        raise ValueError(
            f"a sheet takes columns of one height and a heading for each. "
            f"Received {len(headings)} headings and columns of heights {sorted(heights)}."
        )
    from matplotlib.figure import Figure

    gaps = [np.pad(column, [(0, 0), (0, GAP), (0, 0)], constant_values=255) for column in columns]
    grid, dpi = np.concatenate(gaps, axis=1), 100
    height, width = grid.shape[:2]
    longest = max(len(heading) for heading in headings)
    head, margin = 7 * longest + 20, 5 * longest  # pixels that slanted headings may take
    size = (width + margin, height + head)
    figure = Figure(figsize=(size[0] / dpi, size[1] / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, width / size[0], height / size[1]))
    axes.imshow(grid, interpolation="nearest", extent=(0, width, height, 0))
    axes.set_axis_off()
    left = 0
    for heading, gap in zip(headings, gaps, strict=True):
        axes.text(left + gap.shape[1] / 3, -8, heading, rotation=55, fontsize=8, va="bottom")
        left += gap.shape[1]
    return plots.png(figure)


# --- sheets of colored pictures -------------------------------------------------------------------


def sheet(
    colorize: Callable[[np.ndarray], np.ndarray], pictures: Iterable[np.ndarray], columns: int = 2
) -> np.ndarray:
    """Colors pictures and puts strips gray | output | truth on one sheet.

    Args:
      colorize: Gray [H, W] uint8 -> RGB [H, W, 3] uint8.
      pictures: The truth, [H, W, 3] uint8 each.
      columns: Strips a row.

    Returns:
      [H, W, 3] uint8; every strip is `HEIGHT` pixels high.

    Raises:
      ValueError: there is no picture, or `columns` is below 1.
    """
    return contact_sheet([_low_strip(colorize, truth) for truth in pictures], columns)


def _low_strip(colorize: Callable[[np.ndarray], np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Joins gray | output | truth, `HEIGHT` pixels high."""
    gray = luma_u8(truth)
    whole = strip(gray, colorize(gray), truth)
    width = round(whole.shape[1] * HEIGHT / whole.shape[0])
    return tensor_resizing.resize_u8(whole, HEIGHT, width).numpy()
