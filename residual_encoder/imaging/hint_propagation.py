"""Spreads colors of single places over the regions around them: colorization by optimization.

Levin, Lischinski and Weiss, "Colorization using Optimization", SIGGRAPH 2004: neighbors of like
gray have like chroma, which makes a sparse least-squares problem. Here the chroma that is there
must be alike, too: a network often tells things of the same gray apart, even if it colors both
wrong. Every pixel is also drawn toward the chroma that it has already, the more the farther its
gray is from that of every hint, as in Grady, "Multilabel Random Walker Image Segmentation Using
Prior Models", CVPR 2005; and hints hold a few pixels fast. With weights w of like gray and
deviations d from the chroma that is there, the sum of w (d_i - d_j)^2 over neighbors and of p_i
d_i^2 over pixels is least. The solution is linear in the hints; that of ones in the place of a
color is its share in every pixel, which falls steeply at edges of the gray. The sum of all shares
is stretched between `OUTSIDE` and `INSIDE`: regions take the whole color, and beyond them nothing
changes. Where several colors reach a pixel, they are mixed by powers of their shares, so that a
small thing does not tint what surrounds it.
A hint without a color has a share as others, in which the chroma that is there stays.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from residual_encoder.imaging import guided_filter, resizing

# Chosen by measurement on rendered scenes and photographs with a short side of `SIDE`; see
# docs/brush.md.
SIDE = 240  # pixels: finer than what most networks see, where edges are lost
SIGMA = 0.007  # of gray in [0, 1]: neighbors that differ by more hardly share their color
SIGMA_CHROMA = 0.7 / 256  # of chroma in [0, 1], 0.7 of ab: the same for the chroma that is there
BLIND = 0.1  # share of a link's weight that does not depend on that chroma
LEAK = 1e-5  # weight of neighbors across any edge
PRIOR = 2.5e-5  # weight of the chroma that is there, where the gray is that of a hint
LIKE = 0.2  # of gray: so far from every hint, that weight is twice as large
HOLD = 10.0  # weight of a hint
OUTSIDE, INSIDE = 0.1, 0.2  # shares of hints below and above which a pixel has none or all of them
# Texture is smoothed first, by a median and then a guided filter of the gray by itself.
MEDIAN = 3  # pixels a side
RADIUS, EPSILON = 2, 0.004
TIP = 4  # pixels around a hint that it holds as well, where they are as gray and no other's
TIP_CONTRAST = 0.08  # of gray
CONTEST = 2  # that power
TOGETHER = 32  # colors that are solved for at a time, which bounds the memory
_KEPT = np.full(2, np.inf)  # no color: the chroma that is there stays
_NEIGHBORS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns on: half of the eight


class Mark(NamedTuple):
    """A chroma that one pixel is to have."""

    y: int
    x: int
    chroma: np.ndarray | None  # [2] float32; None keeps the chroma that is there


class Paint(NamedTuple):
    """What marks lay over the chroma that is there: `on` gives the result."""

    cover: np.ndarray  # [h, w, 1] float32: the share of the chroma that they replace
    color: np.ndarray  # [h, w, 2] float32: what they put in its place, times `cover`

    def on(self, chroma: np.ndarray) -> np.ndarray:
        """Returns painted chroma, [h, w, 2] float32; to the bit as it was where nothing covers."""
        return (1 - self.cover) * chroma + self.color

    def resized(self, height: int, width: int) -> Paint:
        """Returns it at another size."""
        both = np.concatenate(self, axis=-1)
        small = resizing.resized(both, height, width)
        return Paint(small[..., :1], small[..., 1:])


def propagate(gray: np.ndarray, chroma: np.ndarray, marks: list[Mark]) -> Paint:
    """Gives marked pixels, and the regions of like gray around them, another chroma.

    Args:
      gray: [h, w, 1] float32 in [0, 1].
      chroma: [h, w, 2] float32; differences in it must be differences of color, as in ab.
      marks: At least one, what the pixels are to have; later ones replace earlier ones at the same
        pixel.
    """
    smooth = _smooth(gray)
    owner, colors = _held(gray[..., 0], marks)
    share, color, kept = _solution(smooth, _prior(smooth, marks), owner, colors, chroma)
    part = np.clip((share - OUTSIDE) / (INSIDE - OUTSIDE), 0, 1)
    part = part * part * (3 - 2 * part)
    cover, color = part * (1 - kept), part[:, None] * color
    shape = gray.shape[:2]
    return Paint(
        cover.reshape(*shape, 1).astype(np.float32), color.reshape(*shape, 2).astype(np.float32)
    )


def _held(gray: np.ndarray, marks: list[Mark]) -> tuple[np.ndarray, np.ndarray]:
    """Finds the pixels that marks hold. -> [n] the color that each is to have, or -1; [k, 2].

    The color of marks that keep what is there is `_KEPT`.
    """
    wanted = [_KEPT if mark.chroma is None else mark.chroma for mark in marks]
    colors, which = np.unique(wanted, axis=0, return_inverse=True)
    owner = np.full(gray.shape, -1)
    for reach in range(TIP, -1, -1):  # from far to near: each pixel is the nearest mark's
        for (y, x, _), color in zip(marks, which, strict=True):
            rows = slice(max(0, y - reach), y + reach + 1)
            columns = slice(max(0, x - reach), x + reach + 1)
            like = np.abs(gray[rows, columns] - gray[y, x]) < TIP_CONTRAST
            owner[rows, columns][like] = color
    return owner.ravel(), colors.astype(np.float64)


def _smooth(gray: np.ndarray) -> np.ndarray:
    """Smooths the texture of [h, w, 1] and keeps its edges. -> [h, w] float64."""
    flat = cv2.medianBlur(np.ascontiguousarray(gray[..., 0], np.float32), MEDIAN)[..., None]
    slope = guided_filter.self_slope(flat, RADIUS, EPSILON)
    return (slope[..., 0] * flat[..., 0] + slope[..., 1]).astype(np.float64)


def _prior(gray: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Weighs the chroma that is there: [h, w] smoothed gray -> [n], least at the grays of marks."""
    flat = gray.ravel()
    apart = np.full(flat.size, np.inf)
    for level in {gray[mark.y, mark.x] for mark in marks}:
        np.minimum(apart, np.abs(flat - level), out=apart)
    return PRIOR * (1 + (apart / LIKE) ** 2)


def _solution(
    gray: np.ndarray, prior: np.ndarray, owner: np.ndarray, colors: np.ndarray, chroma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solves the least squares for each color, [k, 2], of which some may be `_KEPT`.

    Returns:
      [n] the share of all; [n, 2] the mean color, in which `_KEPT` is zero; [n] its part of that.
    """
    import scipy.sparse
    import scipy.sparse.linalg

    matrix = _laplacian(gray, chroma.reshape(-1, 2)) + scipy.sparse.diags_array(
        prior + HOLD * (owner >= 0)
    )
    # Symmetric and positive definite: no pivots, which keeps the factors sparse.
    factors = scipy.sparse.linalg.splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    kept = np.isinf(colors[:, 0])
    share, color, keeping = np.zeros(owner.size), np.zeros((2, owner.size)), np.zeros(owner.size)
    weight = np.full(owner.size, 1e-300)  # not 0, by which is divided
    for first in range(0, len(colors), TOGETHER):
        some = np.arange(first, min(first + TOGETHER, len(colors)))
        shares = np.maximum(factors.solve(HOLD * (owner[:, None] == some)), 0)
        share += shares.sum(axis=1)
        powers = shares**CONTEST
        weight += powers.sum(axis=1)
        color += resizing.product(np.where(kept[some], 0, colors[some].T), powers.T)
        keeping += powers @ kept[some]
    return share, (color / weight).T, keeping / weight


def _laplacian(gray: np.ndarray, chroma: np.ndarray) -> object:
    """Builds the sparse matrix of the sum over neighbors, [n, n]; chroma is [n, 2]."""
    import scipy.sparse

    first, second, weights = _pairs(gray, chroma)
    count = gray.size
    rows, columns = np.concatenate([first, second]), np.concatenate([second, first])
    both = np.concatenate([weights, weights])
    links = scipy.sparse.coo_array((both, (rows, columns)), shape=(count, count)).tocsr()
    return scipy.sparse.diags_array(links.sum(axis=1)) - links


def _pairs(gray: np.ndarray, chroma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns all pairs of neighbors of [h, w]: indexes of the two, and their weight.

    It is largest where both gray and chroma, [n, 2], are alike.
    """
    height, width = gray.shape
    places = np.arange(gray.size).reshape(height, width)
    firsts, seconds = [], []
    for down, right in _NEIGHBORS:
        firsts.append(places[: height - down, max(0, -right) : width - max(0, right)].ravel())
        seconds.append(places[down:, max(0, right) : width + min(0, right)].ravel())
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    flat = gray.ravel()
    step = (flat[first] - flat[second]) / SIGMA
    steps = (chroma[first] - chroma[second]) / SIGMA_CHROMA
    alike = BLIND + (1 - BLIND) * np.exp(-0.5 * (steps * steps).sum(axis=-1))
    return first, second, np.exp(-0.5 * step * step) * alike + LEAK
