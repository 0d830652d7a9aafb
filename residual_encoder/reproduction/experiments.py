"""Experiments of `reproduce`: budgets, and the training runs that claims need under each.

TensorFlow is not loaded, so that the command line lists the budgets at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from residual_encoder.data.configs import DataConfig
from residual_encoder.models.configs import Pix2PixConfig, ResidualEncoderConfig
from residual_encoder.recipes import RECIPES, Recipe

BASE = "tinyclouds2016"
CODE = "tinyclouds2016_code"
HYPERCOLUMN = "tinyclouds2016_hypercolumn"
HYPERCOLUMN_CODE = "tinyclouds2016_hypercolumn_code"
PIXELWISE = "tinyclouds2016_pixelwise"
MODERN = "modern"
CNNS = tuple(f"cnn{number}" for number in range(1, 7))

PLAIN, HSV = "plain_loss", "hsv"
# The script's SGD at 0.1 drives a 1x1 convolution over raw taps into the sigmoid's ends, where it
# stays; the article does not name the optimizer. Here: Adam at Keras's own rate, too.
PIXELWISE_ADAM, ADAM_RATE = "pixelwise_adam", 1e-3
DROPOUT = 0.5  # the share of its first publication (Srivastava et al. 2014); the article names none
# Changes to the residual encoder, the article's and another one, by name.
OPTIONS: dict[str, ResidualEncoderConfig] = {
    "elu": ResidualEncoderConfig(activation="elu"),
    "leaky_relu": ResidualEncoderConfig(activation="leaky_relu"),
    "dropout": ResidualEncoderConfig(dropout=DROPOUT),
    "half_pixel": ResidualEncoderConfig(upsampling="half_pixel"),
}
# The six CNNs: "also tried two other rates", without naming them. Here: one either side of 1e-3.
CNN_RATES = (1e-3, 1e-2, 1e-4)


@dataclass(frozen=True)
class Budget:
    """Extent of a reproduction: pictures, sizes, seeds and experiments.

    Attributes:
      name: "smoke", "small" or "full".
      images: Training pictures that a system sees.
      batch_size: Of every run; None is the recipe's.
      image_size: Side of training and evaluation squares in pixels; None is the recipe's, and
        evaluation at 224.
      precision: Of every run; None is the recipe's.
      seeds: Of the runs that are compared seed by seed.
      systems: Recipes that are compared; None is all.
      options: Changes that are run, of `OPTIONS`, `PLAIN`, `HSV` and `PIXELWISE_ADAM`.
      photographs: Validation photographs that a run is measured on.
      evaluations: Measurements during the runs whose convergence is compared.
      watched: Validation photographs of each of those.
      cnns: Which of the six run their author's protocol.
      cnn_rates: Learning rates of that protocol.
      cnn_photographs: Its development set.
      cnn_epochs: Its epochs.
      cnn_batch: Its batch.
      memory_size: Side in pixels of the pictures in the memory measurement; 0 is none.
      checkpoint_every: Steps between checkpoints.
      decisive: Whether its figures can decide a claim; those of "smoke" only show that all runs.
    """

    name: str
    images: int
    batch_size: int | None = None
    image_size: int | None = None
    precision: str | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    systems: tuple[str, ...] | None = None
    options: tuple[str, ...] = (PLAIN, HSV, PIXELWISE_ADAM, *OPTIONS)
    photographs: int = 500
    evaluations: int = 40
    watched: int = 200
    cnns: tuple[str, ...] = CNNS
    cnn_rates: tuple[float, ...] = CNN_RATES
    cnn_photographs: int = 200
    cnn_epochs: int = 200
    cnn_batch: int = 32
    memory_size: int = 224
    checkpoint_every: int = 2000
    decisive: bool = True

    @property
    def evaluation_size(self) -> int:
        """Returns the side in pixels of the measured squares; 224 is Zhang et al. 2016."""
        return self.image_size or 224


SMOKE = Budget(
    name="smoke",
    images=16,
    batch_size=4,
    image_size=32,
    precision="float32",
    seeds=(0,),
    systems=(BASE, CODE, HYPERCOLUMN_CODE, PIXELWISE, "cnn1"),
    options=(PLAIN, HSV),
    photographs=12,
    evaluations=2,
    watched=4,
    cnns=("cnn1", "cnn2"),
    cnn_rates=(1e-3,),
    cnn_photographs=8,
    cnn_epochs=1,
    cnn_batch=4,
    memory_size=32,
    checkpoint_every=2,
    decisive=False,
)
# An hour on two CPU cores: batch 6 is the article's, 2,400 images are what it saw in 11 minutes.
SMALL = Budget(
    name="small",
    images=2400,
    batch_size=6,
    image_size=64,
    precision="auto",
    photographs=200,
    evaluations=8,
    watched=100,
    cnn_epochs=12,
    checkpoint_every=200,
)
FULL = Budget(name="full", images=936_000)  # the article's 156,000 steps of 6
BUDGETS = {budget.name: budget for budget in (SMOKE, SMALL, FULL)}


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
      name: Its folder's name.
      recipe: The recipe to train, changes applied.
      data: The data of its training and measurement.
      seed: Of weights, order and augmentation.
      evaluations: Measurements during training; 0 is none.
    """

    name: str
    recipe: Recipe
    data: DataConfig
    seed: int = 0
    evaluations: int = 0

    @property
    def images(self) -> int:
        """Returns how many training pictures it sees."""
        return self.recipe.steps * self.recipe.batch_size

    def to_json(self) -> dict[str, Any]:
        """Returns all fields, JSON-able; without the folder of the data, as it may move."""
        data = dataclasses.asdict(self.data) | {"data_dir": None, "manual_dir": None}
        return dataclasses.asdict(self) | {"recipe": self.recipe.to_json(), "data": data}


def seeded(name: str, seed: int) -> str:
    """Names a run with a seed; the first seed's has the plain name."""
    return f"{name}-seed{seed}" if seed else name


def changed(change: str) -> str:
    """Names the runs with a change."""
    return f"{BASE}-{change}"


def developed(cnn: str, rate: float) -> str:
    """Names a CNN's run by its author's protocol."""
    return f"{cnn}-development-rate{rate:g}"


# --- recipes within a budget ----------------------------------------------------------------------


def scaled(recipe: Recipe, budget: Budget, images: int | None = None) -> Recipe:
    """Fits a recipe to a budget's size, batch, precision and number of pictures.

    Warm-up is at most a tenth of the steps. pix2pix's encoder gets as many levels as the side can
    be halved; all other networks stay as they are.
    """
    batch_size = budget.batch_size or recipe.batch_size
    steps = math.ceil((images or budget.images) / batch_size)
    return dataclasses.replace(
        recipe,
        network=_fitting(recipe.network, budget.image_size or recipe.image_size),
        batch_size=batch_size,
        steps=steps,
        warmup_steps=min(recipe.warmup_steps, steps // 10),
        image_size=budget.image_size or recipe.image_size,
        precision=budget.precision or recipe.precision,
    )


def _fitting(network: Any, size: int) -> Any:
    if isinstance(network, Pix2PixConfig):
        levels = min(len(network.widths), int(math.log2(size)))
        return dataclasses.replace(network, widths=network.widths[:levels])
    return network


def is_fitted(recipe: Recipe) -> bool:
    """Returns whether the network of a scaled recipe is smaller than its recipe's."""
    return recipe.name in RECIPES and recipe.network != RECIPES[recipe.name].network


def _with(change: str) -> Recipe:
    """Returns the residual encoder of 2016, or the pixelwise model, with one change."""
    base = RECIPES[BASE]
    if change == PIXELWISE_ADAM:
        base = RECIPES[PIXELWISE]
        return dataclasses.replace(
            base, name=changed(change), optimizer="adam", learning_rate=ADAM_RATE
        )
    if change == PLAIN:
        return dataclasses.replace(base, name=changed(change), loss="euclidean")
    if change == HSV:
        return dataclasses.replace(base, name=changed(change), color_space="hsv", gray="value")
    return dataclasses.replace(base, name=changed(change), network=OPTIONS[change])


# --- the plan -------------------------------------------------------------------------------------


def systems(budget: Budget) -> tuple[str, ...]:
    """Lists the recipes that a budget compares, in the order of `RECIPES`."""
    return budget.systems or tuple(RECIPES)


def plan(budget: Budget, data: DataConfig) -> list[Run]:
    """Lists all runs of a budget, each once: the first seeds of everything first."""
    runs = [*_systems(budget, data), *_changes(budget, data), *_cnns(budget, data)]
    return sorted(runs, key=lambda run: run.seed)


def _systems(budget: Budget, data: DataConfig) -> Iterator[Run]:
    """Yields every system once; of those that are compared seed by seed, all seeds."""
    for name in systems(budget):
        recipe = scaled(RECIPES[name], budget)
        by_seed = name in (BASE, CODE, HYPERCOLUMN_CODE)
        for seed in budget.seeds if by_seed else budget.seeds[:1]:
            evaluations = budget.evaluations if name == BASE else 0
            yield Run(seeded(name, seed), recipe, data, seed, evaluations)


def _changes(budget: Budget, data: DataConfig) -> Iterator[Run]:
    for change in budget.options:
        recipe = scaled(_with(change), budget)
        once = change in (HSV, PIXELWISE_ADAM)
        for seed in budget.seeds[:1] if once else budget.seeds:
            evaluations = budget.evaluations if change == PLAIN else 0
            yield Run(seeded(recipe.name, seed), recipe, data, seed, evaluations)


def _cnns(budget: Budget, data: DataConfig) -> Iterator[Run]:
    """Yields the six CNNs by their author's protocol: few photographs, several learning rates."""
    few = dataclasses.replace(data, train_limit=budget.cnn_photographs)
    images = budget.cnn_photographs * budget.cnn_epochs
    batch = dataclasses.replace(budget, batch_size=budget.cnn_batch)
    for cnn in budget.cnns:
        for rate in budget.cnn_rates:
            recipe = scaled(RECIPES[cnn], batch, images)
            recipe = dataclasses.replace(recipe, name=developed(cnn, rate), learning_rate=rate)
            yield Run(recipe.name, recipe, few, budget.seeds[0])
