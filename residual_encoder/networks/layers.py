"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

# Initial weights of the author's script: truncated normal, sigma 0.01.
INITIAL_SIGMA = 0.01


@keras.saving.register_keras_serializable("residual_encoder")
class Upsample2(keras.layers.Layer):
    """x2 bilinear upsampling as TensorFlow did it in 2016: anchored at the top left.

    Equal to `tf.compat.v1.image.resize_bilinear` without aligned corners or half-pixel centers:
    out[2i] = x[i], out[2i + 1] = (x[i] + x[i + 1]) / 2, the last one repeated. Two slices and an
    average an axis, so height and width may be unknown.
    """

    def call(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, 2H, 2W, C]."""
        batch, height, width, channels = _sizes(x)
        below = tf.concat([x[:, 1:], x[:, -1:]], axis=1)
        x = tf.stack([x, (x + below) / 2], axis=2)  # [B, H, 2, W, C]
        x = tf.reshape(x, [batch, 2 * height, width, channels])
        right = tf.concat([x[:, :, 1:], x[:, :, -1:]], axis=2)
        x = tf.stack([x, (x + right) / 2], axis=3)  # [B, 2H, W, 2, C]
        return tf.reshape(x, [batch, 2 * height, 2 * width, channels])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the height and width, where they are known."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels


def _sizes(x: Tensor) -> list[Any]:
    """The sizes of a tensor: numbers where they are known, scalars in the graph elsewhere."""
    return [size or tf.shape(x)[axis] for axis, size in enumerate(x.shape)]


def convolution(filters: int, size: int, name: str, use_bias: bool = False) -> keras.layers.Conv2D:
    """A SAME convolution without bias, as everywhere in the 2016 decoder: batch norm stands in."""
    return keras.layers.Conv2D(
        filters,
        size,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=INITIAL_SIGMA),
        name=name,
    )


def batch_norm(name: str) -> keras.layers.BatchNormalization:
    """Batch norm of the script: epsilon 1e-3, moving average 0.99, gamma and beta trained.

    Several replicas share their moments, so that the batch is what counts and not its share.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return keras.layers.BatchNormalization(
        momentum=0.99, epsilon=1e-3, synchronized=replicas > 1, name=name
    )
