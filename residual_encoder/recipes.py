"""What each article used: network, color space, loss, optimizer and schedule, with sources.

The one place where a published training number lives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from residual_encoder.data.augmentation import Augment
from residual_encoder.imaging.colorspace import COLOR_SPACES, GRAYS, ColorSpace
from residual_encoder.models import factory
from residual_encoder.models.factory import (
    NETWORKS,
    AbClassesConfig,
    CnnConfig,
    HypercolumnConfig,
    NetworkConfig,
    Pix2PixConfig,
    ResidualEncoderConfig,
    VggAutoencoderConfig,
)
from residual_encoder.training.losses import LOGIT_LOSSES, LOSSES, SPACE_OF_LOSS

OPTIMIZERS = ("sgd", "adam", "adamw", "lamb")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16", "auto")


@dataclass(frozen=True)
class Adversarial:
    """A discriminator that is trained against the network; the defaults are pix2pix's.

    Attributes:
      widths: Channels of its convolutions.
      loss_weight: Weight of the recipe's loss in what the network descends.
      weight: Weight of the adversarial term beside it.
      learning_rate: Peak learning rate of the discriminator's Adam; the schedule is the recipe's.
      beta1: Momentum of that Adam.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    loss_weight: float = 100.0
    weight: float = 1.0
    learning_rate: float = 2e-4
    beta1: float = 0.5

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: what is wrong with which field.
        """
        wide = bool(self.widths) and min(self.widths) > 0
        _check(wide, "widths", "one or more positive numbers", self)
        for field in ("loss_weight", "weight", "learning_rate"):
            _check(getattr(self, field) > 0, field, "above zero", self)
        _check(0 <= self.beta1 < 1, "beta1", "at least 0 and below 1", self)

    @property
    def least_size(self) -> int:
        """Side in pixels of the smallest picture that the discriminator has a word for."""
        return 3 * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class Recipe:
    """A network, a color space, a loss and a schedule.

    Attributes:
      name: The name on the command line.
      network: Which network, and its numbers.
      color_space: Of the chroma: "yuv" or "lab".
      gray: The gray that the network sees of a color picture: "mean", "luma" or "lightness".
      loss: A name in `losses.LOSSES`.
      optimizer: "sgd" (no momentum), "adam", "adamw" or "lamb".
      learning_rate: Peak learning rate.
      schedule: "constant", or "cosine": linear warm-up, then cosine decay to zero.
      warmup_steps: Steps of linear warm-up, of the cosine schedule only.
      weight_decay: Decoupled weight decay, of adamw and lamb only.
      batch_size: Pictures a step, over all devices.
      steps: Training steps.
      image_size: Side of the training squares in pixels.
      min_crop: Random square crops of at least this share of the short side; 1.0 is the center
        square.
      max_crop: And of at most this share.
      flip: Whether half of the training pictures are mirrored.
      train_trunk: Whether the trunk is fine-tuned.
      frozen_blocks: The first blocks of the trunk that stay frozen even so, 0 to 4.
      trunk_batch_norm: Whether the trunk trains with batch norm, folded before saving.
      precision: "float32", "bfloat16" or "auto" (bfloat16 where the device is quick at it).
      beta1: Momentum of adam, adamw and lamb.
      adversarial: The discriminator to train against, or None.
      margin: Pixels of mirrored border around what the network sees when it colors.
      warp: Training pictures are turned, stretched and sheared by at most this.
      tone: Their luma goes along a curve that bends by at most this.
      grain: They get noise of at most this standard deviation.
      rebalancing: Of the loss "ab_classes" only: 0 counts every pixel alike, 1 every color alike.
      trunk_rate: Learning rate of the trunk as a share of the decoder's.
      ema: Momentum of a moving average of the weights, which is what is evaluated and kept; 0 keeps
        the weights themselves.
    """

    name: str
    network: NetworkConfig
    color_space: str
    gray: str
    loss: str
    optimizer: str
    learning_rate: float
    schedule: str
    batch_size: int
    steps: int
    image_size: int
    warmup_steps: int = 0
    weight_decay: float = 0.0
    min_crop: float = 1.0
    flip: bool = False
    train_trunk: bool = False
    frozen_blocks: int = 0
    trunk_batch_norm: bool = False
    precision: str = "float32"
    max_crop: float = 1.0
    beta1: float = 0.9
    adversarial: Adversarial | None = None
    margin: int = 0
    warp: float = 0.0
    tone: float = 0.0
    grain: float = 0.0
    rebalancing: float = 0.5  # Zhang et al. 2016, section 2.2: lambda is a half
    trunk_rate: float = 1.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        """Checks names and ranges.

        Raises:
          ValueError: what is wrong with which field.
        """
        for field, known in (
            ("color_space", COLOR_SPACES),
            ("gray", GRAYS),
            ("loss", LOSSES),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            _check(getattr(self, field) in known, field, f"one of {list(known)}", self)
        size_fits = self.image_size > 0 and self.image_size % self.multiple == 0
        _check(size_fits, "image_size", f"a positive multiple of {self.multiple}", self)
        margin_fits = self.margin in (0, self.multiple)
        _check(margin_fits, "margin", f"0 or {self.multiple}", self)
        for field in ("batch_size", "steps", "learning_rate"):
            _check(getattr(self, field) > 0, field, "above zero", self)
        if self.adversarial:
            least = self.adversarial.least_size
            fits = self.image_size >= least
            _check(fits, "image_size", f"at least {least} for the discriminator", self)
        for field in ("warp", "tone", "grain"):
            _check(0 <= getattr(self, field) < 1, field, "at least 0 and below 1", self)
        _check(0 < self.max_crop <= 1, "max_crop", "above 0 and at most 1", self)
        fits = 0 < self.min_crop <= self.max_crop
        _check(fits, "min_crop", f"above 0 and at most max_crop, {self.max_crop:.3g}", self)
        _check(0 <= self.beta1 < 1, "beta1", "at least 0 and below 1", self)
        _check(0 <= self.frozen_blocks <= 4, "frozen_blocks", "0 to 4", self)
        _check(0 <= self.rebalancing <= 1, "rebalancing", "0 to 1", self)
        _check(self.trunk_rate > 0, "trunk_rate", "above zero", self)
        _check(0 <= self.ema < 1, "ema", "at least 0 and below 1", self)
        space = SPACE_OF_LOSS.get(self.loss, self.color_space)
        _check(self.color_space == space, "color_space", f'"{space}" for loss {self.loss}', self)
        self._check_classes()
        if self.trunk_batch_norm or self.frozen_blocks:
            _check(self.train_trunk, "train_trunk", "true where the trunk is set up to train", self)

    def _check_classes(self) -> None:
        """A network of classes and its loss, or neither."""
        of_classes = isinstance(self.network, AbClassesConfig)
        wanted = "ab_classes for a network of classes" if of_classes else "one of chroma"
        _check((self.loss in LOGIT_LOSSES) == of_classes, "loss", wanted, self)
        if of_classes:
            _check(self.adversarial is None, "adversarial", "None for a network of classes", self)

    @property
    def space(self) -> ColorSpace:
        """The color space of the chroma."""
        return COLOR_SPACES[self.color_space]

    @property
    def augment(self) -> Augment:
        """What training does to a picture."""
        names = [field.name for field in dataclasses.fields(Augment)]
        return Augment(**{name: getattr(self, name) for name in names})

    @property
    def multiple(self) -> int:
        """What height and width of the network's input must be multiples of."""
        return factory.multiple_of(self.network)

    @property
    def inference_size(self) -> int:
        """Short side in pixels that the network sees of a photograph, a multiple as well.

        The scale of training: a square of `image_size` shows this share of a short side on average.
        """
        share = (self.max_crop + self.min_crop) / 2
        return self.multiple * round(self.image_size / share / self.multiple)

    def to_json(self) -> dict[str, Any]:
        """JSON-able fields; the network's name stands beside its numbers."""
        fields = dataclasses.asdict(self)
        return fields | {"network": {"name": factory.name_of(self.network)} | fields["network"]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote.

        Raises:
          ValueError: a field or the network is unknown to this version.
        """
        network = dict(fields.get("network", {}))
        name = network.pop("name", None)
        if name not in NETWORKS:
            raise ValueError(f"Unknown network {name!r}; this version has {list(NETWORKS)}.")
        config: Any = NETWORKS[name].config
        rival = fields.get("adversarial")
        try:
            parts = {
                "network": config(**_frozen(network)),
                "adversarial": rival and Adversarial(**_frozen(rival)),
            }
            return cls(**(fields | parts))
        except TypeError as error:
            raise ValueError(f"The recipe does not fit this version: {error}.") from error


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _check(holds: bool, field: str, wanted: str, config: Recipe | Adversarial) -> None:
    if not holds:
        raise ValueError(f"{field} must be {wanted}. Received {getattr(config, field)!r}.")


# The article: "The residual encoder"; numbers from the author's script where the article is silent.
TINYCLOUDS2016 = Recipe(
    name="tinyclouds2016",
    network=ResidualEncoderConfig(),
    color_space="yuv",  # article: "YUV"; script: JPEG YCbCr
    gray="mean",  # script: (R + G + B) / 3
    loss="blurred_euclidean",  # article: Euclidean distances, plain and blurred by 3 and 5 px
    optimizer="sgd",  # script: plain gradient descent, no momentum, no weight decay
    learning_rate=0.1,  # script
    schedule="constant",  # script: no schedule
    batch_size=6,  # article: 6 images in 2 GB
    steps=156_000,  # article: 156,000 iterations, 936,000 images, 0.73 epoch of ImageNet
    image_size=224,  # article and script: 224x224
)

# The author's script, term by term: the loss behind the article's curve.
TINYCLOUDS2016_CODE = dataclasses.replace(
    TINYCLOUDS2016, name="tinyclouds2016_code", loss="tinyclouds_code"
)

# The article's first model: 1 image a batch was all that 2 GB took.
HYPERCOLUMN = dataclasses.replace(
    TINYCLOUDS2016,
    name="tinyclouds2016_hypercolumn",
    network=HypercolumnConfig(),  # 963-128-64-2: the article's text and drawing
    batch_size=1,
)
HYPERCOLUMN_CODE = dataclasses.replace(
    HYPERCOLUMN,
    name="tinyclouds2016_hypercolumn_code",
    network=HypercolumnConfig(widths=(128, 64, 3)),  # 963-128-64-3-2: script, name of the drawing
    loss="tinyclouds_code",
)
# One 1x1 convolution over the hypercolumn; the article reports that it stays gray.
PIXELWISE = dataclasses.replace(
    HYPERCOLUMN, name="tinyclouds2016_pixelwise", network=HypercolumnConfig(widths=())
)

# A frozen VGG16 as encoder; published with Lab, ab / 128, MSE, Adam, 100 epochs. Learning rate and
# batch are Keras's defaults; the number of photographs is not stated, so the steps are ours.
VGG_AUTOENCODER = Recipe(
    name="vgg_autoencoder",
    network=VggAutoencoderConfig(),
    color_space="lab",
    gray="lightness",
    loss="euclidean",  # of ab / 256; ab / 128 is the same but for a factor of 4, and Adam
    optimizer="adam",
    learning_rate=1e-3,
    schedule="constant",
    batch_size=32,
    steps=10_000,
    image_size=224,
)

# The six CNNs: Adam 1e-3, batch 32, 400x400; 200 epochs of 200 photographs are 7 x 200 steps, the
# final net's 300 epochs of 2,000 are 63 x 300.
CNN1 = dataclasses.replace(
    VGG_AUTOENCODER,
    name="cnn1",
    network=CnnConfig(widths=(32, 64)),
    loss="lab_mse",  # MSE of raw a and b
    steps=1_400,
    image_size=400,
)
CNNS = (
    CNN1,
    dataclasses.replace(CNN1, name="cnn2", network=CnnConfig((32, 64, 128))),
    dataclasses.replace(CNN1, name="cnn3", network=CnnConfig((32, 64, 128), skips=True)),
    dataclasses.replace(CNN1, name="cnn4", network=CnnConfig((32, 64, 128, 256), skips=True)),
    dataclasses.replace(CNN1, name="cnn5", network=CnnConfig((32, 64, 128, 256), True, 1)),
    dataclasses.replace(
        CNN1, name="cnn6", network=CnnConfig((32, 64, 128, 256), True, 2), steps=18_900
    ),
)

# Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", and its
# code in TensorFlow: L1 x 100 + GAN x 1, Adam 2e-4 with beta1 0.5, batch 1.
PIX2PIX = Recipe(
    name="pix2pix",
    network=Pix2PixConfig(),
    color_space="lab",
    gray="lightness",
    loss="tanh_l1",
    optimizer="adam",
    learning_rate=2e-4,
    beta1=0.5,
    schedule="constant",
    batch_size=1,
    steps=200_000,  # ours, 200 epochs of 1,000 photographs: steps go with the data in the paper
    image_size=256,
    min_crop=256 / 286,  # resized to 286, cropped to 256; ours keeps the aspect of what it crops
    max_crop=256 / 286,
    flip=True,
    adversarial=Adversarial(),
)

# Three channels in color1 and color0 are the original's bottleneck: with 32 grass turns green.
WIDE_TAIL = ResidualEncoderConfig(widths=(256, 128, 64, 32, 32), gray_tap="concat")

# Ours: the same network with a wider tail, and today's habits of training.
MODERN = Recipe(
    name="modern",
    network=WIDE_TAIL,
    color_space="yuv",
    gray="luma",  # Y is kept exactly, so true chroma gives the picture back
    loss="blurred_euclidean",
    optimizer="adamw",
    learning_rate=1e-3,
    schedule="cosine",
    warmup_steps=200,
    weight_decay=1e-4,
    batch_size=32,
    steps=30_000,
    image_size=128,
    min_crop=0.6,
    flip=True,
    train_trunk=True,
    precision="auto",
    # VGG16's zero padding beside a white corner sets off channels that are silent elsewhere, and
    # the corner turns yellow, magenta and cyan. Mirrored, the corner is no corner.
    margin=8,
)

# The same with a small adversarial term, against the brownish means that a squared error answers.
MODERN_ADVERSARIAL = dataclasses.replace(
    MODERN,
    name="modern_adversarial",
    # pix2pix's proportion. Its L1 x 100 pulls each of n chroma values with a slope of 200 / n; the
    # squared error does with 2 x 0.05 / n where a color is off by 0.05, as most are: 2,000 times
    # less, and so the adversarial term.
    adversarial=Adversarial(loss_weight=1.0, weight=5e-4),
)

# The same with the trunk as ImageNet left it, which has never seen a gray picture. The article
# leaves fine-tuning on gray to the future; `modern` is what it brings.
MODERN_FROZEN = dataclasses.replace(MODERN, name="modern_frozen", train_trunk=False)

# The same with all five of VGG16's pools tapped, which the article leaves to the future as well.
MODERN_FIVE_TAPS = dataclasses.replace(
    MODERN, name="modern_five_taps", network=dataclasses.replace(WIDE_TAIL, taps=5), margin=16
)

# The same trunk and habits, but classes of color instead of a mean: Zhang, Isola and Efros 2016,
# "Colorful Image Colorization". Classes are of ab, so the space is Lab.
MODERN_CLASSES = dataclasses.replace(
    MODERN,
    name="modern_classes",
    network=AbClassesConfig(),
    color_space="lab",
    gray="lightness",
    loss="ab_classes",
)

# A distribution learned by plain cross-entropy: not rebalanced, it is as good a regression as a
# squared error's, and colors are chosen from it after training. Two residual encoders' worth of
# context and the fifth tap, in no more weights than VGG16's first four blocks have.
MODERN_DISTRIBUTION = dataclasses.replace(
    MODERN_CLASSES,
    name="modern_distribution",
    network=AbClassesConfig(
        taps=5,
        trunk_rank=160,
        context=(1, 2, 4),
        refinements=(1,),
        temperature=0.6,
    ),
    rebalancing=0.0,
    frozen_blocks=3,  # the article's trunk is frozen; blocks 4 and 5 recover from being split
    trunk_rate=0.1,
    ema=0.999,
    margin=16,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        TINYCLOUDS2016,
        TINYCLOUDS2016_CODE,
        HYPERCOLUMN,
        HYPERCOLUMN_CODE,
        PIXELWISE,
        VGG_AUTOENCODER,
        *CNNS,
        PIX2PIX,
        MODERN,
        MODERN_ADVERSARIAL,
        MODERN_FROZEN,
        MODERN_FIVE_TAPS,
        MODERN_CLASSES,
        MODERN_DISTRIBUTION,
    )
}
