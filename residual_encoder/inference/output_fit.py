"""Makes a colored picture fit into a format that was asked for, and tells what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.imaging import image_io
from residual_encoder.imaging.rows import Rows, blocks, mapped

_NO_ALPHA = frozenset({"JPEG"})
_EIGHT_BITS = frozenset({"JPEG", "WebP", "BMP"})


def fitted(pixels: np.ndarray | Rows, target: Path) -> tuple[Any, list[str]]:
    """Reduces depth and alpha to what a file's format holds.

    Args:
      pixels: [H, W, 3] RGB or [H, W, 4] RGBA, uint8 or uint16.
      target: The file; its suffix is one of `image_io.WRITABLE`.

    Returns:
      The picture, and a note for each thing that was lost. Where alpha is lost, transparent parts
      are put on white.
    """
    form, notes = image_io.format_name(target.suffix), []
    if pixels.shape[2:] == (4,) and form in _NO_ALPHA:
        opaque = _is_opaque(pixels)
        how = "dropped, it was opaque" if opaque else "lost, transparent parts are white now"
        notes.append(f"{form} holds no alpha: {how}")
        pixels = mapped((lambda rows: rows[..., :3]) if opaque else _on_white, pixels)
    if pixels.dtype == np.uint16 and form in _EIGHT_BITS:
        notes.append(f"{form} holds 8 bits a channel: 16 were rounded to 8")
        pixels = mapped(_eight_bits, pixels)
    return pixels, notes


def _on_white(rows: np.ndarray) -> np.ndarray:
    """Puts rows of [..., W, 4] on white."""
    peak = np.float32(np.iinfo(rows.dtype).max)
    flat = np.rint(peak + rows[..., 3:] / peak * (rows[..., :3] - peak))
    return flat.astype(rows.dtype)


def _eight_bits(rows: np.ndarray) -> np.ndarray:
    """Rounds uint16 to uint8."""
    return ((rows.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _is_opaque(pixels: np.ndarray | Rows) -> bool:
    """Returns whether the alpha of [H, W, 4] is full everywhere."""
    peak = np.iinfo(pixels.dtype).max
    return all(bool(np.all(pixels[rows][..., 3] == peak)) for rows in blocks(pixels))
