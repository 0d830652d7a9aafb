"""Losses by name: pure functions of the truth and of the predicted chroma, or its logits.

Each takes a `Truth` and chroma [B, H, W, 2] float32 in [0, 1] and returns the mean over the batch,
a float32 scalar. "Squared distance" is the mean over pixels and channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import ab_quantization, colorspace
from residual_encoder.imaging.colorspace import Truth
from residual_encoder.utils.typing import Tensor

# The author's script blurs with exp(-4 ln 2 r^2 / fwhm^2) and fwhm 3 for both sizes: sigma 1.27398.
FWHM = 3.0
# The article: "a 3 pixel gaussian kernel" and "a 5 pixel gaussian kernel".
BLUR_SIZES = (3, 5)
# Half an 8-bit step, below which a distance counts as squared, so that its slope is smooth.
TINY = 0.5 / 255


def gaussian(size: int) -> np.ndarray:
    """Returns one axis of the author's Gaussian, not normalized. [size]."""
    r = np.arange(size) - size // 2
    return np.exp(-4 * math.log(2) * r**2 / FWHM**2)


def _filter(x: Tensor, weights: np.ndarray, axis: int) -> Tensor:
    """Adds up weighted, shifted slices along an axis that was padded by len(weights) - 1."""
    length = tf.shape(x)[axis] - (len(weights) - 1)
    slices = []
    for offset, weight in enumerate(weights):
        begin = [offset if i == axis else 0 for i in range(4)]
        size = [length if i == axis else -1 for i in range(4)]
        slices.append(float(weight) * tf.slice(x, begin, size))
    return tf.add_n(slices)


def _blur(x: Tensor, weights: np.ndarray, mode: str) -> Tensor:
    half = len(weights) // 2
    x = tf.pad(x, [[0, 0], [half, half], [half, half], [0, 0]], mode=mode)
    return _filter(_filter(x, weights, 1), weights, 2)


def blur(x: Tensor, size: int) -> Tensor:
    """Blurs each channel by a normalized Gaussian; borders are mirrored, so a constant stays.

    Args:
      x: [B, H, W, C] float32, H and W at least size // 2.
      size: Pixels, 3 or 5.
    """
    weights = gaussian(size)
    return _blur(x, weights / weights.sum(), "SYMMETRIC")


def script_blur(x: Tensor, size: int) -> Tensor:
    """Blurs as the script does: kernel not normalized (sums 6.0996 and 9.3208), zero padding."""
    return _blur(x, gaussian(size), "CONSTANT")


def euclidean(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the mean squared distance in chroma: the article's starting point, without blur."""
    return tf.reduce_mean(tf.square(chroma - truth.chroma))


def blurred_euclidean(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the article's loss: the average of three squared distances in chroma.

    Between the pictures, between them blurred by a 3-pixel and by a 5-pixel Gaussian. The blur is
    linear, so the difference is blurred once instead of both pictures.
    """
    difference = chroma - truth.chroma
    terms = [difference, *(blur(difference, size) for size in BLUR_SIZES)]
    return tf.add_n([tf.reduce_mean(tf.square(term)) for term in terms]) / len(terms)


def blurred_distance(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes `blurred_euclidean` of distances that are not squared: the article to the letter.

    The best answer is then a median instead of a mean: less brown where any color may be. The
    lengths are those of the two chroma channels together, [B, H, W].
    """
    difference = chroma - truth.chroma
    terms = [difference, *(blur(difference, size) for size in BLUR_SIZES)]
    lengths = [tf.sqrt(tf.reduce_sum(tf.square(term), -1) + TINY**2) - TINY for term in terms]
    return tf.add_n([tf.reduce_mean(length) for length in lengths]) / len(terms)


def rgb_euclidean(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the mean squared distance in RGB after merging in YUV: where the article began."""
    rgb = colorspace.YUV.merge(truth.gray, chroma)
    return tf.reduce_mean(tf.square(rgb - truth.rgb))


def tinyclouds_code(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the loss of the author's script, term by term, on YUV recipes.

    Mean absolute distance in UV; for the second and third term the RGB pictures (the prediction
    clipped to [0, 1]) are blurred with kernels that are not normalized, then converted to UV, which
    clips to [0, 1].
    """
    rgb = colorspace.YUV.merge(truth.gray, chroma)
    terms = [tf.abs(chroma - truth.chroma)]
    for size in BLUR_SIZES:
        blurred = [colorspace.YUV.chroma(script_blur(x, size)) for x in (rgb, truth.rgb)]
        terms.append(tf.abs(blurred[0] - blurred[1]))
    return tf.add_n([tf.reduce_mean(term) for term in terms]) / len(terms)


def lab_mse(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the mean squared distance in a and b, in their own units (chroma is ab / 256)."""
    return colorspace.AB_SCALE**2 * euclidean(truth, chroma)


def tanh_l1(truth: Truth, chroma: Tensor) -> Tensor:
    """Computes the mean absolute distance in chroma, in units of pix2pix's tanh: from -1 to 1."""
    return 2 * tf.reduce_mean(tf.abs(chroma - truth.chroma))


def ab_classes(
    truth: Truth, logits: Tensor, rebalancing: float = ab_quantization.REBALANCING
) -> Tensor:
    """Computes rebalanced cross-entropy over classes of ab (Zhang et al. 2016).

    For networks of classes on Lab recipes: it takes logits [B, H / 4, W / 4, Q] instead of chroma.
    """
    return ab_quantization.cross_entropy(
        ab_quantization.pooled_ab(truth.chroma), logits, rebalancing
    )


# Properties that recipes need of each are in `recipes.LOSSES`, under the same name.
LOSS_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "blurred_euclidean": blurred_euclidean,
    "blurred_distance": blurred_distance,
    "tinyclouds_code": tinyclouds_code,
    "euclidean": euclidean,
    "rgb_euclidean": rgb_euclidean,
    "lab_mse": lab_mse,
    "ab_classes": ab_classes,
    "tanh_l1": tanh_l1,
}
