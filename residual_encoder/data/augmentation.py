"""Augments training pictures after cropping, so that fewer photographs are needed.

The amounts are chosen here, not published. A small turn or stretch leaves a scene what it is; tone
curve and grain are what old photographs differ by. Both add the same to all three channels, so that
the chroma of YUV, which the network learns, stays that of the picture.
"""

from __future__ import annotations

import tensorflow as tf

from residual_encoder.imaging.augment_config import Augment
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.utils.typing import Tensor


def augmented(rgb: Tensor, augment: Augment, seed: Tensor) -> Tensor:
    """Augments a cropped picture: uint8 [S, S, 3] -> uint8 [S, S, 3].

    Args:
      rgb: The picture.
      augment: The random changes; without any, the picture stays as it is.
      seed: Two integers, which decide all of it.
    """
    if augment.flip:
        mirrored = tf.random.stateless_uniform([], seed) < 0.5
        rgb = tf.cond(mirrored, lambda: tf.reverse(rgb, [1]), lambda: rgb)
    wanted = [step for step in (warp, tone, grain) if getattr(augment, step.__name__)]
    if not wanted:
        return rgb
    seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 1), len(wanted)))
    x = tf.cast(rgb, tf.float32) / 255
    for step, own_seed in zip(wanted, seeds, strict=True):
        x = step(x, getattr(augment, step.__name__), own_seed)
    return tf.cast(tf.round(tf.clip_by_value(x, 0.0, 1.0) * 255), tf.uint8)


def warp(rgb: Tensor, amount: float, seed: Tensor) -> Tensor:
    """Turns, stretches and shears a little about the center; borders mirrored, bilinear.

    Args:
      rgb: float32 [S, S, 3].
      amount: The four numbers of the matrix differ from the identity's by at most this.
      seed: Two integers.
    """
    size = tf.shape(rgb)[0]
    matrix = tf.eye(2) + tf.random.stateless_uniform([2, 2], seed, -amount, amount)
    center = tf.cast(size - 1, tf.float32) / 2 * tf.ones([2])
    offset = center - tf.linalg.matvec(matrix, center)
    rows = tf.concat([matrix, offset[:, None]], axis=1)  # [2, 3]: output place -> input place
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=rgb[None],
        transforms=tf.concat([tf.reshape(rows, [1, 6]), tf.zeros([1, 2])], axis=1),
        output_shape=tf.stack([size, size]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )[0]


def tone(rgb: Tensor, amount: float, seed: Tensor) -> Tensor:
    """Bends luma along a random curve: a gamma, with black and white moved inward.

    Args:
      rgb: float32 [S, S, 3] in [0, 1].
      amount: The logarithm of gamma is within this, black below a quarter of it, and white less
        than that below 1.
      seed: Two integers.
    """
    luma = GRAYS["luma"](rgb)  # [S, S, 1]
    gamma, black, white = tf.unstack(tf.random.stateless_uniform([3], seed))
    gamma = tf.exp(amount * (2 * gamma - 1))
    black, white = amount / 4 * black, 1 - amount / 4 * white
    return rgb + black + (white - black) * tf.pow(luma, gamma) - luma


def grain(rgb: Tensor, amount: float, seed: Tensor) -> Tensor:
    """Adds white noise to luma, of a random standard deviation of at most `amount`."""
    strength_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    strength = tf.random.stateless_uniform([], strength_seed, 0.0, amount)
    shape = tf.concat([tf.shape(rgb)[:2], [1]], 0)
    return rgb + strength * tf.random.stateless_normal(shape, noise_seed)
