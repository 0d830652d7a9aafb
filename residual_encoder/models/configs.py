"""The numbers of each network, without TensorFlow, so that listing recipes is instant."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = ("relu", "elu", "leaky_relu")
DECODER_UPSAMPLINGS = ("legacy", "half_pixel")
# The article tried "leaky ReLUs" and gives no slope. This one is a choice of this project, between
# the 0.01 of Maas et al. 2013 and the 1 / 5.5 of Xu et al. 2015.
LEAK = 0.1
# A bottleneck's outer width over its inner one: He et al. 2016 have 4 with outer widths of 256 and
# more. 2, as there are few bottlenecks; a choice of this project.
BOTTLENECK = 2
# Of the annealed mean. Logits reach about 32, whose float32 is right to 2^-20: over a temperature
# of 0.01 that is a ten-thousandth of a share, and so at most 2e-5 of chroma, a hundredth of half an
# 8-bit step. Exports of the shipped weights differ from the network by 3e-6 there, by 7e-6 at 0.003
# and by 1.4e-5, which is refused, at 0.001; near 1e-38 float32 overflows to NaN. Nothing is lost:
# at 0.01 the color is the mode, but where two classes are as good as equal.
LEAST_TEMPERATURE = 0.01
MOST_TEMPERATURE = 1e38  # float32 ends at 3.4e38; from 1e9 on all classes count alike
LOGITS = "logits"  # the layer of a network of classes whose answers the loss reads


def _check_five(widths: tuple[int, ...]) -> None:
    if len(widths) != 5 or min(widths) < 1:
        raise ValueError(f"widths must be five positive numbers. Received {widths}.")


@dataclass(frozen=True)
class ResidualEncoderConfig:
    """Numbers of a residual encoder; the defaults are the 2016 network.

    Attributes:
      widths: Channels of color4, color3, color2, color1 and color0. The first three are also those
        of the taps they are added to, so only the last two are free.
      gray_tap: How the gray picture joins the last level: "add", as in 2016 (color1 then has the
        three channels of the replicated gray), or "concat" (color1 may be wider).
      activation: Of the decoder's convolutions but the last: "relu", "elu" or "leaky_relu".
      dropout: Share of the values that training drops behind color5, color4, color3 and color2; the
        narrow levels above have too few channels for it. The article gives no position; this one is
        a choice of this project.
      upsampling: "legacy", TensorFlow's of 2016, which shifts by a quarter of a pixel of what it
        enlarges, or "half_pixel", today's, which does not.
      taps: 4 as in 2016, or 5: conv5_3 too. Then color5 (1x1, 512) is the deepest level and color4
        a 3x3 convolution of its sum with conv4_3's tap.
    """

    widths: tuple[int, int, int, int, int] = (256, 128, 64, 3, 3)
    gray_tap: str = "add"
    activation: str = "relu"
    dropout: float = 0.0
    upsampling: str = "legacy"
    taps: int = 4

    def __post_init__(self) -> None:
        """Checks the widths against the taps, and names and ranges.

        Raises:
          ValueError: a sum of two levels would not fit, or an option is unknown.
        """
        if self.widths[:3] != (256, 128, 64):
            raise ValueError(
                f"widths must begin (256, 128, 64), the taps'. Received {self.widths}."
            )
        _check_five(self.widths)
        if self.gray_tap not in ("add", "concat"):
            raise ValueError(f'gray_tap must be "add" or "concat". Received {self.gray_tap!r}.')
        if self.gray_tap == "add" and self.widths[3] != 3:
            raise ValueError(f"Adding gray needs widths[3] = 3. Received {self.widths[3]}.")
        for field, known in (("activation", ACTIVATIONS), ("upsampling", DECODER_UPSAMPLINGS)):
            if getattr(self, field) not in known:
                value = getattr(self, field)
                raise ValueError(f"{field} must be one of {list(known)}. Received {value!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1. Received {self.dropout}.")
        if self.taps not in (4, 5):
            raise ValueError(f"taps must be 4 or 5. Received {self.taps}.")

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 2 ** (self.taps - 1)


@dataclass(frozen=True)
class HypercolumnConfig:
    """Numbers of a hypercolumn model; the defaults are those of the article's text.

    Attributes:
      widths: Channels of the 3x3 convolutions before the last one: (128, 64) in the article's text
        and drawing, (128, 64, 3) in its script. None at all is the pixelwise model: one 1x1
        convolution with bias.
    """

    widths: tuple[int, ...] = (128, 64)

    def __post_init__(self) -> None:
        """Checks the widths.

        Raises:
          ValueError: one of them is not positive.
        """
        if any(width < 1 for width in self.widths):
            raise ValueError(f"widths must be positive. Received {self.widths}.")

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 8


@dataclass(frozen=True)
class VggAutoencoderConfig:
    """Numbers of a VGG autoencoder; the defaults are the published ones.

    Attributes:
      widths: Channels of the 3x3 convolutions: two at 1/32 of the size, then one after each
        upsampling by two.
    """

    widths: tuple[int, int, int, int, int] = (256, 128, 64, 32, 16)

    def __post_init__(self) -> None:
        """Checks the widths.

        Raises:
          ValueError: they are not five, or one is not positive.
        """
        _check_five(self.widths)

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 32


@dataclass(frozen=True)
class CnnConfig:
    """Numbers of one of the six convolutional autoencoders.

    Attributes:
      widths: Channels of the encoder's levels.
      skips: Whether levels are concatenated into the decoder, U-Net fashion, with L itself and a
        linear 3x3 convolution at the end. Without, the network ends in a ReLU and its a and b are
        never negative: no green and no blue.
      dilated: Number of 4x4 convolutions of dilation 2 at the bottom.
    """

    widths: tuple[int, ...] = (32, 64)
    skips: bool = False
    dilated: int = 0

    def __post_init__(self) -> None:
        """Checks the widths.

        Raises:
          ValueError: there is none, or one is not positive, or `dilated` is negative.
        """
        if not self.widths or min(self.widths) < 1 or self.dilated < 0:
            raise ValueError(f"widths must be positive and dilated 0 or more. Received {self}.")

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 2 ** len(self.widths)


@dataclass(frozen=True)
class Pix2PixConfig:
    """Numbers of a pix2pix generator; the defaults are the published ones.

    Attributes:
      widths: Channels of the encoder's levels, each half as large as the one before; the decoder
        mirrors them.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512)

    def __post_init__(self) -> None:
        """Checks the widths.

        Raises:
          ValueError: there is none, or one is not positive.
        """
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must be one or more positive numbers. Received {self}.")

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 8  # as of most others; inside, the network pads any size to 2 ** levels


@dataclass(frozen=True)
class AbClassesConfig:
    """Numbers of a network of classes; the defaults are those of `modern_classes`.

    Attributes:
      width: Channels of color3, from which the classes are predicted. The residual encoder has 128,
        fewer than there are classes; the default is Zhang et al.'s 256.
      temperature: Of the annealed mean: 1 gives the mean, towards 0 it becomes the mode; from
        `LEAST_TEMPERATURE` up.
      taps: The deepest tap of the trunk: 4, or 5 for conv5_3 too. The shallowest is always the
        third, at the classes' size.
      trunk_rank: Rank of the trunk's convolutions in blocks 4 and 5, see `vgg16.build_trunk`; 0
        leaves them whole.
      context: Dilations of the residual bottlenecks behind color4, in order.
      refinements: Dilations of the residual bottlenecks behind color3, in order.
      prior_correction: Multiple of the log prior that is taken off the logits before colors are
        chosen, see `ab_quantization.annealed_mean`.
      smoothing: Radius, in places of the logits, of the filter that smooths them along the edges of
        the gray before colors are chosen, see `logit_smoothing`; 0 for none. Training's loss reads
        the logits before it.
      dropout: Shares of channels that training drops: of the third tap, of deeper ones, and of what
        the logits are computed from; see `layers.Dropout`.
    """

    width: int = 256
    temperature: float = 0.38  # Zhang et al. 2016, section 2.3
    taps: int = 4
    trunk_rank: int = 0
    context: tuple[int, ...] = ()
    refinements: tuple[int, ...] = ()
    prior_correction: float = 0.0
    smoothing: int = 0
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: one of the numbers is out of range.
        """
        if self.width < 1:
            raise ValueError(f"width must be above zero. Received {self.width}.")
        if not LEAST_TEMPERATURE <= self.temperature <= MOST_TEMPERATURE:
            raise ValueError(
                f"temperature must be {LEAST_TEMPERATURE} or more, which is the most likely color, "
                f"and finite: float32 cannot compute others. Received {self.temperature}."
            )
        if self.taps not in (4, 5):
            raise ValueError(f"taps must be 4 or 5. Received {self.taps}.")
        if not 0 <= self.prior_correction <= 1:
            raise ValueError(f"prior_correction must be 0 to 1. Received {self.prior_correction}.")
        if self.smoothing < 0:
            raise ValueError(f"smoothing must be at least 0. Received {self.smoothing}.")
        if len(self.dropout) != 3 or not all(0 <= share < 1 for share in self.dropout):
            raise ValueError(
                f"dropout must be three shares from 0 to below 1. Received {self.dropout}."
            )
        if self.trunk_rank < 0 or min((*self.context, *self.refinements, 1)) < 1:
            raise ValueError(
                f"trunk_rank must be at least 0 and dilations at least 1. Received {self}."
            )

    @property
    def multiple(self) -> int:
        """Returns the number that the input's height and width must be multiples of."""
        return 2 ** (self.taps - 1)


NetworkConfig = (
    ResidualEncoderConfig
    | HypercolumnConfig
    | VggAutoencoderConfig
    | CnnConfig
    | Pix2PixConfig
    | AbClassesConfig
)
# The names that weights files and the command line know networks by.
CONFIGS: dict[str, type[NetworkConfig]] = {
    "residual_encoder": ResidualEncoderConfig,
    "hypercolumn": HypercolumnConfig,
    "vgg_autoencoder": VggAutoencoderConfig,
    "cnn": CnnConfig,
    "pix2pix": Pix2PixConfig,
    "ab_classes": AbClassesConfig,
}


def name_of(config: NetworkConfig) -> str:
    """Returns the name in `CONFIGS` of a config's network."""
    return next(name for name, kind in CONFIGS.items() if type(config) is kind)


def multiple_of(config: NetworkConfig) -> int:
    """Returns the number of pixels that the input's sides must be multiples of."""
    return config.multiple
