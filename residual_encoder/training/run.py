"""A training run: its settings, its state between two steps, and its result."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from residual_encoder.data.configs import DataConfig, check_separate
from residual_encoder.data.input_pipeline import Cursor
from residual_encoder.models import any_size
from residual_encoder.recipes import LOSSES, Recipe
from residual_encoder.training.distributed import WorkerGroup
from residual_encoder.training.learner import Learner
from residual_encoder.training.meter import Meter
from residual_encoder.training.workdir import Workdir
from residual_encoder.utils.typing import Tensor


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run.

    Attributes:
      recipe: The recipe to train, flags applied.
      data: The data to train on.
      workdir: Where everything goes; a used one is resumed.
      vgg16_weights: "imagenet", "none" or the path of a VGG16 weight file.
      init_from: Weights file or workdir to start all weights from, or None.
      eval_data: The data to evaluate on (its validation split); None is `data`.
      eval_every: Steps between evaluations, and one at the end; 0 is never.
      eval_limit: Photographs in an evaluation, at most.
      eval_losses: Names of losses of chroma that an evaluation computes besides the metrics.
      checkpoint_every: Steps between checkpoints and strip sheets.
      log_every: Steps between log rows.
      samples: Pictures on a strip sheet.
      seed: Of weights, order and augmentation.
      jit: "auto", "on" or "off": XLA.
      strategy: "auto", "one", "mirrored" or "multiworker", as in `distributed.strategy`. However
        many share it, the batch is the recipe's, and so is the learning rate: neither is scaled.
    """

    recipe: Recipe
    data: DataConfig
    workdir: str
    vgg16_weights: str = "imagenet"
    init_from: str | None = None
    eval_data: DataConfig | None = None
    eval_every: int = 5000
    eval_limit: int = 200
    eval_losses: tuple[str, ...] = ()
    checkpoint_every: int = 1000
    log_every: int = 50
    samples: int = 8
    seed: int = 0
    jit: str = "auto"
    strategy: str = "auto"

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: a field has a value that cannot be used.
        """
        least = {
            "checkpoint_every": 1,
            "log_every": 1,
            "eval_limit": 1,
            "samples": 1,
            "eval_every": 0,
        }
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                value = getattr(self, name)
                raise ValueError(f"{name} must be at least {minimum}. Received {value}.")
        for name in self.eval_losses:
            self._check_eval_loss(name)
        if self.eval_every:
            check_separate(self.data, self.eval_data or self.data)

    def _check_eval_loss(self, name: str) -> None:
        spaces = LOSSES[name].color_spaces if name in LOSSES else ()
        if name not in LOSSES or LOSSES[name].reads_logits:
            known = ", ".join(name for name, info in LOSSES.items() if not info.reads_logits)
            raise ValueError(f"eval_losses takes names of: {known}. Received {name!r}.")
        if spaces and self.recipe.color_space not in spaces:
            raise ValueError(
                f"eval_losses: {name} is of color space {' or '.join(spaces)}, and recipe "
                f"{self.recipe.name} is of {self.recipe.color_space}"
            )


@dataclass(frozen=True)
class TrainResult:
    """Outcome of a training run.

    Attributes:
      step: Steps done.
      interrupted: Whether a signal ended it before the recipe's last step.
      evaluation: The last evaluation of this process, if there was one; of several workers the
        chief evaluates.
    """

    step: int
    interrupted: bool
    evaluation: dict[str, Any] | None


class Diverged(ValueError):
    """The loss is no longer a finite number."""


@dataclass
class TrainingRun:
    """State of a run between two steps.

    Attributes:
      config: The run's settings.
      workers: The group of workers that share the batches.
      learner: Network, optimizer and step.
      meter: Losses and time since the last log row, and seconds of training over all processes.
      step: Steps done.
      saved: Step of the newest checkpoint.
      cursor: The next record to read.
      best: Pooled PSNR gain of the best evaluation, dB.
      evaluation: The last one of this process.
    """

    config: TrainConfig
    workers: WorkerGroup
    learner: Learner
    meter: Meter = field(default_factory=Meter)
    step: int = 0
    saved: int = 0
    cursor: Cursor = Cursor(0, 0)
    best: float = -math.inf
    evaluation: dict[str, Any] | None = None

    @functools.cached_property
    def workdir(self) -> Workdir:
        """Returns the folder that the chief reads and writes, and no other worker."""
        return Workdir(self.config.workdir)

    @property
    def recipe(self) -> Recipe:
        """Returns the recipe that is trained."""
        return self.config.recipe

    @property
    def model(self) -> keras.Model:
        """Returns the network, gray -> chroma."""
        return self.learner.model

    @functools.cached_property
    def predict(self) -> Callable[[Tensor], Tensor]:
        """Returns the function gray [B, H, W, 1] of any size -> chroma, as inference uses it."""
        network = any_size.with_margin(
            functools.partial(self.model, training=False), self.recipe.margin
        )
        size, multiple = self.recipe.inference_size, self.recipe.multiple
        return tf.function(lambda gray: any_size.chroma_at(network, gray, size, multiple))

    def is_due(self, every: int) -> bool:
        """Returns whether something that comes every so many steps, and at the end, comes now."""
        return self.step % every == 0 or self.step == self.recipe.steps

    def mean_losses(self) -> dict[str, float]:
        """Returns the mean of every loss over the steps since the last log row.

        Raises:
          Diverged: one is not finite.
        """
        means = self.meter.mean_losses()
        for name, loss in means.items():
            if not math.isfinite(loss):
                raise Diverged(
                    f"The {name.replace('_', ' ')} is {loss} by step {self.step}; training "
                    f"stopped. The last good checkpoint is in {self.config.workdir}. "
                    "Try a lower --learning_rate."
                )
        return means

    def state(self) -> dict[str, Any]:
        """Returns the JSON-able part of a checkpoint, stored with the variables."""
        return {
            "cursor": [int(part) for part in self.cursor],
            "seconds": self.meter.total_seconds() if self.step else 0.0,
            "best": self.best,
        }

    def resume(self, step: int, state: dict[str, Any]) -> None:
        """Takes over step and `state` of a checkpoint."""
        self.step = self.saved = step
        self.cursor = Cursor(*state["cursor"])
        self.meter.seconds, self.best = state["seconds"], state["best"]
