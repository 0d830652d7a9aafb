"""Color as one of a few hundred classes, as in Zhang, Isola and Efros 2016, on tensors.

"Colorful Image Colorization", ECCV 2016; the sections named below are of this paper. The classes
are the cells of a grid over the ab plane of Lab that sRGB reaches. The paper has 313, some of which
lie beyond sRGB; here they are those of the file with the prior, the same on every machine.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import colorspace
from residual_encoder.imaging.ab_classes import classes
from residual_encoder.imaging.color_constants import AB_SCALE
from residual_encoder.utils.typing import Tensor

BIN = 10  # section 2.1: the ab plane in cells of 10 x 10
HALF_GRID = 11  # cells -110..110 on either axis
STRIDE = 4  # section 2 and figure 2: classes at a quarter of the picture's side
NEIGHBORS = 5  # section 2.1: the truth is spread over its 5 nearest classes
SIGMA = 5.0  # section 2.1: by a Gaussian of their distance
# Section 2.2: 1 - lambda, where lambda is the share of the uniform distribution in the prior.
REBALANCING = 0.5


# --- the grid -------------------------------------------------------------------------------------


def ab_cell(ab: Tensor) -> Tensor:
    """Returns the index of the cell in the whole 23 x 23 grid. [..., 2] ab -> [...] int32."""
    cell = tf.clip_by_value(tf.cast(tf.round(ab / BIN), tf.int32), -HALF_GRID, HALF_GRID)
    return (cell[..., 0] + HALF_GRID) * (2 * HALF_GRID + 1) + cell[..., 1] + HALF_GRID


def centers(cells: np.ndarray) -> np.ndarray:
    """Returns the a and b in the middle of cells of the whole grid. [n] int -> [n, 2] float64."""
    steps = np.stack(np.divmod(cells, 2 * HALF_GRID + 1), axis=-1) - HALF_GRID
    return BIN * steps.astype(np.float64)


@functools.cache
def gamut_cells() -> np.ndarray:
    """Returns the cells of the grid that some sRGB color reaches, [n] int, ascending.

    The faces of the RGB cube have the same projection on the ab plane as the whole cube.
    """
    level = np.arange(256, dtype=np.uint8)
    face = np.stack(np.meshgrid(level, level), axis=-1).reshape(-1, 2)
    faces = [np.insert(face, axis, end, axis=1) for axis in range(3) for end in (0, 255)]
    lab = colorspace.rgb_to_lab(np.concatenate(faces).astype(np.float32) / 255)
    return np.unique(ab_cell(lab[..., 1:]))


# --- weights of the classes -----------------------------------------------------------------------


def class_weights(prior: np.ndarray, rebalancing: float = REBALANCING) -> np.ndarray:
    """Computes ((1 - mix) p + mix / Q)^-1 of the paper's equation 4, scaled to mean 1 under p.

    Args:
      prior: [Q] shares p of sum 1.
      rebalancing: 1 - mix. With 1 every color has the same weight in all, with 0 every pixel.

    Returns:
      [Q] float64, the weight of a pixel whose true color is nearest to each class.
    """
    weights = 1 / (rebalancing * prior + (1 - rebalancing) / len(prior))
    return weights / (prior @ weights)


# --- targets, loss and the color of a distribution ------------------------------------------------


def pooled_ab(chroma: Tensor) -> Tensor:
    """Averages chroma of Lab down to the classes' size, and returns it as ab.

    The paper takes every fourth pixel; the mean is less noisy.

    Args:
      chroma: [B, H, W, 2] float32 in [0, 1], H and W multiples of `STRIDE`.

    Returns:
      [B, H / 4, W / 4, 2] float32 in Lab units.
    """
    return (tf.nn.avg_pool2d(chroma, STRIDE, STRIDE, "VALID") - 0.5) * AB_SCALE


def soft_encoding(ab: Tensor) -> tuple[Tensor, Tensor]:
    """Spreads colors over their nearest classes.

    Args:
      ab: [..., 2] float32 in Lab units.

    Returns:
      The classes [..., 5] int32, nearest first, and their shares [..., 5] float32 of sum 1.
    """
    a, b = classes().ab.T
    square = (ab[..., :1] - a) ** 2 + (ab[..., 1:] - b) ** 2  # [..., Q]
    nearest, index = tf.math.top_k(-square, NEIGHBORS)
    return index, tf.nn.softmax(nearest / (2 * SIGMA**2))


def cross_entropy(ab: Tensor, logits: Tensor, rebalancing: float = REBALANCING) -> Tensor:
    """Computes the rebalanced cross-entropy of the paper's equation 2, as the mean over pixels.

    Args:
      ab: [B, h, w, 2] float32 in Lab units.
      logits: [B, h, w, Q].
      rebalancing: As of `class_weights`.

    Returns:
      A float32 scalar, in nats.
    """
    index, shares = soft_encoding(ab)
    logits = tf.cast(logits, tf.float32)
    picked = tf.gather(logits, index, batch_dims=3)  # [B, h, w, 5]
    # The shares sum to 1, so log-softmax is not needed for all classes.
    entropy = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_sum(shares * picked, axis=-1)
    if not rebalancing:
        return tf.reduce_mean(entropy)
    weights = class_weights(classes().prior, rebalancing).astype(np.float32)
    return tf.reduce_mean(tf.gather(weights, index[..., 0]) * entropy)


def annealed_mean(
    logits: Tensor, temperature: float | Tensor, prior_correction: float | Tensor = 0.0
) -> Tensor:
    """Returns the mean color under the sharpened distribution: the paper's equation 5.

    Args:
      logits: [..., Q] float32.
      temperature: 1 gives the mean; towards 0 it becomes the mode.
      prior_correction: This multiple of each class's log prior is taken off its logit first; above
        0, rare colors gain weight. Chosen here; 1 would be the distribution over equally frequent
        classes.

    Returns:
      [..., 2] float32 in Lab units.
    """
    if tf.is_tensor(prior_correction) or prior_correction:
        logits -= prior_correction * tf.constant(np.log(classes().prior), tf.float32)
    return tf.linalg.matmul(tf.nn.softmax(logits / temperature), tf.constant(classes().ab))
