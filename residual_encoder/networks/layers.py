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
        for axis in (1, 2):
            before, after = _neighbors(x, axis)
            x = _interleave(*self.between(before, x, after), axis)
        return x

    def between(self, before: Tensor, x: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """The even and the odd outputs, from the inputs and their neighbors along one axis."""
        return x, (x + after) / 2

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the height and width, where they are known."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels


@keras.saving.register_keras_serializable("residual_encoder")
class HalfPixelUpsample2(Upsample2):
    """x2 bilinear upsampling as TensorFlow 2 and Keras do it: half-pixel centers, not shifted.

    Equal to `tf.image.resize`: out[2i] = (x[i - 1] + 3 x[i]) / 4, out[2i + 1] = (3 x[i] +
    x[i + 1]) / 4, the first and the last one repeated.
    """

    def between(self, before: Tensor, x: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """The even and the odd outputs, from the inputs and their neighbors along one axis."""
        return (before + 3 * x) / 4, (3 * x + after) / 4


@keras.saving.register_keras_serializable("residual_encoder")
class Dropout(keras.layers.Layer):
    """Keras's dropout; its random state is called after the layer.

    Keras numbers the states through the process, so that a checkpoint of the second network that a
    process builds would not fit the first of another.
    """

    def __init__(self, rate: float, **settings: Any) -> None:
        """Takes the share that training drops, from 0 to below 1, and a layer's settings."""
        super().__init__(**settings)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(name=self.name)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Any shape; what is left is scaled up, so that the mean stays."""
        return keras.random.dropout(x, self.rate, seed=self.seed_generator) if training else x

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the layer again."""
        return {**super().get_config(), "rate": self.rate}


UPSAMPLINGS = {"legacy": Upsample2, "half_pixel": HalfPixelUpsample2}


def _neighbors(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Before and after each element along an axis, 1 or 2; the ends are their own neighbors."""
    if axis == 1:
        return tf.concat([x[:, :1], x[:, :-1]], 1), tf.concat([x[:, 1:], x[:, -1:]], 1)
    return tf.concat([x[:, :, :1], x[:, :, :-1]], 2), tf.concat([x[:, :, 1:], x[:, :, -1:]], 2)


def _interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Two tensors of one shape, alternating along an axis."""
    sizes = [size or tf.shape(even)[i] for i, size in enumerate(even.shape)]
    sizes[axis] = 2 * sizes[axis]
    return tf.reshape(tf.stack([even, odd], axis=axis + 1), sizes)


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
