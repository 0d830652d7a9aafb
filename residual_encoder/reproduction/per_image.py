"""Measures each photograph by itself, so that systems can be compared pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder.evaluation import metrics
from residual_encoder.imaging import colorspace
from residual_encoder.imaging.colorspace import GRAYS, Truth
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.recipes import Recipe
from residual_encoder.training.losses import LOSS_FUNCTIONS
from residual_encoder.utils.typing import Tensor

Rows = dict[str, list[float]]


class NotFinite(ValueError):
    """A network predicts numbers that are not finite."""


class Recorder(Colorizer):
    """Colorizer that keeps its predictions.

    Attributes:
      predictions: Chroma [B, H, W, 2] float32 each, in the order of the calls.
    """

    def __init__(self, model: Any) -> None:
        """Loads the network, see `Colorizer`."""
        super().__init__(model, engine="tensorflow")
        self.predictions: list[np.ndarray] = []

    def chroma(self, gray: Tensor) -> Tensor:
        """Predicts chroma as `Colorizer.chroma` does, and keeps it.

        Raises:
          NotFinite: training has broken the network.
        """
        chroma = super().chroma(gray)
        if not np.isfinite(chroma).all():
            raise NotFinite(f"{self.recipe.name} predicts chroma that is not finite")
        self.predictions.append(np.asarray(chroma))
        return chroma


def rows(pictures: Iterable[Tensor], chromas: Sequence[np.ndarray], recipe: Recipe) -> Rows:
    """Measures each photograph by itself.

    Args:
      pictures: Batches of truth, [B, H, W, 3] uint8.
      chromas: A network's predictions for each batch, [B, H, W, 2] float32.
      recipe: Its color space, gray and loss.

    Returns:
      `square`: mean squared error of RGB in 8-bit code values; `ab_square`: of a and b; `luma` and
      `gray`: mean absolute distance between the gray given and the output's luma, or its gray as
      the recipe takes it, in 8-bit code values.
    """
    found: Rows = {"square": [], "ab_square": [], "luma": [], "gray": []}
    for rgb, chroma in zip(pictures, chromas, strict=True):
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        output = metrics.quantize(recipe.space.merge(truth.gray, chroma))
        for name, values in _distances(output, tf.convert_to_tensor(rgb), truth, recipe).items():
            found[name] += values.numpy().tolist()
    return found


def losses(pictures: Iterable[Tensor], colorizer: Colorizer) -> list[float]:
    """Computes the loss of a colorizer's recipe on each photograph by itself.

    Args:
      pictures: Batches of truth, [B, H, W, 3] uint8.
      colorizer: Whose recipe has a loss that reads chroma.
    """
    recipe, found = colorizer.recipe, []
    for rgb in pictures:
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        chroma = colorizer.chroma(truth.gray)
        for i in range(len(rgb)):
            one = Truth(*(part[i : i + 1] for part in truth))
            found.append(float(LOSS_FUNCTIONS[recipe.loss](one, chroma[i : i + 1])))
    return found


def _distances(output: Tensor, rgb: Tensor, truth: Truth, recipe: Recipe) -> dict[str, Tensor]:
    """Computes distances of [B, H, W, 3] uint8 pictures, [B] each."""
    colored, real = (tf.cast(picture, tf.float32) / 255 for picture in (output, rgb))
    ab = (colorspace.rgb_to_lab(colored) - colorspace.rgb_to_lab(real))[..., 1:]
    grays = {"luma": colorspace.luma_gray(colored), "gray": GRAYS[recipe.gray](colored)}
    return {
        "square": tf.reduce_mean(tf.square(255 * (colored - real)), [1, 2, 3]),
        "ab_square": tf.reduce_mean(tf.square(ab), [1, 2, 3]),
        **{
            name: tf.reduce_mean(tf.abs(255 * (gray - truth.gray)), [1, 2, 3])
            for name, gray in grays.items()
        },
    }
