"""Averages chroma along motion, starting anew at scene cuts, and measures its flicker."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import optical_flow

# Chosen by measurement: pans over 30 photographs and 14 rendered scenes at 112 x 152 pixels, with
# noise of 0.02 and 0.06 and a tenth of exposure flicker. There the mean match of two frames was at
# least 0.87 within a scene, and at most 0.71 over a cut.
BLUR = 1.5  # pixels, standard deviation on the gray before it is compared, against grain
TOLERANCE = 0.04  # of gray in [0, 1]: a pixel this far off its match counts 0.61
CUT = 0.75  # a mean match below this is a scene cut
MEMORY = 8  # frames that the mean holds at most: a third of a second at 24 a second


class SmoothingState(NamedTuple):
    """Holds the values of a frame that the next one is smoothed with."""

    gray: np.ndarray  # [h, w] float32 in [0, 1], blurred
    raw: np.ndarray  # [h, w, 2] float32, chroma as predicted
    smooth: np.ndarray  # [h, w, 2] float32, the mean along motion
    held: np.ndarray  # [h, w] float32, how many frames are in the mean, 1 to MEMORY


class FrameChange(NamedTuple):
    """Measures the change between two frames.

    The flickers are mean absolute changes of chroma along motion, over the pixels that match.
    """

    cut: bool  # there is no flicker across one
    raw_flicker: float  # flicker of the raw chroma
    flicker: float  # flicker of the smooth chroma


def start(gray: np.ndarray, chroma: np.ndarray) -> SmoothingState:
    """Begins with a first frame, of the film or after a cut: nothing is averaged.

    Args:
      gray: [h, w, 1] float32 in [0, 1].
      chroma: [h, w, 2] float32 in [0, 1].
    """
    return SmoothingState(
        optical_flow.blur(gray[..., 0], BLUR), chroma, chroma, np.ones_like(gray[..., 0])
    )


def update(
    before: SmoothingState, gray: np.ndarray, chroma: np.ndarray
) -> tuple[SmoothingState, FrameChange]:
    """Adds the next frame: a running mean of each point's chroma, wherever it moves.

    A point's mean counts the less, the worse its gray fits, so that what comes into view begins
    with its own chroma.

    Args:
      before: The frame before.
      gray: [h, w, 1] float32 in [0, 1].
      chroma: [h, w, 2] float32 in [0, 1], as predicted.

    Returns:
      (this frame, what changed).
    """
    now = start(gray, chroma)
    way = optical_flow.flow(now.gray, before.gray)
    match = _match(now.gray, optical_flow.warp(before.gray, way)) * optical_flow.inside(way)
    if match.mean() < CUT:
        return now, FrameChange(True, 0.0, 0.0)
    held = (match * optical_flow.warp(before.held, way))[..., None]  # [h, w, 1]
    came = optical_flow.warp(before.smooth, way)
    smooth = (held * came + chroma) / (held + 1)
    change = FrameChange(
        False,
        _flicker(chroma, optical_flow.warp(before.raw, way), match),
        _flicker(smooth, came, match),
    )
    return SmoothingState(now.gray, chroma, smooth, np.minimum(held[..., 0] + 1, MEMORY)), change


def _match(now: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Rates how well each pixel fits its motion-compensated predecessor, [h, w] in [0, 1].

    A change of exposure is no misfit: the line that brings one frame's gray to the other's is taken
    out, with a slope from a half to two.
    """
    now, came = now - now.mean(), came - came.mean()
    slope = np.clip((now * came).mean() / max(1e-6, (came * came).mean()), 0.5, 2)
    return np.exp(-(((now - slope * came) / TOLERANCE) ** 2) / 2)


def _flicker(now: np.ndarray, came: np.ndarray, match: np.ndarray) -> float:
    change = np.abs(now - came).mean(axis=-1)
    return float((match * change).sum(dtype=np.float64) / match.sum(dtype=np.float64))
