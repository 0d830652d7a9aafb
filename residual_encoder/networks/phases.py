"""A 3x3 convolution of a picture that is enlarged by two, without enlarging it.

Every second pixel of what a convolution answers to x2 bilinear upsampling is a convolution of the
small picture, with a kernel of its own. Four such kernels, as channels of one, are the whole
answer, and the large picture is never made: where channels are many, its passes through memory cost
more than the products.

The four phases of a picture [B, 2H, 2W, K] are [B, H, W, 4K], as `tf.nn.space_to_depth` lays them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any

# Channels whose four phases fill a vector of AVX-512. With 32 as in `modern` the products, which
# grow by half or more, cost what the passes through memory save: 5 to 10 % slower as measured.
MOST_FILTERS = 4


def kernel_of(kernel: Tensor) -> Tensor:
    """[3, 3, C, K] -> [4, 4, C, 4K], which gives phases of the same answer: stride 2, SAME."""
    shifts = [[[p, 1 - p], [q, 1 - q], [0, 0], [0, 0]] for p in (0, 1) for q in (0, 1)]
    return tf.concat([tf.pad(kernel, shift) for shift in shifts], -1)


def convolved_double(x: Tensor, kernel: Tensor, shares: np.ndarray) -> Tensor:
    """Phases of a SAME 3x3 convolution, zeros beyond the borders, of x2 upsampled `x`.

    Args:
      x: [B, H, W, C], float32 or bfloat16; H and W at least 2.
      kernel: [3, 3, C, K] float32.
      shares: What `Upsample2.shares` gives: [2, 3].

    Returns:
      [B, H, W, 4K], as `x`.
    """
    large, taken = kernel_of(kernel), tf.constant(_taken(shares), tf.float32)
    # A mirrored border stays one when it is enlarged: beyond an edge lies the edge once more.
    mirrored = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")  # [B, H + 2, W + 2, C]
    y = _valid(mirrored, tf.einsum("hr,ws,rsck->hwck", taken, taken, large))  # [B, H, W, 4K]
    # What the kernel saw beyond the borders goes again; in the corners once, not twice.
    rows = _at_ends(mirrored, tf.einsum("ws,rsck->rwck", taken, large)[:, None], 1)  # [B, 2, W, 4K]
    down = tf.einsum("hr,rsck->shck", taken, large)[:, :, None]  # [4, 3, 1, C, 4K]
    columns = _at_ends(mirrored, down, 2)  # [B, H, 2, 4K]
    corners = [
        _at_ends(end, large[i, :, None, None], 2)  # [B, 1, 2, 4K]
        for i, end in zip((0, -1), _ends(mirrored, 1), strict=True)
    ]
    return _less(_less(y, rows, 1), _less(columns, tf.concat(corners, 1), 1), 2)


def _taken(shares: np.ndarray) -> np.ndarray:
    """What pixels 2i - 1 to 2i + 2 of the large picture take of i - 1, i and i + 1: [3, 4]."""
    even, odd = shares
    before, after = np.append(odd[1:], 0), np.append(0, even[:2])
    return np.stack([before, even, odd, after], axis=1)


def _valid(x: Tensor, kernel: Tensor) -> Tensor:
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "VALID")


def _ends(x: Tensor, axis: int) -> list[Tensor]:
    """First and last along an axis, 1 or 2."""
    first, _, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    return [first, last]


def _at_ends(x: Tensor, kernels: Tensor, axis: int) -> Tensor:
    """The first and the last of an axis, convolved with the first and the last kernel."""
    ends = zip(_ends(x, axis), (kernels[0], kernels[-1]), strict=True)
    return tf.concat([_valid(end, kernel) for end, kernel in ends], axis)


def _less(x: Tensor, ends: Tensor, axis: int) -> Tensor:
    """`x` with `ends` subtracted from the first and the last along an axis."""
    first, inner, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    return tf.concat([first - _ends(ends, axis)[0], inner, last - _ends(ends, axis)[1]], axis)
