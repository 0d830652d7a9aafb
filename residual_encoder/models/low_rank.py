"""Weights of a trunk whose deep convolutions are split in two, from those of the whole VGG16.

Zhang, Zou, He and Sun 2016, "Accelerating Very Deep Convolutional Networks for Classification and
Detection", section 3.1: the responses of a layer lie close to a subspace of few dimensions. Their
principal axes U, over some photographs, give the two convolutions: U' W to the subspace, U back.
"""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models import vgg16
from residual_encoder.utils.typing import Tensor


def split_weights(vgg: keras.Model, pictures: Iterable[Tensor], rank: int) -> dict[str, np.ndarray]:
    """Computes the weights of a trunk that `vgg16.build_trunk` made with `rank`.

    Args:
      vgg: A network that `vgg16.whole` made, with the weights to approximate.
      pictures: RGB batches [B, H, W, 3] float32 in [0, 1], like those that the network is for.
      rank: Dimensions to keep of each layer's responses.

    Returns:
      {"block4_conv1_basis/kernel": float32 [3, 3, C, rank], "block4_conv1/kernel": [1, 1, rank, K],
      "block4_conv1/bias": [K], ...} of blocks 4 and 5.

    Raises:
      ValueError: there is no picture.
    """
    layers = vgg16.deep_convolutions(vgg)
    moments = _moments(vgg, layers, pictures)
    weights: dict[str, np.ndarray] = {}
    for layer, (mean, covariance) in zip(layers, moments, strict=True):
        weights |= _split(layer, mean, covariance, rank)
    return weights


def _moments(
    vgg: keras.Model, layers: list[keras.layers.Conv2D], pictures: Iterable[Tensor]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Computes mean [K] and covariance [K, K] of each layer's responses before ReLU, float64."""
    inputs_of = tf.function(keras.Model(vgg.input, [layer.input for layer in layers]))
    sums = [np.zeros((1 + layer.filters, layer.filters)) for layer in layers]
    count = np.zeros(len(layers))
    for rgb in pictures:
        for k, (layer, x) in enumerate(zip(layers, inputs_of(rgb), strict=True)):
            y = tf.nn.conv2d(x, layer.kernel, 1, "SAME") + layer.bias
            y = y.numpy().reshape(-1, layer.filters).astype(np.float64)
            sums[k] += np.concatenate([y.sum(0)[None], y.T @ y])
            count[k] += len(y)
    if not count.all():
        raise ValueError(
            "Splitting VGG16 needs photographs to measure responses on; the data set has none."
        )
    means = [total[0] / n for total, n in zip(sums, count, strict=True)]
    return [
        (mean, total[1:] / n - np.outer(mean, mean))
        for mean, total, n in zip(means, sums, count, strict=True)
    ]


def _split(
    layer: keras.layers.Conv2D, mean: np.ndarray, covariance: np.ndarray, rank: int
) -> dict[str, np.ndarray]:
    """Applies the paper's equation 5: y is about U U' (W x + b - mean) + mean."""
    kernel, bias = layer.get_weights()
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :rank]  # [K, rank], largest variance first
    arrays = {
        f"{layer.name}{vgg16.BASIS}/kernel": kernel @ axes,
        f"{layer.name}/kernel": axes.T[None, None],
        f"{layer.name}/bias": axes @ (axes.T @ (bias - mean)) + mean,
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}
