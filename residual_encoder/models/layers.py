"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.models.folded_weights import EPSILON
from residual_encoder.utils import devices
from residual_encoder.utils.typing import Tensor

# Initial weights of the author's script: truncated normal, sigma 0.01.
INITIAL_SIGMA = 0.01
# Fewest channels with which the fused batch norm is faster on a CPU: a vector of AVX-512.
NARROW = 16


@keras.saving.register_keras_serializable("residual_encoder")
class Upsample2(keras.layers.Layer):
    """x2 bilinear upsampling as TensorFlow did it in 2016: anchored at the top left.

    Equal to `tf.compat.v1.image.resize_bilinear` without aligned corners or half-pixel centers:
    out[2i] = x[i], out[2i + 1] = (x[i] + x[i + 1]) / 2, the last one repeated. It takes two
    slices and an average per axis, so height and width may be unknown.
    """

    half_pixel_centers = False

    def __init__(self, quick_gradient: bool = False, **settings: Any) -> None:
        """Makes the layer.

        Args:
          quick_gradient: Whether training on a CPU uses operations with a fast gradient; that of
            slices is slow there. It is `resized`, or in bfloat16 on a CPU with AMX, whose products
            cost less than passes over memory, `upsample_by_convolution`.
          **settings: As of any layer.
        """
        super().__init__(**settings)
        self.quick_gradient = quick_gradient

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Upsamples [B, H, W, C] to [B, 2H, 2W, C]."""
        if self.quick_gradient and training and not devices.gpus():
            if x.dtype == tf.bfloat16 and devices.has_amx():
                return upsample_by_convolution(x, self.interpolation_weights())
            return self.resized(x)
        for axis in (1, 2):
            before, after = _neighbors(x, axis)
            x = _interleave(*self.between(before, x, after), axis)
        return x

    def between(self, before: Tensor, x: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the even and the odd outputs from the inputs and their neighbors on an axis."""
        return x, (x + after) / 2

    def resized(self, x: Tensor) -> Tensor:
        """Does the same by TensorFlow's own operation, which is fast on a CPU, in float32."""
        size, centers = 2 * tf.shape(x)[1:3], self.half_pixel_centers
        y = tf.raw_ops.ResizeBilinear(images=x, size=size, half_pixel_centers=centers)
        return tf.cast(y, x.dtype)

    def interpolation_weights(self) -> np.ndarray:
        """Returns the weights of before, x and after in the even and the odd output: [2, 3]."""
        return np.stack(self.between(*np.eye(3)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns twice the height and width, where they are known."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "quick_gradient": self.quick_gradient}


@keras.saving.register_keras_serializable("residual_encoder")
class HalfPixelUpsample2(Upsample2):
    """x2 bilinear upsampling as TensorFlow 2 and Keras do it: half-pixel centers, not shifted.

    Equal to `tf.image.resize`: out[2i] = (x[i - 1] + 3 x[i]) / 4, out[2i + 1] = (3 x[i] +
    x[i + 1]) / 4, the first and the last one repeated.
    """

    half_pixel_centers = True

    def between(self, before: Tensor, x: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the even and the odd outputs from the inputs and their neighbors on an axis."""
        return (before + 3 * x) / 4, (3 * x + after) / 4


class ReplicaSeeds(keras.random.SeedGenerator):
    """Keras's seeds, but other ones on every replica: its own are the same on all of them.

    The state, which checkpoints hold, stays the same everywhere. With one replica nothing changes.
    """

    def next(self, ordered: bool = True) -> Tensor:
        """Returns a seed, two integers, and moves the state on."""
        seed = super().next(ordered)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return seed
        return seed + tf.stack([tf.cast(replica.replica_id_in_sync_group, seed.dtype), 0])


@keras.saving.register_keras_serializable("residual_encoder")
class Dropout(keras.layers.Layer):
    """Keras's dropout with its random state named after the layer, and drawn on every replica.

    Keras numbers the states of a process, so that a checkpoint of the second network that a process
    builds would not fit the first network of another. And on several replicas it drops the same of
    each one's pictures.
    """

    def __init__(self, rate: float, channels: bool = False, **settings: Any) -> None:
        """Takes the share that training drops.

        Args:
          rate: At least 0 and below 1.
          channels: Whether whole channels of [B, H, W, C] are dropped (Tompson et al. 2015, whose
            spatial dropout this is), instead of single values.
          **settings: As of any layer.
        """
        super().__init__(**settings)
        self.rate, self.channels = rate, channels
        self.seed_generator = ReplicaSeeds(name=self.name)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Drops some of [B, H, W, C], and scales up the others so that the mean stays."""
        if not training:
            return x
        alike = (None, 1, 1, None) if self.channels else None
        return keras.random.dropout(x, self.rate, noise_shape=alike, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "rate": self.rate, "channels": self.channels}


DECODER_UPSAMPLINGS = {"legacy": Upsample2, "half_pixel": HalfPixelUpsample2}


def _neighbors(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Returns the elements before and after each on an axis, 1 or 2; the ends are repeated."""
    if axis == 1:
        return tf.concat([x[:, :1], x[:, :-1]], 1), tf.concat([x[:, 1:], x[:, -1:]], 1)
    return tf.concat([x[:, :, :1], x[:, :, :-1]], 2), tf.concat([x[:, :, 1:], x[:, :, -1:]], 2)


def _interleave(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Interleaves two tensors of one shape along an axis."""
    sizes = [size or tf.shape(even)[i] for i, size in enumerate(even.shape)]
    sizes[axis] = 2 * sizes[axis]
    return tf.reshape(tf.stack([even, odd], axis=axis + 1), sizes)


def upsample_by_convolution(x: Tensor, weights: np.ndarray) -> Tensor:
    """Upsamples by two, bilinearly, with two convolutions, whose gradient is two convolutions too.

    One makes the even rows and one the odd rows, each both columns of a pixel. The products grow
    with the square of the channels. docs/experiments.md, "Speed on a CPU", has where it is faster.

    Args:
      x: [B, H, W, C], float32 or bfloat16.
      weights: Of the upsampling, [2, 3], as of `Upsample2.interpolation_weights`.

    Returns:
      [B, 2H, 2W, C], as `x`.
    """
    columns, sides = _used(weights)
    batch, height, width, _ = tf.unstack(tf.shape(x))
    channels, rows = x.shape[-1], []
    for row_weights in weights:
        row, ends = _used(row_weights[None])
        kernel = np.einsum("h,pw,ck->hwcpk", row[0], columns, np.eye(channels))
        kernel = tf.constant(kernel.reshape(*kernel.shape[:3], 2 * channels), x.dtype)
        padded = tf.pad(x, [[0, 0], ends, sides, [0, 0]], "SYMMETRIC")
        y = tf.nn.conv2d(padded, kernel, 1, "VALID")  # [B, H, W, 2C]
        rows.append(tf.reshape(y, [batch, height, 2 * width, channels]))
    return tf.reshape(tf.stack(rows, 2), [batch, 2 * height, 2 * width, channels])


def _used(weights: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Drops neighbors whose weights [n, 3] are all zero; returns how many are before and after."""
    used = np.abs(weights).max(axis=0) > 0
    return weights[:, used], [int(used[0]), int(used[2])]


def convolution(
    filters: int, size: int, name: str, use_bias: bool = False, dilation: int = 1
) -> keras.layers.Conv2D:
    """Builds a SAME convolution, by default without bias: the batch norm behind it has one."""
    return keras.layers.Conv2D(
        filters,
        size,
        dilation_rate=dilation,
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
    float32. On a CPU it is slow where channels are few; there moments are summed over rows.
    """

    def call(self, x: Tensor, training: bool = False, mask: Tensor = None) -> Tensor:
        """Normalizes [B, H, W, C]. Masks take the path of Keras."""
        if not (training and self.trainable) or self.synchronized or mask is not None:
            return super().call(x, training=training, mask=mask)
        y, mean, variance = self._by_rows(x) if x.shape[-1] < NARROW else self._fused(x)
        self._update_moving(mean, variance)
        return y

    def scale_and_offset(self, x: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        """Returns the factor and addend that `call` would apply to `x`, [C] each.

        In training it updates the moving averages, as `call` does.
        """
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = moments(x)
            self._update_moving(mean, variance)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return scale, self.beta - scale * mean

    def _update_moving(self, mean: Tensor, variance: Tensor) -> None:
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))

    def _fused(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        return y, mean, _of_batch(variance, x)

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


@tf.custom_gradient
def moments(x: Tensor) -> Any:
    """Computes mean and variance over all but the channels of [B, H, W, C]: float32 [C] each.

    The fused batch norm is the fastest on a CPU although it normalizes as well. Its own gradient is
    only that of the normalized output, so this one has its own.
    """
    channels = x.shape[-1]
    _, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, tf.ones(channels), tf.zeros(channels))
    variance, count = _of_batch(variance, x), _pixels(x)

    def gradient(by_mean: Tensor, by_variance: Tensor) -> Tensor:
        slope = 2 * by_variance / count
        return x * tf.cast(slope, x.dtype) + tf.cast(by_mean / count - slope * mean, x.dtype)

    return (mean, variance), gradient


def _pixels(x: Tensor) -> Tensor:
    return tf.cast(tf.size(x) // x.shape[-1], tf.float32)


def _of_batch(variance: Tensor, x: Tensor) -> Tensor:
    """Returns the variance of the batch, as in Keras, from TensorFlow's unbiased estimate."""
    return variance * (_pixels(x) - 1) / _pixels(x)


def batch_norm(name: str) -> BatchNorm:
    """Builds the batch norm of the script: epsilon 1e-3, moving average 0.99, gamma and beta.

    Several replicas share their moments, so that they are those of the whole batch.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return BatchNorm(momentum=0.99, epsilon=EPSILON, synchronized=replicas > 1, name=name)
