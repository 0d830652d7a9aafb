"""Color as one of a few hundred classes, as Zhang, Isola and Efros 2016 have it.

"Colorful Image Colorization", ECCV 2016; the sections named below are its. The classes are the
cells of the ab grid that sRGB reaches. The paper says 313, some of which lie beyond sRGB; here they
are those of the file with the prior, so that every machine has the same.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import ab_grid
from residual_encoder.imaging.colorspace import AB_SCALE
from residual_encoder.utils.typing import Tensor

STRIDE = 4  # section 2 and figure 2: classes at a quarter of the picture's side
NEIGHBORS = 5  # section 2.1: the truth is spread over its 5 nearest classes
SIGMA = 5.0  # section 2.1: by a Gaussian of their distance
# Section 2.2: 1 - lambda, where lambda is the share of the uniform distribution in the prior.
REBALANCING = 0.5
TEMPERATURE = 0.38  # section 2.3

# One line a class: a, b, and how many pixels of how many photographs fell into it.
PRIOR = Path(__file__).with_name("ab_prior.txt")


class Classes(NamedTuple):
    """What the classes are.

    Attributes:
      ab: [Q, 2] float32, the middle of each.
      prior: [Q] float64 of sum 1, how often each is the true color, smoothed.
    """

    ab: np.ndarray
    prior: np.ndarray


@functools.cache
def classes() -> Classes:
    """Reads the classes and the measured prior."""
    rows = np.loadtxt(PRIOR, dtype=np.int64)
    ab = rows[:, :2]
    return Classes(ab.astype(np.float32), ab_grid.smoothed_prior(ab.astype(np.float64), rows[:, 2]))


def class_weights(prior: np.ndarray, rebalancing: float = REBALANCING) -> np.ndarray:
    """Computes ((1 - mix) p + mix / Q)^-1 of the paper's equation 4, scaled to mean 1 under p.

    Args:
      prior: [Q] shares p of sum 1.
      rebalancing: 1 - mix. 1 counts every color alike, 0 every pixel alike.

    Returns:
      [Q] float64, the weight of a pixel whose true color is nearest to each class.
    """
    weights = 1 / (rebalancing * prior + (1 - rebalancing) / len(prior))
    return weights / (prior @ weights)


def pooled_ab(chroma: Tensor) -> Tensor:
    """Chroma of Lab, averaged down to the classes' size, as ab.

    The paper takes every fourth pixel; the mean is the color of the place and not of a point.

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
    # The shares sum to 1, so log-softmax need not be made for all classes.
    entropy = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_sum(shares * picked, axis=-1)
    if not rebalancing:
        return tf.reduce_mean(entropy)
    weights = class_weights(classes().prior, rebalancing).astype(np.float32)
    return tf.reduce_mean(tf.gather(weights, index[..., 0]) * entropy)


def annealed_mean(logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """The mean color under the distribution, sharpened: the paper's equation 5.

    Args:
      logits: [..., Q] float32.
      temperature: 1 gives the mean; towards 0 it becomes the mode.

    Returns:
      [..., 2] float32 in Lab units.
    """
    return tf.linalg.matmul(tf.nn.softmax(logits / temperature), tf.constant(classes().ab))
