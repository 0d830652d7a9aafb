"""A trained network as a .keras file of Keras's own layers, which loads without this package."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops as kops

from residual_encoder.export.model_file import SavedFile, card_of, save_checked
from residual_encoder.export.portable_network import INPUT, check_portable, write_network
from residual_encoder.inference.model_loading import CARD, Loaded
from residual_encoder.models.folding import Kernel
from residual_encoder.models.residual_encoder import LEAK
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.utils.typing import Tensor

SUFFIX = ".keras"
SLOPES = {"leaky_relu": LEAK}


class KerasOperations:
    """Makes Keras's own layers and operations, channels last."""

    def with_border(self, gray: Tensor, multiple: int, margin: int) -> Tensor:
        """Repeats the last row and column up to multiples, then mirrors a margin."""
        places = keras.layers.MaxPooling2D(multiple, padding="same", name="multiples")(gray)
        places = keras.layers.UpSampling2D(multiple, name="places")(places)
        for axis in (1, 2):
            last = kops.sum(_ones(gray, axis)) - 1
            gray = _taken(gray, kops.minimum(_numbers(places, axis), last), axis)
        sides = (margin, margin)
        return kops.pad(gray, ((0, 0), sides, sides, (0, 0)), mode="symmetric") if margin else gray

    def without_border(self, chroma: Tensor, gray: Tensor, margin: int) -> Tensor:
        """Takes the places of `gray` out of what `with_border` enlarged."""
        for axis in (1, 2):
            chroma = _taken(chroma, _numbers(gray, axis) + margin, axis)
        return chroma

    def convolution(self, x: Tensor, kernel: Kernel, name: str, dilation: int = 1) -> Tensor:
        """Adds a `Conv2D`."""
        values = np.asarray(kernel.kernel)
        layer = keras.layers.Conv2D(
            values.shape[-1],
            values.shape[:2],
            padding="same",
            dilation_rate=dilation,
            use_bias=kernel.bias is not None,
            name=name,
        )
        x = layer(x)
        layer.set_weights([values] if kernel.bias is None else [values, kernel.bias])
        return x

    def activation(self, x: Tensor, kind: str) -> Tensor:
        """Adds an activation; the last axis has the channels."""
        if kind in SLOPES:
            return keras.layers.LeakyReLU(negative_slope=SLOPES[kind])(x)
        return keras.layers.Activation(kind)(x)

    def affine(self, x: Tensor, factor: np.ndarray | float, addend: np.ndarray | float) -> Tensor:
        """Adds a `Rescaling`, or for numbers of each channel a batch norm of mean 0, variance 1."""
        if np.ndim(factor) == np.ndim(addend) == 0:
            return keras.layers.Rescaling(float(factor), float(addend))(x)
        layer = keras.layers.BatchNormalization(epsilon=0.0)
        x = layer(x)
        one = np.ones(x.shape[-1], np.float32)
        layer.set_weights([one * factor, one * addend, 0 * one, one])
        return x

    def combine(self, kind: str, x: Tensor, y: Tensor) -> Tensor:
        """Computes one of the four operations."""
        return getattr(kops, kind)(x, y)

    def repeat_channel(self, x: Tensor, count: int) -> Tensor:
        """Repeats the last axis."""
        return kops.repeat(x, count, axis=-1)

    def with_ones(self, x: Tensor) -> Tensor:
        """Appends a channel of ones."""
        return keras.layers.Concatenate()([x, kops.ones_like(x)])

    def with_channels(self, x: Tensor, y: Tensor) -> Tensor:
        """Appends the channels of `y`."""
        return keras.layers.Concatenate()([x, y])

    def max_pool(self, x: Tensor) -> Tensor:
        """Adds a `MaxPooling2D`."""
        return keras.layers.MaxPooling2D(2)(x)

    def window_mean(self, x: Tensor, size: int, stride: int) -> Tensor:
        """Adds an `AveragePooling2D`."""
        padding = "same" if stride == 1 else "valid"
        return keras.layers.AveragePooling2D(size, stride, padding)(x)

    def picture_mean(self, x: Tensor) -> Tensor:
        """Adds a `GlobalAveragePooling2D`."""
        return keras.layers.GlobalAveragePooling2D(keepdims=True)(x)

    def double(self, x: Tensor, upsampling: str) -> Tensor:
        """Enlarges by two: each place twice, then means of neighbors.

        Keras's bilinear upsampling is not taken: it fails where a graph does not know the size.
        """
        x = keras.layers.UpSampling2D(2)(x)
        if upsampling == "legacy":  # the mean with the next place
            return keras.layers.AveragePooling2D(2, 1, "same")(x)
        x = kops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        for _ in range(2):  # twice: a quarter, a half and a quarter of three places
            x = keras.layers.AveragePooling2D(2, 1)(x)
        return x


def _ones(x: Tensor, axis: int) -> Tensor:
    """Returns as many ones as an axis, 1 or 2, is long: its length, while that is unknown."""
    return kops.ones_like(x[0, :, 0, 0] if axis == 1 else x[0, 0, :, 0])


def _numbers(x: Tensor, axis: int) -> Tensor:
    """Returns 0, 1, 2, ... along an axis."""
    return kops.cumsum(_ones(x, axis)) - 1


def _taken(x: Tensor, places: Tensor, axis: int) -> Tensor:
    return kops.take(x, kops.cast(places, "int32"), axis=axis)


def portable_model(loaded: Loaded) -> keras.Model:
    """Builds the network of Keras's own layers: gray [B, H, W, 1] of any size -> chroma."""
    gray = keras.Input((None, None, 1), name=INPUT)
    return keras.Model(gray, write_network(KerasOperations(), loaded, gray), name="colorizer")


def export_keras(
    model_path: str, output: str | Path, colors: ColorChoice = AS_TRAINED
) -> SavedFile:
    """Writes a .keras file, checks that it computes what the network does, and only then keeps it.

    The model takes `grayscale` float32 [B, H, W, 1] in [0, 1], any H and W, and gives chroma
    float32 [B, H, W, 2] in [0, 1]. The file holds `recipe.json` beside what Keras writes.

    Args:
      model_path: A training workdir or a weights file.
      output: The file to make, NAME.keras.
      colors: Which color is taken from a distribution; fixed in the file.

    Raises:
      FileExistsError: the output exists.
      FileNotFoundError: there is no such model.
      ValueError: the name is wrong; the model is damaged, a SavedModel or of another kind of
        network; or the file computes something else. Nothing is kept then.
      OSError: the output cannot be written.
    """

    def content(loaded: Loaded) -> bytes:
        check_portable(loaded.recipe.network, model_path)
        return _file_of(portable_model(loaded), card_of(loaded))

    return save_checked(model_path, output, SUFFIX, colors, content, _runner)


def _file_of(model: keras.Model, card: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"colorizer{SUFFIX}"
        model.save(path)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(CARD.name, json.dumps(card, indent=2))
        return path.read_bytes()


def _runner(content: bytes) -> Any:
    """Loads a .keras file to call: gray [B, H, W, 1] -> chroma [B, H, W, 2]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"colorizer{SUFFIX}"
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False)
    return lambda gray: kops.convert_to_numpy(model(gray))
