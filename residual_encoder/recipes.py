"""What each article used: network, color space, loss, optimizer and schedule, with sources.

The one place where a published training number lives.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from residual_encoder import networks
from residual_encoder.colorspace import COLOR_SPACES, GRAYS, ColorSpace
from residual_encoder.losses import LOSSES, SPACE_OF_LOSS
from residual_encoder.networks import (
    NETWORKS,
    CnnConfig,
    HypercolumnConfig,
    NetworkConfig,
    ResidualEncoderConfig,
    VggAutoencoderConfig,
)

OPTIMIZERS = ("sgd", "adam", "adamw", "lamb")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16", "auto")


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
      flip: Whether half of the training pictures are mirrored.
      train_trunk: Whether the trunk is fine-tuned.
      frozen_blocks: The first blocks of the trunk that stay frozen even so, 0 to 4.
      trunk_batch_norm: Whether the trunk trains with batch norm, folded before saving.
      precision: "float32", "bfloat16" or "auto" (bfloat16 where the device is quick at it).
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
        for field in ("batch_size", "steps", "learning_rate"):
            _check(getattr(self, field) > 0, field, "above zero", self)
        _check(0 < self.min_crop <= 1, "min_crop", "above 0 and at most 1", self)
        _check(0 <= self.frozen_blocks <= 4, "frozen_blocks", "0 to 4", self)
        space = SPACE_OF_LOSS.get(self.loss, self.color_space)
        _check(self.color_space == space, "color_space", f'"{space}" for loss {self.loss}', self)
        if self.trunk_batch_norm or self.frozen_blocks:
            _check(self.train_trunk, "train_trunk", "true where the trunk is set up to train", self)

    @property
    def space(self) -> ColorSpace:
        """The color space of the chroma."""
        return COLOR_SPACES[self.color_space]

    @property
    def multiple(self) -> int:
        """What height and width of the network's input must be multiples of."""
        return networks.multiple_of(self.network)

    @property
    def inference_size(self) -> int:
        """Short side in pixels that the network sees of a photograph, a multiple as well.

        The scale of training: a square of `image_size` shows this share of a short side on average.
        """
        share = (1 + self.min_crop) / 2
        return self.multiple * round(self.image_size / share / self.multiple)

    def to_json(self) -> dict[str, Any]:
        """JSON-able fields; the network's name stands beside its numbers."""
        fields = dataclasses.asdict(self)
        return fields | {"network": {"name": networks.name_of(self.network)} | fields["network"]}

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
        numbers: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in network.items()
        }
        try:
            return cls(**(fields | {"network": config(**numbers)}))
        except TypeError as error:
            raise ValueError(f"The recipe does not fit this version: {error}.") from error


def _check(holds: bool, field: str, wanted: str, recipe: Recipe) -> None:
    if not holds:
        raise ValueError(f"{field} must be {wanted}. Received {getattr(recipe, field)!r}.")


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

# Ours: the same network with a wider tail, and today's habits of training.
MODERN = Recipe(
    name="modern",
    # Three channels in color1 and color0 are the original's bottleneck: with 32 grass turns green.
    network=ResidualEncoderConfig(widths=(256, 128, 64, 32, 32), gray_tap="concat"),
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
        MODERN,
    )
}
