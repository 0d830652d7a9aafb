"""One training step under tf.distribute, and the optimizer it drives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from residual_encoder import colorspace
from residual_encoder.losses import LOSSES
from residual_encoder.recipes import Recipe

Tensor = Any


def make_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The recipe's optimizer with its schedule."""
    rate = recipe.learning_rate if recipe.schedule == "constant" else _cosine(recipe)
    # A fixed name, so that variables are called the same in every checkpoint.
    if recipe.optimizer in ("sgd", "adam"):
        kind = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[recipe.optimizer]
        return kind(rate, name="optimizer")
    kind = {"adamw": keras.optimizers.AdamW, "lamb": keras.optimizers.Lamb}[recipe.optimizer]
    optimizer = kind(rate, weight_decay=recipe.weight_decay, name="optimizer")
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


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
    loss_of = LOSSES[recipe.loss]

    @tf.function(jit_compile=jit or None)
    def replica_step(rgb: Tensor) -> Tensor:
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        with tf.GradientTape() as tape:
            # Keras optimizers sum gradients over replicas, so each gives its share of the mean.
            loss = loss_of(truth, model(truth.gray, training=True)) / replicas
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    @tf.function
    def step(rgb: Tensor) -> Tensor:
        losses = strategy.run(replica_step, args=(rgb,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    return step
