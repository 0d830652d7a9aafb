"""A residual encoder that says a distribution over classes of color instead of one color.

Trunk, taps and merging are the residual encoder's up to a quarter of the picture's side, which is
where Zhang, Isola and Efros 2016 put their classes. Training reads the logits; what comes out is
the annealed mean of the distribution, brought to the picture's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from residual_encoder import classes, vgg16
from residual_encoder.colorspace import AB_SCALE
from residual_encoder.networks.layers import HalfPixelUpsample2, batch_norm
from residual_encoder.networks.residual_encoder import ResidualEncoderConfig, merge, project

Tensor = Any

LOGITS = "logits"


@dataclass(frozen=True)
class AbClassesConfig:
    """What varies between networks of classes.

    Attributes:
      width: Channels of color3, which the classes are told from. The residual encoder's 128 are
        fewer than there are classes; the default is Zhang et al.'s 256.
      temperature: Of the annealed mean: 1 gives the mean, towards 0 it becomes the mode.
    """

    width: int = 256
    temperature: float = classes.TEMPERATURE

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: one of the numbers is not positive.
        """
        if self.width < 1 or not self.temperature > 0:
            raise ValueError(f"width and temperature must be above zero. Received {self}.")


@keras.saving.register_keras_serializable("residual_encoder")
class AnnealedMean(keras.layers.Layer):
    """Logits of the classes to the chroma of Lab."""

    def __init__(self, temperature: float, **settings: Any) -> None:
        """Takes the temperature, above zero, and a layer's settings."""
        super().__init__(**settings)
        self.temperature = temperature

    def call(self, logits: Tensor) -> Tensor:
        """[B, H, W, Q] -> [B, H, W, 2] in [0, 1]."""
        return classes.annealed_mean(logits, self.temperature) / AB_SCALE + 0.5

    def get_config(self) -> dict[str, Any]:
        """What it takes to make the layer again."""
        return {**super().get_config(), "temperature": self.temperature}


def ab_classes(config: AbClassesConfig, build_trunk: Callable[..., keras.Model]) -> keras.Model:
    """Builds the network.

    Args:
      config: Width and temperature.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the third and the fourth tap.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma of Lab [B, H, W, 2] float32 in
      (0, 1). H and W must be multiples of 8. Its layer "logits" is what the loss reads.
    """
    encoder = ResidualEncoderConfig()
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    taps = build_trunk(taps=vgg16.TAPS[2:])(gray3)
    t3, t4 = (batch_norm(f"pool{k}_bn")(tap) for k, tap in enumerate(taps, start=3))
    x = project(encoder, encoder.widths[0], 1, "color4")(t4)  # [B, H/8, W/8, 256]
    x = merge(encoder, "merge3")(x, t3)  # [B, H/4, W/4, 256]
    x = project(encoder, config.width, 3, "color3")(x)  # [B, H/4, W/4, width]
    # float32 whatever the precision: the temperature magnifies what bfloat16 rounds.
    count = len(classes.classes().ab)
    x = keras.layers.Conv2D(count, 1, dtype="float32", name=LOGITS)(x)  # [B, H/4, W/4, Q]
    x = AnnealedMean(config.temperature, dtype="float32", name="annealed_mean")(x)
    x = HalfPixelUpsample2(dtype="float32", name="upsample1")(x)  # [B, H/2, W/2, 2]
    chroma = HalfPixelUpsample2(dtype="float32", name="chroma")(x)  # [B, H, W, 2]
    return keras.Model(gray, chroma, name="ab_classes")


def logits_of(model: keras.Model) -> keras.Model:
    """The network up to its logits: gray -> [B, H/4, W/4, Q] float32. It shares all variables."""
    return keras.Model(model.input, model.get_layer(LOGITS).output, name="ab_classes_logits")
