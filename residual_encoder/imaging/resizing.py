"""Resizes pictures to the network's size and chroma back, a few rows at a time.

Every row is computed by itself, so stripes of a picture are exactly the rows of the whole. Graphs
use `tensor_resizing`, which holds the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

# OpenBLAS multiplies matrices of up to so many products in one thread. Several threads wait for
# each other: on a busy machine that took a hundred times as long. They also round otherwise, so
# that a picture's last bits would depend on their number.
ALONE = 1 << 18
GROUP = 8  # rows that are weighted together


def _centers(inside: int, outside: int) -> np.ndarray:
    """Locates the centers of `outside` pixels among those of `inside` pixels; [outside]."""
    return (np.arange(outside) + 0.5) * (inside / outside) - 0.5


def weights(inside: int, outside: int) -> np.ndarray:
    """Returns bilinear weights that average when they shrink: `tf.image.resize` with `antialias`.

    Args:
      inside: Pixels along one side before.
      outside: Pixels after.

    Returns:
      [outside, inside] float32; every row sums to 1.
    """
    reach = max(inside / outside, 1.0)
    centers = _centers(inside, outside)[:, None]
    near = np.floor(centers) + np.arange(np.floor(-reach), np.ceil(reach) + 1)  # [outside, taps]
    triangle = np.maximum(0.0, 1.0 - np.abs(near - centers) / reach)
    triangle[(near < 0) | (near >= inside)] = 0
    dense = np.zeros((outside, inside), np.float32)
    place = np.clip(near, 0, inside - 1).astype(int)
    np.add.at(dense, (np.arange(outside)[:, None], place), triangle)
    return dense / dense.sum(axis=1, keepdims=True)


def resized(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a small array. [h, w, C] float32 -> [height, width, C]."""
    if x.shape[:2] == (height, width):
        return x
    wide = _weighted(weights(x.shape[1], width), x.swapaxes(0, 1)).swapaxes(0, 1)
    return _weighted(weights(x.shape[0], height), wide)


def _weighted(shares: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Weighs the first axis: [n, h] @ [h, w, C] float32 -> [n, w, C]."""
    sums = np.zeros((len(shares), x.shape[1] * x.shape[2]), np.float32)
    _add_weighted(sums, shares, np.ascontiguousarray(x).reshape(len(x), -1))
    return sums.reshape(len(shares), *x.shape[1:])


def doubled(x: np.ndarray) -> np.ndarray:
    """Enlarges [B, h, w, C] float32 by two, bilinearly: centers aligned, ends repeated."""
    for axis in (1, 2):
        first, last = np.take(x, [0], axis), np.take(x, [-1], axis)
        inner, outer = np.split(x, [-1], axis)[0], np.split(x, [1], axis)[1]
        before = np.concatenate([first, inner], axis)
        after = np.concatenate([outer, last], axis)
        x = np.float32(0.75) * x
        pairs = x + np.float32(0.25) * before, x + np.float32(0.25) * after
        shape = [side * (1 + (number == axis)) for number, side in enumerate(x.shape)]
        x = np.stack(pairs, axis + 1).reshape(shape)
    return x


def shrunk(
    stripes: Iterable[np.ndarray], size: tuple[int, int], target: tuple[int, int]
) -> np.ndarray:
    """Resizes a picture that comes in stripes, top to bottom.

    Args:
      stripes: [rows, W] float32 each, H rows in all.
      size: (H, W) of the picture.
      target: (h, w) wanted.

    Returns:
      [h, w] float32.
    """
    down, top = weights(size[0], target[0]), 0
    short = np.zeros((target[0], size[1]), np.float32)  # [h, W]
    for stripe in stripes:
        _add_weighted(short, down[:, top : top + len(stripe)], stripe)
        top += len(stripe)
    turned = np.zeros(target[::-1], np.float32)  # [w, h]
    _add_weighted(turned, weights(size[1], target[1]), np.ascontiguousarray(short.T))
    return np.ascontiguousarray(turned.T)


def _add_weighted(sums: np.ndarray, shares: np.ndarray, rows: np.ndarray) -> None:
    """Adds `shares` @ `rows` to `sums`, where most shares are 0, in products of few numbers."""
    for top in range(0, len(sums), GROUP):
        group = slice(top, top + GROUP)
        if len(near := np.flatnonzero(shares[group].any(axis=0))):
            band = slice(near[0], near[-1] + 1)
            width = max(1, ALONE // (GROUP * (band.stop - band.start)))
            for left in range(0, rows.shape[1], width):
                part = slice(left, left + width)
                sums[group, part] += shares[group, band] @ rows[band, part]


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiplies [m, k] by [k, n] in parts, to the same bits with any number of threads."""
    width = max(1, ALONE // left.size)
    parts = (right[:, at : at + width] for at in range(0, right.shape[1], width))
    return np.concatenate([left @ part for part in parts], axis=1)


def enlarged_rows(small: np.ndarray, rows: slice, height: int, width: int) -> np.ndarray:
    """Returns some rows of a small array enlarged bilinearly: centers aligned, ends repeated.

    Args:
      small: [h, w, C] float32, C from 1 to 4, h <= height and w <= width.
      rows: Which rows of the enlarged array.
      height: Of the whole enlarged array.
      width: Of the enlarged array.

    Returns:
      [rows, width, C] float32.
    """
    last = len(small) - 1
    place = np.clip(_centers(len(small), height)[rows], 0, last)
    above = np.minimum(place.astype(int), max(last - 1, 0))
    share = (place - above).astype(np.float32)[:, None, None]
    lines = small[above] + share * (small[np.minimum(above + 1, last)] - small[above])
    count = len(lines)
    pair = np.repeat(lines, 2, axis=0) if count == 1 else lines  # OpenCV rounds one row otherwise
    wide = cv2.resize(pair, (width, len(pair)), interpolation=cv2.INTER_LINEAR)
    return wide.reshape(len(pair), width, small.shape[2])[:count]


def sampled_u8(rgb_u8: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes bilinearly without averaging, as OpenCV does and as classifiers are mostly fed.

    Args:
      rgb_u8: uint8 [H, W, 3].
      height: Pixels wanted.
      width: Pixels wanted.

    Returns:
      uint8 [height, width, 3].
    """
    contiguous = np.ascontiguousarray(rgb_u8)
    return cv2.resize(contiguous, (width, height), interpolation=cv2.INTER_LINEAR)
