"""Motion between two frames: dense optical flow, and warping along it."""

from __future__ import annotations

import cv2
import numpy as np

# DIS flow (Kroeger 2016) ends at patches of 8 pixels on a level scaled down; smaller is no use.
SMALLEST_FLOW = 32  # pixels


def flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Finds where each pixel was in the frame before: dense inverse search (Kroeger 2016).

    Args:
      now: [h, w] float32 gray in [0, 1].
      before: The same of the frame before.

    Returns:
      [h, w, 2] float32, the displacement to the pixel's earlier place in pixels, (x, y); zero
      where a side is shorter than `SMALLEST_FLOW`.
    """
    if min(now.shape) < SMALLEST_FLOW:
        return np.zeros((*now.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return search.calc(_bytes(now), _bytes(before), None)


def _places(way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: way.shape[0], : way.shape[1]].astype(np.float32)
    return x + way[..., 0], y + way[..., 1]


def warp(before: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Brings an array of the frame before to the pixels of this one.

    Args:
      before: [h, w] or [h, w, C] float32, C up to 4.
      way: [h, w, 2], from `flow`.

    Returns:
      As `before`, bilinear; outside it the nearest edge.
    """
    return cv2.remap(before, *_places(way), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def inside(way: np.ndarray) -> np.ndarray:
    """Marks pixels whose earlier place lies in the picture: [h, w] float32, 1 or 0."""
    x, y = _places(way)
    height, width = x.shape
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).astype(np.float32)


def blur(gray: np.ndarray, sigma: float) -> np.ndarray:
    """Blurs [h, w] float32 by a Gaussian whose standard deviation is `sigma` pixels."""
    return cv2.GaussianBlur(gray, (0, 0), sigma)


def _bytes(gray: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(gray, 0, 1)).astype(np.uint8)
