"""The two networks of pix2pix (Isola et al. 2017): a U-Net generator and a PatchGAN discriminator.

Convolutions are 4x4. SAME padding of those of stride 2 is the published padding of 1; the
discriminator pads by 1 throughout, so that its last two layers shrink the picture by a pixel each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from residual_encoder.models.configs import Pix2PixConfig
from residual_encoder.models.layers import Dropout
from residual_encoder.utils.typing import Tensor

# The published code: weights N(0, 0.02), gammas N(1, 0.02), epsilon of norm 1e-5, slope 0.2.
SIGMA = 0.02
EPSILON = 1e-5
SLOPE = 0.2
# The published code drops half of the three innermost decoder levels.
DROPOUT = 0.5
DROPOUT_LEVELS = 3


# --- norm of both ---------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("residual_encoder")
class PictureNorm(keras.layers.Layer):
    """Batch norm at a batch of one, in training and after: each picture's own moments.

    The published code trains with batches of one and normalizes by the batch's own moments when it
    tests too. So there are no moving averages, which were found to be far off in a network that
    never uses them, and nothing depends on what else is in a batch.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes gamma and beta, one a channel."""
        channels, gamma = input_shape[-1:], keras.initializers.RandomNormal(1.0, SIGMA)
        self.gamma = self.add_weight(shape=channels, initializer=gamma, name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")

    def call(self, x: Tensor) -> Tensor:
        """Normalizes every channel of every picture of [B, H, W, C] by itself."""
        mean, variance = tf.nn.moments(x, axes=(1, 2), keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, EPSILON)


# --- the generator --------------------------------------------------------------------------------


def pix2pix(config: Pix2PixConfig, _: Callable[..., keras.Model]) -> keras.Model:
    """Builds the generator. It has no trunk.

    The innermost encoder level has no norm, which would make all of it zero where it is 1x1 (see
    the paper's errata).

    Args:
      config: Widths of the levels.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] float32 in (0, 1):
      tanh is ab / 128, and (tanh + 1) / 2 is ab / 256 + 0.5. Any H and W: inside, the border is
      repeated up to multiples of two to the number of levels.
    """
    last = len(config.widths)
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, h, w, 1]
    x = keras.layers.Rescaling(2.0, -1.0, dtype="float32", name="centered")(gray)
    x = PadToMultiple(2**last, dtype="float32", name="padded")(x)  # [B, H, W, 1] in [-1, 1]
    levels = []
    for k, width in enumerate(config.widths, start=1):
        normed = 1 < k < last
        x = _convolution(width, 2, f"down{k}", not normed)(x if k == 1 else _leaky(f"down{k}")(x))
        x = PictureNorm(name=f"down{k}_norm")(x) if normed else x  # [B, H/2^k, W/2^k, width]
        levels.append(x)
    for k in range(last - 1, 0, -1):
        x = keras.layers.ReLU(name=f"up{k}_relu")(x)
        x = PictureNorm(name=f"up{k}_norm")(_doubling(config.widths[k - 1], f"up{k}", False)(x))
        if k >= last - DROPOUT_LEVELS:
            x = Dropout(DROPOUT, name=f"up{k}_dropout")(x)
        x = keras.layers.Concatenate(name=f"skip{k}")([x, levels[k - 1]])  # [B, H/2^k, W/2^k, 2w]
    x = _doubling(2, "ab", True)(keras.layers.ReLU(name="ab_relu")(x))  # [B, H, W, 2]
    x = keras.layers.Activation("tanh", dtype="float32", name="ab_tanh")(x)
    x = CropLike(dtype="float32", name="cropped")([x, gray])  # [B, h, w, 2] in (-1, 1)
    chroma = keras.layers.Rescaling(0.5, 0.5, dtype="float32", name="chroma")(x)
    return keras.Model(gray, chroma, name="pix2pix")


def _convolution(filters: int, strides: int, name: str, use_bias: bool) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, 4, strides=strides, name=name, **_shared(use_bias))


def _doubling(filters: int, name: str, use_bias: bool) -> keras.layers.Conv2DTranspose:
    return keras.layers.Conv2DTranspose(filters, 4, strides=2, name=name, **_shared(use_bias))


def _shared(use_bias: bool) -> dict[str, Any]:
    """Returns settings of all convolutions; where a norm follows, it would cancel a bias."""
    normal = keras.initializers.RandomNormal(stddev=SIGMA)
    return {"padding": "same", "kernel_initializer": normal, "use_bias": use_bias}


def _leaky(name: str) -> keras.layers.LeakyReLU:
    return keras.layers.LeakyReLU(SLOPE, name=f"{name}_leaky_relu")


@keras.saving.register_keras_serializable("residual_encoder")
class PadToMultiple(keras.layers.Layer):
    """Repeats border pixels, as many on either side, until height and width are multiples.

    A gather at clipped indices, so height and width may be unknown, and smaller than the padding.
    """

    def __init__(self, multiple: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, x: Tensor) -> Tensor:
        """Pads [B, h, w, C] to [B, H, W, C]."""
        for axis in (1, 2):
            size = _size(x, axis)
            extra = -size % self.multiple
            places = tf.range(size + extra) - extra // 2
            x = tf.gather(x, tf.clip_by_value(places, 0, size - 1), axis=axis)
        return x

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return super().get_config() | {"multiple": self.multiple}


@keras.saving.register_keras_serializable("residual_encoder")
class CropLike(keras.layers.Layer):
    """Crops the first input to the second's size, about its middle: undoes `PadToMultiple`."""

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Crops [B, H, W, C] to [B, h, w, C], the size of [B, h, w, c]."""
        x, like = inputs
        height, width = _size(like, 1), _size(like, 2)
        top, left = (_size(x, 1) - height) // 2, (_size(x, 2) - width) // 2
        return x[:, top : top + height, left : left + width]


def _size(x: Tensor, axis: int) -> Any:
    """Returns a size as a number where it is known, otherwise as a scalar of the graph."""
    return x.shape[axis] or tf.shape(x)[axis]


# --- the discriminator ----------------------------------------------------------------------------


def patch_discriminator(widths: tuple[int, ...]) -> keras.Model:
    """Builds the discriminator: the probability that the colors of each patch are true.

    With the published widths, 64, 128, 256 and 512, a patch is 70x70 pixels.

    Args:
      widths: Channels of its convolutions: all but the last halve the picture; one to a single
        channel follows.

    Returns:
      A model: [`grayscale` [B, H, W, 1], `chroma` [B, H, W, 2]], float32 in [0, 1] -> probability
      [B, h, w, 1] float32 in [0, 1]; h is H / 8 - 2 with the published widths: 30 for 256.
    """
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    chroma = keras.Input((None, None, 2), name="chroma")  # [B, H, W, 2]
    x = keras.layers.Concatenate(dtype="float32", name="discriminator_input")([gray, chroma])
    x = keras.layers.Rescaling(2.0, -1.0, dtype="float32", name="discriminator_centered")(x)
    for k, width in enumerate(widths, start=1):
        name = f"discriminator{k}"
        x = _patches(width, 1 if k == len(widths) else 2, name, k == 1)(x)
        # 64 at H/2, 128 at H/4, 256 at H/8, 512 at H/8 - 1
        x = PictureNorm(name=f"{name}_norm")(x) if k > 1 else x
        x = _leaky(name)(x)
    x = _patches(1, 1, f"discriminator{len(widths) + 1}", True)(x)  # [B, H/8 - 2, W/8 - 2, 1]
    true = keras.layers.Activation("sigmoid", dtype="float32", name="true")(x)
    return keras.Model([gray, chroma], true, name="patch_discriminator")


def _patches(filters: int, strides: int, name: str, use_bias: bool) -> Callable[[Tensor], Tensor]:
    """Builds a convolution of its input padded by a pixel of zeros all around."""
    layer = keras.layers.Conv2D(
        filters, 4, strides=strides, name=name, **_shared(use_bias) | {"padding": "valid"}
    )
    return lambda x: layer(keras.layers.ZeroPadding2D(1, name=f"{name}_padded")(x))
