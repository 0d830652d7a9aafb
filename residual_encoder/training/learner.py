"""One training step under tf.distribute, and the optimizer it drives."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from residual_encoder import recipes
from residual_encoder.imaging import colorspace
from residual_encoder.models import factory, vgg16
from residual_encoder.recipes import Recipe
from residual_encoder.training.losses import LOSSES
from residual_encoder.utils.typing import Tensor

OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "lamb": keras.optimizers.Lamb,
}


class Learner(NamedTuple):
    """What a run trains.

    Attributes:
      model: gray -> chroma, which is kept in the end.
      optimizer: The model's; its learning rate is the run's.
      variables: Everything that a checkpoint holds.
      step: rgb [B, S, S, 3] uint8, per replica -> losses before the update by name, float32
        scalars; "loss" is what the model descends.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    variables: list[Any]
    step: Callable[[Tensor], dict[str, Tensor]]


def learner(
    model: keras.Model, recipe: Recipe, strategy: tf.distribute.Strategy, jit: bool = False
) -> Learner:
    """A network that descends its recipe's loss; to be called in the strategy's scope."""
    optimizer = make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, recipe, strategy, jit)
    variables = [*model.variables, *optimizer.variables]
    return Learner(model, optimizer, variables, lambda rgb: {"loss": step(rgb)})


@contextlib.contextmanager
def averaged(one: Learner) -> Iterator[None]:
    """Inside, the model has the moving average of its weights, where the optimizer keeps one."""
    variables = one.model.trainable_variables
    if not one.optimizer.use_ema or not int(one.optimizer.iterations):
        yield
        return
    values = [variable.numpy() for variable in variables]
    one.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def loss_of_recipe(recipe: Recipe) -> Callable[[Any, Tensor], Tensor]:
    """Looks up the recipe's loss, with its rebalancing where it reads logits."""
    loss = LOSSES[recipe.loss]
    if recipes.LOSSES[recipe.loss].reads_logits:
        return functools.partial(loss, rebalancing=recipe.rebalancing)
    return loss


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
    """The same optimizer with steps of the trunk that are `trunk_rate` times as long.

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
    """Linear warm-up from zero, then half a cosine down to zero at the last step."""
    warm = min(recipe.warmup_steps, recipe.steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warm else recipe.learning_rate,
        recipe.steps - warm,
        warmup_target=recipe.learning_rate if warm else None,
        warmup_steps=warm,
    )


def make_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    jit: bool = False,
) -> Callable[[Tensor], Tensor]:
    """The training step.

    Args:
      model: gray -> chroma.
      optimizer: Built on the model's trainable variables.
      recipe: Color space, gray and loss.
      strategy: Whose replicas share the batch.
      jit: Whether XLA compiles forward, backward and update.

    Returns:
      A function: rgb [B, S, S, 3] uint8, per replica -> the loss before the update, float32 scalar.
    """
    replicas = strategy.num_replicas_in_sync
    loss_of = loss_of_recipe(recipe)
    forward = factory.training_function(model, recipe.network)

    @tf.function(jit_compile=jit or None)
    def replica_step(rgb: Tensor) -> Tensor:
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        with tf.GradientTape() as tape:
            # Keras optimizers sum gradients over replicas, so each gives its share of the mean.
            loss = loss_of(truth, forward(truth.gray, training=True)) / replicas
        descend(model, optimizer, tape.gradient(loss, model.trainable_variables))
        return loss

    return on_every_replica(replica_step, strategy)


def descend(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, gradients: list[Tensor]
) -> None:
    """Moves a model's trainable variables, and no others."""
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def on_every_replica(
    replica_step: Callable[[Tensor], Any], strategy: tf.distribute.Strategy
) -> Callable[[Tensor], Any]:
    """Runs a step on every replica's part of a batch, and adds up the losses that they return."""

    @tf.function
    def step(rgb: Tensor) -> Any:
        losses = strategy.run(replica_step, args=(rgb,))
        # One by one: workers with one device each cannot reduce a dictionary.
        add_up = functools.partial(strategy.reduce, tf.distribute.ReduceOp.SUM, axis=None)
        return tf.nest.map_structure(add_up, losses)

    return step
