"""A residual encoder that predicts a distribution over classes of color instead of one color.

Trunk, taps and merging are the residual encoder's up to a quarter of the picture's side, which is
where Zhang, Isola and Efros 2016 put their classes. Training reads the logits; the output is the
annealed mean of the distribution, enlarged to the picture's size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from residual_encoder.imaging import ab_quantization, logit_smoothing
from residual_encoder.imaging.colorspace import AB_SCALE
from residual_encoder.models import vgg16
from residual_encoder.models.configs import (
    BOTTLENECK,
    LOGITS,
    AbClassesConfig,
    ResidualEncoderConfig,
)
from residual_encoder.models.layers import Dropout, HalfPixelUpsample2, batch_norm, convolution
from residual_encoder.models.residual_encoder import (
    FIFTH_TAP,
    merge,
    project,
)
from residual_encoder.utils.typing import Tensor

ANNEALED_MEAN = "annealed_mean"


@keras.saving.register_keras_serializable("residual_encoder")
class AnnealedMean(keras.layers.Layer):
    """The annealed mean of the classes' logits, as chroma of Lab."""

    def __init__(self, temperature: float, prior_correction: float = 0.0, **settings: Any) -> None:
        """Takes the numbers of `ab_quantization.annealed_mean` and a layer's settings."""
        super().__init__(**settings)
        self.temperature, self.prior_correction = temperature, prior_correction

    def call(self, logits: Tensor) -> Tensor:
        """Maps [B, H, W, Q] to [B, H, W, 2] in [0, 1]."""
        ab = ab_quantization.annealed_mean(logits, self.temperature, self.prior_correction)
        return ab / AB_SCALE + 0.5

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        numbers = {"temperature": self.temperature, "prior_correction": self.prior_correction}
        return super().get_config() | numbers


@keras.saving.register_keras_serializable("residual_encoder")
class LogitSmoothing(keras.layers.Layer):
    """Smooths logits along the edges of the gray, without weights; see `logit_smoothing`."""

    def __init__(self, radius: int, **settings: Any) -> None:
        """Takes the radius of `logit_smoothing.smoothed` and a layer's settings."""
        super().__init__(**settings)
        self.radius = radius

    def call(self, logits: Tensor, gray: Tensor) -> Tensor:
        """Maps logits [B, H/4, W/4, Q] and gray [B, H, W, 1] to logits."""
        return logit_smoothing.smoothed(logits, gray, self.radius)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return super().get_config() | {"radius": self.radius}


def ab_classes(config: AbClassesConfig, build_trunk: Callable[..., keras.Model]) -> keras.Model:
    """Builds the network.

    Args:
      config: Its numbers.
      build_trunk: Makes the trunk: RGB [B, H, W, 3] in [0, 1] -> the third tap and deeper ones.

    Returns:
      A model: `grayscale` [B, H, W, 1] float32 in [0, 1] -> chroma of Lab [B, H, W, 2] float32 in
      (0, 1). H and W must be multiples of `config.multiple`. The loss reads its layer
      "logits".
    """
    encoder = ResidualEncoderConfig()
    gray = keras.Input((None, None, 1), name="grayscale")  # [B, H, W, 1]
    gray3 = keras.layers.Concatenate(name="gray3")([gray, gray, gray])  # [B, H, W, 3]
    wanted = (*vgg16.TAPS, FIFTH_TAP)[2 : config.taps]
    taps = build_trunk(taps=wanted, rank=config.trunk_rank)(gray3)
    t3, *deep = (_normed(config, tap, k) for k, tap in enumerate(taps, start=3))
    x = _deepest(encoder, deep)  # [B, H/8, W/8, 256]
    x = _bottlenecks(encoder, config.context, "color4")(x)  # [B, H/8, W/8, 256]
    x = merge(encoder, "merge3")(x, t3)  # [B, H/4, W/4, 256]
    x = project(encoder, config.width, 3, "color3")(x)  # [B, H/4, W/4, width]
    x = _bottlenecks(encoder, config.refinements, "color3")(x)  # [B, H/4, W/4, width]
    x = _dropped(x, config.dropout[2], "color3")
    # float32 whatever the precision: the temperature magnifies what bfloat16 rounds.
    count = len(ab_quantization.classes().ab)
    x = keras.layers.Conv2D(count, 1, dtype="float32", name=LOGITS)(x)  # [B, H/4, W/4, Q]
    if config.smoothing:
        smooth = LogitSmoothing(config.smoothing, dtype="float32", name="smoothed_logits")
        x = smooth(x, gray)  # [B, H/4, W/4, Q]
    numbers = config.temperature, config.prior_correction
    x = AnnealedMean(*numbers, dtype="float32", name=ANNEALED_MEAN)(x)
    x = HalfPixelUpsample2(dtype="float32", name="upsample1")(x)  # [B, H/2, W/2, 2]
    chroma = HalfPixelUpsample2(dtype="float32", name="chroma")(x)  # [B, H, W, 2]
    return keras.Model(gray, chroma, name="ab_classes")


def _normed(config: AbClassesConfig, tap: Tensor, number: int) -> Tensor:
    """Normalizes a tap of the trunk, and drops channels of it in training; same shape."""
    x = batch_norm(f"pool{number}_bn")(tap)
    return _dropped(x, config.dropout[0 if number == 3 else 1], f"pool{number}")


def _dropped(x: Tensor, rate: float, name: str) -> Tensor:
    """Drops channels in training; same shape."""
    return Dropout(rate, channels=True, name=f"{name}_dropout")(x) if rate else x


def _deepest(encoder: ResidualEncoderConfig, deep: list[Tensor]) -> Tensor:
    """Builds color4 from the fourth tap, and the fifth if there is one: [B, H/8, W/8, 256]."""
    x = deep[0]
    if len(deep) > 1:
        x = project(encoder, x.shape[-1], 1, "color5")(deep[1])  # [B, H/16, W/16, 512]
        x = merge(encoder, "merge4")(x, deep[0])  # [B, H/8, W/8, 512]
    return project(encoder, encoder.widths[0], 1, "color4")(x)


def _bottlenecks(
    encoder: ResidualEncoderConfig, dilations: tuple[int, ...], name: str
) -> Callable[[Tensor], Tensor]:
    """Builds residual bottlenecks (He et al. 2016), dilated (Yu & Koltun 2016); same shape."""

    def apply(x: Tensor) -> Tensor:
        for index, dilation in enumerate(dilations, start=1):
            prefix = f"{name}_context{index}"
            width = x.shape[-1]
            y = project(encoder, width // BOTTLENECK, 1, f"{prefix}_in")(x)
            y = project(encoder, width // BOTTLENECK, 3, f"{prefix}_mid", dilation)(y)
            y = batch_norm(f"{prefix}_out_bn")(convolution(width, 1, f"{prefix}_out")(y))
            x = keras.layers.ReLU(name=prefix)(keras.layers.Add(name=f"{prefix}_sum")([x, y]))
        return x

    return apply


def colors_of(
    logits: Tensor, temperature: float | Tensor, prior_correction: float | Tensor
) -> Tensor:
    """Computes what the network's last layers make of its smoothed logits.

    Args:
      logits: [B, H/4, W/4, Q] float32.
      temperature: As of `ab_quantization.annealed_mean`.
      prior_correction: As of `ab_quantization.annealed_mean`.

    Returns:
      Chroma of Lab [B, H, W, 2] float32 in (0, 1).
    """
    ab = ab_quantization.annealed_mean(logits, temperature, prior_correction)
    double = HalfPixelUpsample2(dtype="float32").resized
    return double(double(ab / AB_SCALE + 0.5))


def logits_of(model: keras.Model) -> keras.Model:
    """Returns the network up to its logits, gray -> [B, H/4, W/4, Q] float32; variables shared."""
    return keras.Model(model.input, model.get_layer(LOGITS).output, name="ab_classes_logits")
