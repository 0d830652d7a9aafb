"""Makes a colored picture fit into a format that was asked for, and tells what is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residual_encoder.imaging import image_io

_NO_ALPHA = frozenset({"JPEG"})
_EIGHT_BITS = frozenset({"JPEG", "WebP", "BMP"})


def fitted(pixels: np.ndarray, target: Path) -> tuple[np.ndarray, list[str]]:
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
        opaque = bool(np.all(pixels[..., 3] == np.iinfo(pixels.dtype).max))
        how = "dropped, it was opaque" if opaque else "lost, transparent parts are white now"
        notes.append(f"{form} holds no alpha: {how}")
        pixels = np.ascontiguousarray(pixels[..., :3]) if opaque else _on_white(pixels)
    if pixels.dtype == np.uint16 and form in _EIGHT_BITS:
        notes.append(f"{form} holds 8 bits a channel: 16 were rounded to 8")
        pixels = _eight_bits(pixels)
    return pixels, notes


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """Puts [H, W, 4] on white, row by row: the floats of a whole picture would take much memory."""
    peak = np.float32(np.iinfo(pixels.dtype).max)
    flat = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    for row, (colors, opacity) in enumerate(zip(pixels[..., :3], pixels[..., 3:], strict=True)):
        flat[row] = np.rint(peak + opacity / peak * (colors - peak))
    return flat


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Rounds uint16 [H, W, C] to uint8, row by row."""
    small = np.empty(pixels.shape, np.uint8)
    for row, deep in enumerate(pixels):
        small[row] = (deep.astype(np.uint32) + 128) // 257
    return small
