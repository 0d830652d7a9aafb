"""How vivid the colors are that a network of classes chooses, without TensorFlow.

Such a network predicts a distribution over colors. Two numbers of its config decide which color is
taken from it, and can be changed after training: the temperature of the annealed mean, and the
multiple of the log prior that is taken off the logits. `vividness` moves both along one curve.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from residual_encoder.models.configs import AbClassesConfig, NetworkConfig

STEPS = 20  # of the curve, as a control on a page has them


class Knot(NamedTuple):
    """A measured point of the curve."""

    vividness: float
    temperature: float
    prior_correction: float


# Between two knots both numbers are linear. Of the shipped weights on 500 validation photographs at
# 160 pixels, chroma enlarged bilinearly: AuC over gray in points, PSNR in dB, colorfulness
# in percent of the truth's, recognized in percent, Frechet distance, by temperature and correction:
#   0.5, 0      1.39, 1.31, 52, 66.2, 182     0.6, 0.1    1.13, 1.24, 60, 63.4, 177
#   0.65, 0.05  1.21, 1.31, 57, 64.8, 179     0.55, 0.2   0.86, 1.04, 67, 63.6, 175
#   0.6, 0.07   1.21, 1.28, 58, 64.2, 178     0.5, 0.3    0.47, 0.73, 76, 62.6, 176
# The first has the best AuC. From there a correction buys color most cheaply; the colder end keeps
# the rare classes that it raises from adding up to muddy means. The second is what ships: below it
# there is less color, above it AuC and PSNR fall faster.
KNOTS = (
    Knot(0.0, 0.5, 0.0),
    Knot(0.25, 0.65, 0.05),
    Knot(0.5, 0.6, 0.1),
    Knot(1.0, 0.5, 0.3),
)


@dataclass(frozen=True)
class ColorChoice:
    """Chooses which color is taken from a distribution; None leaves the recipe's own number.

    Attributes:
      vividness: From 0, safe, to 1, vivid: a place on the curve of `KNOTS`.
      temperature: Takes the place of the recipe's, or of the curve's.
      prior_correction: Takes the place of the recipe's, or of the curve's.
    """

    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None

    def __post_init__(self) -> None:
        """Checks the range of `vividness`; the config of a network checks the others.

        Raises:
          ValueError: it is not from 0 to 1.
        """
        if self.vividness is not None and not 0 <= self.vividness <= 1:
            raise ValueError(f"vividness must be 0 to 1. Received {self.vividness}.")

    @property
    def given(self) -> tuple[str, ...]:
        """Returns the names of the numbers that are not left to the recipe."""
        return tuple(name for name, value in vars(self).items() if value is not None)

    def applied(self, config: NetworkConfig) -> NetworkConfig:
        """Returns the config of a network with the chosen numbers.

        Raises:
          ValueError: the network has no distribution to choose from, or a number is out of range.
        """
        if not self.given:
            return config
        if not isinstance(config, AbClassesConfig):
            raise ValueError(
                f"{' and '.join(self.given)} cannot be set: this model predicts one color for each "
                "pixel, not a distribution over colors. Use saturation (--saturation) instead."
            )
        numbers = {} if self.vividness is None else point(self.vividness)._asdict()
        numbers |= {name: getattr(self, name) for name in self.given}
        numbers.pop("vividness", None)
        return dataclasses.replace(config, **numbers)


AS_TRAINED = ColorChoice()


def point(vividness: float) -> Knot:
    """Returns the point of the curve at a vividness from 0 to 1, linear between the knots."""
    pairs = zip(KNOTS, KNOTS[1:], strict=False)
    low, high = next(pair for pair in pairs if vividness <= pair[1].vividness)
    share = (vividness - low.vividness) / (high.vividness - low.vividness)
    numbers = ((1 - share) * a + share * b for a, b in zip(low[1:], high[1:], strict=True))
    return Knot(vividness, *numbers)


def nearest(temperature: float, prior_correction: float) -> float:
    """Returns the vividness, one of `STEPS` and 0, whose point lies nearest to two numbers."""

    def distance(vividness: float) -> float:
        knot = point(vividness)
        return math.hypot(knot.temperature - temperature, knot.prior_correction - prior_correction)

    return min((step / STEPS for step in range(STEPS + 1)), key=distance)


def settings(config: NetworkConfig) -> dict[str, float]:
    """Returns the two numbers of a network of classes by name; of other networks nothing."""
    if not isinstance(config, AbClassesConfig):
        return {}
    return {"temperature": config.temperature, "prior_correction": config.prior_correction}
