"""One training step under tf.distribute."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from residual_encoder import recipes
from residual_encoder.imaging import colorspace
from residual_encoder.models import factory
from residual_encoder.recipes import Recipe
from residual_encoder.training.losses import LOSS_FUNCTIONS
from residual_encoder.training.optimizers import make_optimizer
from residual_encoder.utils.typing import Tensor


class Learner(NamedTuple):
    """Network, optimizer and step of a run.

    Attributes:
      model: gray -> chroma, which is kept in the end.
      optimizer: The model's; its learning rate is the run's.
      variables: Everything that a checkpoint holds.
      step: rgb [B, S, S, 3] uint8, per replica -> losses before the update by name, float32
        scalars; "loss" is the one that the model minimizes.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    variables: list[Any]
    step: Callable[[Tensor], dict[str, Tensor]]


def supervised_learner(
    model: keras.Model, recipe: Recipe, strategy: tf.distribute.Strategy, jit: bool = False
) -> Learner:
    """Makes a network learn by its recipe's loss; to be called in the strategy's scope."""
    optimizer = make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, recipe, strategy, jit)
    variables = [*model.variables, *optimizer.variables]
    return Learner(model, optimizer, variables, lambda rgb: {"loss": step(rgb)})


@contextlib.contextmanager
def averaged(one: Learner) -> Iterator[None]:
    """Gives the model the moving average of its weights, where the optimizer keeps one, inside."""
    variables = one.model.trainable_variables
    if not one.optimizer.use_ema or not int(one.optimizer.iterations.numpy()):
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
    loss = LOSS_FUNCTIONS[recipe.loss]
    if recipes.LOSSES[recipe.loss].reads_logits:
        return functools.partial(loss, rebalancing=recipe.rebalancing)
    return loss


def make_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    jit: bool = False,
) -> Callable[[Tensor], Tensor]:
    """Makes the training step.

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
    """Runs a step on every replica's share of a batch, and adds up the losses that they return."""

    @tf.function
    def step(rgb: Tensor) -> Any:
        losses = strategy.run(replica_step, args=(rgb,))
        # One by one: workers with one device each cannot reduce a dictionary.
        add_up = functools.partial(strategy.reduce, tf.distribute.ReduceOp.SUM, axis=None)
        return tf.nest.map_structure(add_up, losses)

    return step
