"""Spreads colors of single places over the regions around them: colorization by optimization.

Levin, Lischinski and Weiss, "Colorization using Optimization", SIGGRAPH 2004: neighbors of like
gray have like chroma, which makes a sparse least-squares problem. Here every pixel is also drawn
toward the chroma that it has already, and hints hold a few pixels fast. With weights w of like gray
and deviations d from the chroma that is there, the sum of w (d_i - d_j)^2 over neighbors and of
`PRIOR` d_i^2 over pixels is least. The solution is linear in the hints; that of ones in their
place is their share in every pixel, which falls steeply at edges of the gray. Shares are stretched
between `OUTSIDE` and `INSIDE`: regions take the whole color, and beyond them nothing changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import guided_filter

# Chosen by measurement on rendered scenes and photographs; see docs/brush.md.
SIGMA = 0.015  # of gray in [0, 1]: neighbors that differ by more hardly share their color
LEAK = 1e-5  # weight of neighbors across any edge
PRIOR = 1e-4  # weight of the chroma that is there
HOLD = 10.0  # weight of a hint
OUTSIDE, INSIDE = 0.1, 0.2  # shares of hints below and above which a pixel has none or all of them
# Texture is smoothed first, by a guided filter of the gray by itself.
RADIUS, EPSILON = 2, 0.004
TIP = 1  # pixels around a hint that it holds as well, where they are as gray
TIP_CONTRAST = 0.08  # of gray
_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns on: half of the eight


class Mark(NamedTuple):
    """A chroma that one pixel is to have."""

    y: int
    x: int
    chroma: np.ndarray  # [2] float32


def propagate(gray: np.ndarray, chroma: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Gives marked pixels, and the regions of like gray around them, another chroma.

    Args:
      gray: [h, w, 1] float32 in [0, 1].
      chroma: [h, w, 2] float32; differences in it must be differences of color, as in ab.
      marks: What the pixels are to have; later ones replace earlier ones at the same pixel.

    Returns:
      [h, w, 2] float32; `chroma` itself where there are no marks.
    """
    if not marks:
        return chroma
    held, wanted = _held(gray[..., 0], marks)
    share, color = _solution(_smooth(gray), held, wanted)
    part = np.clip((share - OUTSIDE) / (INSIDE - OUTSIDE), 0, 1)
    part = (part * part * (3 - 2 * part)).reshape(*gray.shape[:2], 1)
    return (chroma + part * (color.reshape(chroma.shape) - chroma)).astype(np.float32)


def _held(gray: np.ndarray, marks: list[Mark]) -> tuple[np.ndarray, np.ndarray]:
    """Finds the pixels that marks hold. -> [n] bool, and [n, 2] the chroma they are to have."""
    height, width = gray.shape
    held = np.zeros((height, width), bool)
    wanted = np.zeros((height, width, 2))
    for y, x, chroma in marks:
        rows = slice(max(0, y - TIP), y + TIP + 1)
        columns = slice(max(0, x - TIP), x + TIP + 1)
        like = np.abs(gray[rows, columns] - gray[y, x]) < TIP_CONTRAST
        held[rows, columns] |= like
        wanted[rows, columns][like] = chroma
    return held.ravel(), wanted.reshape(-1, 2)


def _smooth(gray: np.ndarray) -> np.ndarray:
    """Smooths the texture of [h, w, 1] and keeps its edges. -> [h, w] float64."""
    slope = guided_filter.self_slope(gray, RADIUS, EPSILON)
    return (slope[..., 0] * gray[..., 0] + slope[..., 1]).astype(np.float64)


def _solution(
    gray: np.ndarray, held: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solves the least squares. -> [n] the share of all marks, [n, 2] the mean of their chroma."""
    import scipy.sparse
    import scipy.sparse.linalg

    hold = HOLD * held
    matrix = _laplacian(gray) + scipy.sparse.diags_array(PRIOR + hold)
    # Symmetric and positive definite: no pivots, which keeps the factors sparse.
    factors = scipy.sparse.linalg.splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    sides = np.column_stack([hold, hold[:, None] * wanted])
    solved = factors.solve(sides)
    share = solved[:, 0]
    return share, solved[:, 1:] / np.maximum(share, 1e-12)[:, None]


def _laplacian(gray: np.ndarray) -> object:
    """Builds the sparse matrix of the sum over neighbors: [n, n], of the weights of like gray."""
    import scipy.sparse

    first, second, weights = _pairs(gray)
    count = gray.size
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    both = np.concatenate([weights, weights])
    links = scipy.sparse.coo_array((both, (rows, columns)), shape=(count, count)).tocsr()
    return scipy.sparse.diags_array(links.sum(axis=1)) - links


def _pairs(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns all pairs of neighbors of [h, w]: indexes of the two, and their weight."""
    height, width = gray.shape
    places = np.arange(gray.size).reshape(height, width)
    firsts, seconds = [], []
    for down, right in _NEIGHBORS:
        firsts.append(places[: height - down, max(0, -right) : width - max(0, right)].ravel())
        seconds.append(places[down:, max(0, right) : width + min(0, right)].ravel())
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    flat = gray.ravel()
    step = (flat[first] - flat[second]) / SIGMA
    return first, second, np.exp(-0.5 * step * step) + LEAK
