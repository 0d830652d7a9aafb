"""A 3x3 convolution of a x2 upsampled picture as one convolution of the small picture.

Upsampling by two and convolving is linear, so there is a kernel that does both at once, a different
one for each phase (the even and odd rows and columns) of the result. The upsampled picture, whose
passes through memory cost more than the products where channels are many, is never made.

Derivation, along one axis. Let x[i] be the small picture, y[n] the upsampled one and z[n] = sum
over t of k[t] y[n - 1 + t] the convolution.

1. *Polyphase kernel.* Both phases z[2i] and z[2i + 1] read only y[2i - 1 + r] for r = 0..3: phase p
   is k shifted by p, K[p, r] = k[r - p]. `polyphase_kernel` makes K: a convolution of y by K with
   stride 2 has the phases of z as channels.
2. *Interpolation.* Bilinear upsampling gives each of the four as y[2i - 1 + r] = sum over h of
   A[h, r] x[i - 1 + h] with h = 0..2. The composed kernel, sum over r of A[h, r] K[p, r], has three
   taps on x.
3. *Border correction.* A SAME convolution of x takes zeros beyond its ends. But upsampling repeats
   the end pixel, and the convolution of y takes zeros beyond y, so that y[-1] and y[2H] must count
   as zero. Both differences are multiples of the end pixel itself: E[0, r] x[0] is to be added to
   y[-1 + r] at the first i, and E[1, r] x[H - 1] at the last.

In two dimensions both axes are A + E, and (A + E) (A + E)' is four convolutions: A A' of the whole
picture, E A' of its first and last row, A E' of its first and last column, E E' of its corners.

The phases of a picture [B, 2H, 2W, K] are laid out as by `tf.nn.space_to_depth`: [B, H, W, 4K].
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from residual_encoder.utils.typing import Tensor

# Channels whose four phases fill a vector of AVX-512. With 32 as in `modern` the products, which
# grow by half or more, cost what the passes through memory save: 5 to 10 % slower as measured.
MOST_FILTERS = 4


def polyphase_kernel(kernel: Tensor) -> Tensor:
    """Makes the kernel whose convolution with stride 2 gives the phases of a 3x3 convolution.

    Args:
      kernel: [3, 3, C, K] of a SAME convolution with stride 1.

    Returns:
      [4, 4, C, 4K], for a SAME convolution with stride 2 of a picture of even height and width.
    """
    shifts = [[[p, 1 - p], [q, 1 - q], [0, 0], [0, 0]] for p in (0, 1) for q in (0, 1)]
    return tf.concat([tf.pad(kernel, shift) for shift in shifts], -1)


def conv_of_upsampled(x: Tensor, kernel: Tensor, weights: np.ndarray) -> Tensor:
    """Convolves x2 upsampled `x` by a 3x3 kernel, SAME with zeros beyond the borders.

    Args:
      x: [B, H, W, C], float32 or bfloat16; H and W at least 2.
      kernel: [3, 3, C, K] float32.
      weights: Of the upsampling, [2, 3], as of `Upsample2.interpolation_weights`.

    Returns:
      The phases of the result, [B, H, W, 4K], of the dtype of `x`.
    """
    phases = polyphase_kernel(kernel)  # [4, 4, C, 4K]
    inner, border = (tf.constant(part, tf.float32) for part in _composed(weights))
    y = _convolved(x, tf.einsum("hr,ws,rsck->hwck", inner, inner, phases))  # [B, H, W, 4K]
    rows = _at_ends(x, tf.einsum("er,ws,rsck->ewck", border, inner, phases)[:, None], 1)
    columns = _at_ends(x, tf.einsum("hr,es,rsck->ehck", inner, border, phases)[:, :, None], 2)
    corner_kernels = tf.einsum("er,fs,rsck->efck", border, border, phases)[:, :, None, None]
    corners = [
        _at_ends(x_end, kernels, 2)
        for x_end, kernels in zip(_ends(x, 1), tf.unstack(corner_kernels), strict=True)
    ]
    return _added(_added(y, rows, 1), _added(columns, tf.concat(corners, 1), 1), 2)


def _composed(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns A [3, 4] and E [2, 4] of the module's derivation.

    Neither the odd outputs take the input before them nor the even ones that after; the products of
    these two, which would reach x[i - 2] and x[i + 2], are left out.
    """
    (even_before, even, even_after), (odd_before, odd, odd_after) = weights
    inner = [[odd, even_before, odd_before, 0], [odd_after, even, odd, even_before]]
    inner += [[0, even_after, odd_after, even]]
    border = [[-odd_after, even_before, odd_before, 0], [0, even_after, odd_after, -even_before]]
    return np.array(inner), np.array(border)


def _convolved(x: Tensor, kernel: Tensor) -> Tensor:
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), 1, "SAME")


def _ends(x: Tensor, axis: int) -> list[Tensor]:
    """Returns the first and the last slice along an axis, 1 or 2."""
    first, _, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    return [first, last]


def _at_ends(x: Tensor, kernels: Tensor, axis: int) -> Tensor:
    """Convolves the first and the last slice of an axis, each with a kernel of its own."""
    both = zip(_ends(x, axis), tf.unstack(kernels), strict=True)
    return tf.concat([_convolved(end, kernel) for end, kernel in both], axis)


def _added(x: Tensor, ends: Tensor, axis: int) -> Tensor:
    """Adds `ends` to the first and the last slice of `x` along an axis."""
    first, inner, last = tf.split(x, [1, tf.shape(x)[axis] - 2, 1], axis)
    add_first, add_last = tf.split(ends, 2, axis)
    return tf.concat([first + add_first, inner, last + add_last], axis)
