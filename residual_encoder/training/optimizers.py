"""Optimizers by name, with the recipe's schedule and the trunk's own learning rate."""

from __future__ import annotations

from typing import Any

import keras

from residual_encoder.models import vgg16
from residual_encoder.recipes import Recipe
from residual_encoder.utils.typing import Tensor

OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "lamb": keras.optimizers.Lamb,
}


def make_optimizer(recipe: Recipe, name: str = "optimizer") -> keras.optimizers.Optimizer:
    """Builds the recipe's optimizer with its schedule; its variables are named after it."""
    rate = recipe.learning_rate if recipe.schedule == "constant" else _cosine(recipe)
    settings: dict[str, Any] = {"learning_rate": rate, "name": name}
    if recipe.ema:
        settings |= {"use_ema": True, "ema_momentum": recipe.ema}
    if recipe.optimizer != "sgd":
        settings["beta_1"] = recipe.beta1
    if recipe.optimizer in ("adamw", "lamb"):
        settings["weight_decay"] = recipe.weight_decay
    optimizer = _with_trunk_rate(OPTIMIZERS[recipe.optimizer], recipe.trunk_rate)(**settings)
    if recipe.optimizer in ("adamw", "lamb"):
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def _with_trunk_rate(kind: type[Any], trunk_rate: float) -> type[Any]:
    """Returns the same optimizer, but the trunk's steps are `trunk_rate` times as long.

    Weight decay is by the whole rate, for the trunk too.
    """
    if trunk_rate == 1:
        return kind

    class WithTrunkRate(kind):
        """Scales the learning rate by the variable's place."""

        def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
            known = self._trainable_variables[self._get_variable_index(variable)]
            factor = trunk_rate if vgg16.is_trunk(known.path) else 1.0
            super().update_step(gradient, variable, factor * learning_rate)

    return WithTrunkRate


def _cosine(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Warms up linearly from zero, then follows half a cosine to zero at the last step."""
    warm = min(recipe.warmup_steps, recipe.steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warm else recipe.learning_rate,
        recipe.steps - warm,
        warmup_target=recipe.learning_rate if warm else None,
        warmup_steps=warm,
    )
