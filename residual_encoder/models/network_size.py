"""The size at which a network sees a picture, in numbers and arrays; see `any_size` for tensors."""

from __future__ import annotations

import numpy as np

# Longest side the network sees, in short sides: a long strip is squeezed, so that memory
# depends on the network's size and never on the photograph.
LONGEST = 4


def network_size(height: int, width: int, size: int, multiple: int = 8) -> tuple[int, int]:
    """Computes the network's input size for a picture: its aspect, short side about `size`.

    Args:
      height: Pixels.
      width: Pixels.
      size: Short side in pixels.
      multiple: The number that both sides are rounded to multiples of.

    Returns:
      (height, width).
    """
    short = np.float32(min(height, width))

    def scaled(side: int) -> int:
        ratio = np.minimum(np.float32(side) / short, np.float32(LONGEST))
        return multiple * max(1, int(np.rint(ratio * np.float32(size) / np.float32(multiple))))

    return scaled(height), scaled(width)


def repeated(gray: np.ndarray, multiple: int) -> np.ndarray:
    """Repeats the last row and column until both sides are multiples. [B, H, W, C] -> the same."""
    height, width = gray.shape[1:3]
    lacking = (0, -height % multiple), (0, -width % multiple)
    return np.pad(gray, ((0, 0), *lacking, (0, 0)), "edge")
