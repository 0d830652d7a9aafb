"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from residual_encoder import devices

Tensor = Any

# Initial weights of the author's script: truncated normal, sigma 0.01.
INITIAL_SIGMA = 0.01
# Channels from which on the fused batch norm pays on a CPU: what a vector of AVX-512 holds.
NARROW = 16


@keras.saving.register_keras_serializable("residual_encoder")
class Upsample2(keras.layers.Layer):
    """x2 bilinear upsampling as TensorFlow did it in 2016: anchored at the top left.

    Equal to `tf.compat.v1.image.resize_bilinear` without aligned corners or half-pixel centers:
    out[2i] = x[i], out[2i + 1] = (x[i] + x[i + 1]) / 2, the last one repeated. Two slices and an
    average an axis, so height and width may be unknown.
    """

    def __init__(self, by_convolution: bool = False, **settings: Any) -> None:
        """Takes whether training on a CPU runs `doubled`, and a layer's settings.

        The gradient of slices is slow there. Products grow with the square of the channels, so this
        pays up to 256 of them.
        """
        super().__init__(**settings)
        self.by_convolution = by_convolution

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """[B, H, W, C] -> [B, 2H, 2W, C]."""
        if self.by_convolution and training and not devices.gpus():
            return doubled(x, self.shares(), np.ones(x.shape[-1]))
        for axis in (1, 2):
            before, after = _neighbors(x, axis)
            x = _interleave(*self.between(before, x, after), axis)
        return x

    def between(self, before: Tensor, x: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """The even and the odd outputs, from the inputs and their neighbors along one axis."""
        return x, (x + after) / 2

    def shares(self) -> np.ndarray:
        """What the even and the odd outputs take of before, x and after: [2, 3]."""
        return np.stack(self.between(*np.eye(3)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the height and width, where they are known."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the layer again."""
        return {**super().get_config(), "by_convolution": self.by_convolution}


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


def doubled(
    x: Tensor, shares: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None
) -> Tensor:
    """x2 bilinear upsampling as two convolutions: scale * upsampled + offset.

    One makes the even rows and one the odd ones, each both columns of a pixel. A processor has more
    products to spare than passes over memory, all the more in bfloat16.

    Args:
      x: [B, H, W, C], float32 or bfloat16.
      shares: What `Upsample2.shares` gives: [2, 3].
      scale: [C].
      offset: [C]; None adds nothing.

    Returns:
      [B, 2H, 2W, C], as `x`.
    """
    columns, sides = _used(shares)
    batch, height, width, _ = tf.unstack(tf.shape(x))
    channels, rows = len(scale), []
    for share in shares:
        row, ends = _used(share[None])
        kernel = np.einsum("h,pw,ck->hwcpk", row[0], columns, np.diag(scale))
        kernel = tf.constant(kernel.reshape(*kernel.shape[:3], 2 * channels), x.dtype)
        padded = tf.pad(x, [[0, 0], ends, sides, [0, 0]], "SYMMETRIC")
        y = tf.nn.conv2d(padded, kernel, 1, "VALID")  # [B, H, W, 2C]
        if offset is not None:
            y = tf.nn.bias_add(y, tf.constant(np.tile(offset, 2), x.dtype))
        rows.append(tf.reshape(y, [batch, height, 2 * width, channels]))
    return tf.reshape(tf.stack(rows, 2), [batch, 2 * height, 2 * width, channels])


def _used(shares: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Shares [n, 3] without the neighbors that none takes; how many are left before and after."""
    used = np.abs(shares).max(axis=0) > 0
    return shares[:, used], [int(used[0]), int(used[2])]


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


@keras.saving.register_keras_serializable("residual_encoder")
class BatchNorm(keras.layers.BatchNormalization):
    """Keras's batch norm, faster while it trains on one device.

    Keras converts bfloat16 to float32 and passes over the batch once for every step of the formula.
    TensorFlow's fused operation reads and writes the batch in its own precision and sums in
    float32. On a CPU it is slow where channels are few; those are worked on by rows of pixels.
    """

    def call(self, x: Tensor, training: bool = False, mask: Tensor = None) -> Tensor:
        """[B, H, W, C] -> the same shape. Masks are not known here."""
        if not (training and self.trainable) or self.synchronized or mask is not None:
            return super().call(x, training=training, mask=mask)
        y, mean, variance = self._by_rows(x) if x.shape[-1] < NARROW else self._fused(x)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return y

    def _fused(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        return y, mean, variance * (count - 1) / count  # Keras's is of the batch, unlike this

    def _by_rows(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        width, channels = tf.shape(x)[2], x.shape[-1]
        rows = tf.reshape(tf.cast(x, tf.float32), [-1, width * channels])  # [B H, W C]

        def mean_of(values: Tensor) -> Tensor:
            return tf.reduce_mean(tf.reshape(tf.reduce_mean(values, 0), [width, channels]), 0)

        def along(values: Tensor) -> Tensor:
            return tf.tile(values, [width])  # [W C]

        mean = mean_of(rows)
        centered = rows - along(mean)
        variance = mean_of(tf.square(centered))
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        y = centered * along(scale) + along(tf.convert_to_tensor(self.beta))
        return tf.cast(tf.reshape(y, tf.shape(x)), x.dtype), mean, variance


def batch_norm(name: str) -> BatchNorm:
    """Batch norm of the script: epsilon 1e-3, moving average 0.99, gamma and beta trained.

    Several replicas share their moments, so that the batch is what counts and not its share.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return BatchNorm(momentum=0.99, epsilon=1e-3, synchronized=replicas > 1, name=name)
