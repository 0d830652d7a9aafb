"""The classes of recipes, and the checks that their fields fit together.

Networks, losses, color spaces and optimizers are names here, and TensorFlow is not imported: the
modules that compute look the names up. The published numbers are in `residual_encoder.recipes`.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from residual_encoder.imaging.augment_config import Augment
from residual_encoder.imaging.color_names import COLOR_SPACES, GRAYS
from residual_encoder.models import configs
from residual_encoder.models.configs import CONFIGS, AbClassesConfig, NetworkConfig

if TYPE_CHECKING:
    from residual_encoder.imaging.array_colors import ArrayColorSpace
    from residual_encoder.imaging.colorspace import ColorSpace

OPTIMIZERS = ("sgd", "adam", "adamw", "lamb")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16", "auto")


class LossInfo(NamedTuple):
    """Properties of a loss that a recipe needs.

    Attributes:
      color_spaces: The only color spaces that the loss is defined in; empty for any.
      reads_logits: Whether it reads the logits of a network of classes instead of chroma.
    """

    color_spaces: tuple[str, ...] = ()
    reads_logits: bool = False


# The functions of these names are in training/losses.py.
LOSSES = {
    "blurred_euclidean": LossInfo(),
    "blurred_distance": LossInfo(),
    "tinyclouds_code": LossInfo(("yuv",)),
    "euclidean": LossInfo(),
    "rgb_euclidean": LossInfo(("yuv",)),
    "lab_mse": LossInfo(("lab", "lab_luma")),
    "ab_classes": LossInfo(("lab", "lab_luma"), reads_logits=True),
    "tanh_l1": LossInfo(),
}


@dataclass(frozen=True)
class Adversarial:
    """A discriminator that is trained against the network; the defaults are pix2pix's.

    Attributes:
      widths: Channels of its convolutions.
      loss_weight: Weight of the recipe's loss in the network's objective.
      weight: Weight of the adversarial term that is added to it.
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
          ValueError: a field has an impossible value; the message names it.
        """
        wide = bool(self.widths) and min(self.widths) > 0
        _check(wide, "widths", "one or more positive numbers", self)
        for field in ("loss_weight", "weight", "learning_rate"):
            _check(0 < getattr(self, field) < math.inf, field, "above zero, and finite", self)
        _check(0 <= self.beta1 < 1, "beta1", "at least 0 and below 1", self)

    @property
    def least_size(self) -> int:
        """Returns the side in pixels of the smallest input with a discriminator output."""
        return 3 * 2 ** (len(self.widths) - 1)


@dataclass(frozen=True)
class Recipe:
    """A network, a color space, a loss and a schedule.

    Attributes:
      name: The name on the command line.
      network: Which network, and its numbers.
      color_space: Of the chroma: "yuv", "lab", "lab_luma" or "hsv".
      gray: The gray that the network sees of a color picture: "mean", "luma", "lightness" or, of
        "hsv", "value".
      loss: A name in `LOSSES`.
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
      max_crop: Largest share of the short side that a crop may be.
      flip: Whether half of the training pictures are mirrored left to right.
      train_trunk: Whether the trunk is fine-tuned.
      frozen_blocks: Number of the trunk's first blocks that stay frozen all the same, 0 to 4.
      trunk_batch_norm: Whether the trunk trains with batch norm, folded before saving.
      precision: "float32", "bfloat16" or "auto" (bfloat16 where the device computes it fast).
      beta1: Momentum of adam, adamw and lamb.
      adversarial: The discriminator to train against, or None.
      margin: Pixels of mirrored border around what the network sees when it colors.
      warp: Largest turn, stretch and shear of training pictures, see `Augment`.
      tone: Largest bend of their tone curve, see `Augment`.
      grain: Largest standard deviation of the noise that is added to their luma.
      rebalancing: Of the loss "ab_classes" only: 0 counts every pixel alike, 1 every color alike.
      trunk_rate: Learning rate of the trunk as a share of the decoder's.
      ema: Momentum of a moving average of the weights, which is then evaluated and saved in their
        place; 0 for none.
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
          ValueError: a field has an impossible value; the message names it.
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
        for field in ("batch_size", "steps", "learning_rate", "trunk_rate"):
            _check(0 < getattr(self, field) < math.inf, field, "above zero, and finite", self)
        for field in ("batch_size", "steps", "image_size", "warmup_steps"):
            whole = isinstance(getattr(self, field), numbers.Integral)
            _check(whole, field, "a whole number", self)
        _check(self.warmup_steps >= 0, "warmup_steps", "0 or more", self)
        _check(0 <= self.weight_decay < math.inf, "weight_decay", "0 or more, and finite", self)
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
        _check(0 <= self.ema < 1, "ema", "at least 0 and below 1", self)
        spaces = LOSSES[self.loss].color_spaces or (self.color_space,)
        names = " or ".join(f'"{space}"' for space in spaces)
        _check(self.color_space in spaces, "color_space", f"{names} for loss {self.loss}", self)
        self._check_classes()
        if self.trunk_batch_norm or self.frozen_blocks:
            _check(self.train_trunk, "train_trunk", "true where the trunk is set up to train", self)

    def _check_classes(self) -> None:
        """Checks that a network of classes has a loss of classes, and no other network has."""
        of_classes = isinstance(self.network, AbClassesConfig)
        wanted = "ab_classes for a network of classes" if of_classes else "one of chroma"
        _check(LOSSES[self.loss].reads_logits == of_classes, "loss", wanted, self)
        if of_classes:
            _check(self.adversarial is None, "adversarial", "None for a network of classes", self)

    @property
    def space(self) -> ColorSpace:
        """Returns the color space of the chroma, whose functions need TensorFlow."""
        from residual_encoder.imaging import colorspace

        return colorspace.COLOR_SPACES[self.color_space]

    @property
    def array_space(self) -> ArrayColorSpace:
        """Returns the color space of the chroma, whose functions take arrays."""
        from residual_encoder.imaging import array_colors

        return array_colors.COLOR_SPACES[self.color_space]

    @property
    def augment(self) -> Augment:
        """Returns how training crops and changes a picture."""
        names = [field.name for field in dataclasses.fields(Augment)]
        return Augment(**{name: getattr(self, name) for name in names})

    @property
    def multiple(self) -> int:
        """Returns the number of pixels that the input's height and width must be multiples of."""
        return configs.multiple_of(self.network)

    @property
    def inference_size(self) -> int:
        """Returns the short side in pixels of the network's input when it colors a photograph.

        It keeps the scale of training, where a square of `image_size` shows this share of a short
        side on average, and is a multiple of `multiple`.
        """
        share = (self.max_crop + self.min_crop) / 2
        return self.multiple * round(self.image_size / share / self.multiple)

    def to_json(self) -> dict[str, Any]:
        """Returns fields that JSON can hold, the network's name among its numbers."""
        fields = dataclasses.asdict(self)
        return fields | {"network": {"name": configs.name_of(self.network)} | fields["network"]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Recipe:
        """Builds the recipe that `to_json` wrote.

        Raises:
          ValueError: they are no fields, or a field or the network is unknown to this version.
        """
        try:
            network = dict(fields.get("network", {}))
            adversarial = dict(fields.get("adversarial") or {})
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                "A recipe is an object of JSON, and so are its network and its adversarial part. "
                f"Received {fields!r:.200}."
            ) from error
        name = network.pop("name", None)
        if not isinstance(name, str) or name not in CONFIGS:
            raise ValueError(f"Unknown network {name!r}; this version has {list(CONFIGS)}.")
        config: Any = CONFIGS[name]
        try:
            parts = {
                "network": config(**_frozen(network)),
                "adversarial": Adversarial(**_frozen(adversarial)) if adversarial else None,
            }
            return cls(**(fields | parts))
        except TypeError as error:
            raise ValueError(f"The recipe does not fit this version: {error}.") from error


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    """Turns lists into tuples: JSON has lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _check(holds: bool, field: str, wanted: str, config: Recipe | Adversarial) -> None:
    if not holds:
        raise ValueError(f"{field} must be {wanted}. Received {getattr(config, field)!r}.")
