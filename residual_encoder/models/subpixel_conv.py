"""A 3x3 convolution of a picture that is enlarged by two, without enlarging it.

Every second pixel of what a convolution answers to x2 bilinear upsampling is a convolution of the
small picture, with a kernel of its own. Four such kernels, as channels of one, are the whole
answer, and the large picture is never made: where channels are many, its passes through memory cost
more than the products.

The four phases of a picture [B, 2H, 2W, K] are [B, H, W, 4K], as `tf.nn.space_to_depth` lays them.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from residual_encoder.utils.typing import Tensor

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
    large = kernel_of(kernel)  # [4, 4, C, 4K]
    taken, ends = (tf.constant(part, tf.float32) for part in _taken(shares))
    y = _convolved(x, tf.einsum("hr,ws,rsck->hwck", taken, taken, large))  # [B, H, W, 4K]
    # Beyond the borders of `x` that has seen zeros, instead of the border once more inside those of
    # the large picture, and zeros outside. Where two ends meet they do as factors.
    rows = _at_ends(x, tf.einsum("er,ws,rsck->ewck", ends, taken, large)[:, None], 1)
    columns = _at_ends(x, tf.einsum("hr,es,rsck->ehck", taken, ends, large)[:, :, None], 2)
    corners = tf.einsum("er,fs,rsck->efck", ends, ends, large)[:, :, None, None]
    corners = [
        _at_ends(x_end, corner, 2)
        for x_end, corner in zip(_ends(x, 1), tf.unstack(corners), strict=True)
    ]
    return _more(_more(y, rows, 1), _more(columns, tf.concat(corners, 1), 1), 2)


def _taken(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What pixels 2i - 1 to 2i + 2 of the large picture take of the small one, along an axis.

    Returns:
      Of i - 1, i and i + 1: [3, 4]. And what the first and the last i take beside that of
      themselves, where there is nothing before or after: [2, 4].
    """
    (even_before, even, even_after), (odd_before, odd, odd_after) = shares
    inside = [[odd, even_before, odd_before, 0], [odd_after, even, odd, even_before]]
    inside += [[0, even_after, odd_after, even]]
    ends = [[-odd_after, even_before, odd_before, 0], [0, even_after, odd_after, -even_before]]
    return np.array(inside), np.array(ends)


def _convolved(x: Tensor, kernel: Tensor) -> Tensor:
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "SAME")


def _ends(x: Tensor, axis: int) -> list[Tensor]:
    """First and last along an axis, 1 or 2."""
    first, _, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    return [first, last]


def _at_ends(x: Tensor, kernels: Tensor, axis: int) -> Tensor:
    """The first and the last of an axis, each convolved with a kernel of its own."""
    both = zip(_ends(x, axis), tf.unstack(kernels), strict=True)
    return tf.concat([_convolved(end, kernel) for end, kernel in both], axis)


def _more(x: Tensor, ends: Tensor, axis: int) -> Tensor:
    """`x` with `ends` added to the first and the last along an axis."""
    first, inner, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    more_first, more_last = tf.split(ends, 2, axis)
    return tf.concat([first + more_first, inner, last + more_last], axis)
