"""Tells interlaced and telecined films from films of whole frames, which may be marked wrongly.

FFmpeg's own detector, idet, took moving test pictures for interlaced ones.
"""

from __future__ import annotations

import numpy as np

# Measured on pans and zooms that were interlaced, telecined and neither: in whole frames the two
# ways to mix the lines of neighbors differ by at most 0.2 of their sum, of fields by 0.5 or more.
LOPSIDED = 0.35
COLUMNS = 256
MOVES = 0.2  # of 255, mean change between frames: stiller ones tell nothing


def filters(
    marked: bool, pairs: list[tuple[float, float]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tells what a film's frames are made of.

    Args:
      marked: Whether any of its frames is marked as interlaced.
      pairs: `mixed` of neighbors from all over the film.

    Returns:
      (names of FFmpeg's filters that make whole frames, notes for a person); nothing of a film of
      whole frames, whatever it is marked as.
    """
    top, bottom = np.array(pairs).reshape(-1, 2).T
    # A mean over pairs: one cut would outweigh all motion in a sum.
    shares = (top - bottom) / (np.abs(top) + np.abs(bottom) + 1e-9)
    lopsided = float(np.mean(shares)) if pairs else 0.0
    if abs(lopsided) <= (LOPSIDED if marked else 1.5 * LOPSIDED):
        return (), ()
    order = "tff" if lopsided > 0 else "bff"
    # Of each five frames of telecined film three are whole; whole ones are next to fields twice.
    whole = np.minimum(top, bottom) > np.maximum(top, bottom) / 2
    if 0.2 < whole.mean() < 0.7 and (whole[1:] != whole[:-1]).mean() > 0.25:
        return (f"fieldmatch=order={order}",), ("telecined: each frame got its own fields back",)
    return (f"bwdif=send_frame:{order}",), ("interlaced: fields were made whole frames (bwdif)",)


def sampled(luma: np.ndarray) -> np.ndarray:
    """Returns all lines of a frame, [H, W] uint8, in about `COLUMNS` columns: float32."""
    rows, step = len(luma) // 2 * 2, 1 + luma.shape[1] // COLUMNS
    return luma[:rows, ::step].astype(np.float32)


def mixed(before: np.ndarray, now: np.ndarray) -> tuple[float, float] | None:
    """Measures how much rougher frames become whose lines are taken from two neighbors.

    Lines of one moment fit each other. With the upper field first, an earlier frame's lower lines
    and the next one's upper lines are neighbors in time, and do not get rougher than a frame is.

    Args:
      before: [H, w] float32 of 255, a frame by `sampled`.
      now: The next one.

    Returns:
      The roughness added by (upper lines from before, upper lines from now); None without motion.
    """
    if before.shape != now.shape or len(now) < 4 or np.abs(before - now).mean() < MOVES:
        return None
    pairs = (before, before), (now, now), (before, now), (now, before)
    rough = [_roughness(upper[::2], lower[1::2]) for upper, lower in pairs]
    return rough[2] - (rough[0] + rough[1]) / 2, rough[3] - (rough[0] + rough[1]) / 2


def _roughness(upper: np.ndarray, lower: np.ndarray) -> float:
    """Returns how far lines are from the mean of their neighbors, of a frame of two fields."""
    inner = np.abs(upper[:-1] - 2 * lower[:-1] + upper[1:]).mean()
    return float(inner + np.abs(lower[:-1] - 2 * upper[1:] + lower[1:]).mean()) / 2
