"""Training against a discriminator, as pix2pix does: the second kind of step, and its losses.

Both networks learn in the same step from the same pass. The discriminator descends what it gets
wrong, and the network the recipe's loss and how surely its colors are found out. Each optimizer
moves its own network's variables and no others; moving averages of the network, where it has any,
follow its one pass, and the discriminator has none.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from residual_encoder import models
from residual_encoder.imaging import colorspace
from residual_encoder.imaging.colorspace import Truth
from residual_encoder.recipes import Adversarial, Recipe
from residual_encoder.training.learner import Learner, descend, make_optimizer, on_every_replica
from residual_encoder.training.losses import LOSSES
from residual_encoder.utils.typing import Tensor

# The published code's guard of its logarithms.
EPSILON = 1e-12


def network_loss(fake: Tensor) -> Tensor:
    """How surely a network's colors are found out: the mean of -log D(fake).

    Args:
      fake: What the discriminator says of them, [B, h, w, 1] float32 in [0, 1].

    Returns:
      float32 scalar.
    """
    return -tf.reduce_mean(tf.math.log(fake + EPSILON))


def discriminator_loss(true: Tensor, fake: Tensor) -> Tensor:
    """What a discriminator gets wrong: the mean of -(log D(true) + log(1 - D(fake))).

    Args:
      true: What it says of the true colors, [B, h, w, 1] float32 in [0, 1].
      fake: And of the network's.

    Returns:
      float32 scalar.
    """
    return -tf.reduce_mean(tf.math.log(true + EPSILON) + tf.math.log(1 - fake + EPSILON))


class Player(NamedTuple):
    """A network and the optimizer that is built on its trainable variables."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer

    @property
    def variables(self) -> list[Any]:
        """Of the network and of its optimizer."""
        return [*self.model.variables, *self.optimizer.variables]


def player(model: keras.Model, recipe: Recipe, name: str) -> Player:
    """A network with the recipe's optimizer, whose variables are called by `name`."""
    optimizer = make_optimizer(recipe, name)
    optimizer.build(model.trainable_variables)
    return Player(model, optimizer)


def discriminator(recipe: Recipe, precision: str = "float32") -> Player:
    """The discriminator of an adversarial recipe, with its Adam on the recipe's schedule."""
    settings = _settings(recipe)
    rates = dataclasses.replace(
        recipe, optimizer="adam", learning_rate=settings.learning_rate, beta1=settings.beta1
    )
    model = models.build_discriminator(settings.widths, precision)
    return player(model, rates, "discriminator_optimizer")


def _settings(recipe: Recipe) -> Adversarial:
    if recipe.adversarial is None:
        raise ValueError(
            f"Recipe {recipe.name} has no adversarial part; train it by steps.learner."
        )
    return recipe.adversarial


def learner(
    model: keras.Model,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    precision: str = "float32",
    jit: bool = False,
) -> Learner:
    """A network that learns against the discriminator of its recipe.

    To be called in the strategy's scope.

    Raises:
      ValueError: the recipe has no adversarial part.
    """
    players = player(model, recipe, "optimizer"), discriminator(recipe, precision)
    step = make_step(*players, recipe, strategy, jit)
    variables = [variable for one in players for variable in one.variables]
    return Learner(model, players[0].optimizer, variables, step)


def make_step(
    network: Player,
    rival: Player,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    jit: bool = False,
) -> Callable[[Tensor], dict[str, Tensor]]:
    """The training step of two networks.

    Args:
      network: gray -> chroma.
      rival: [gray, chroma] -> how likely the chroma is true.
      recipe: Color space, gray, loss and the weights of both terms.
      strategy: Whose replicas share the batch.
      jit: Whether XLA compiles forward, backward and update.

    Returns:
      A function: rgb [B, S, S, 3] uint8, per replica -> float32 scalars, before the updates:
      "loss", what the network descends, the weighted sum of "loss_chroma", the recipe's, and
      "loss_adversarial"; and "loss_discriminator".
    """
    losses_of = functools.partial(_losses, network.model, rival.model, recipe)
    replicas = strategy.num_replicas_in_sync

    @tf.function(jit_compile=jit or None)
    def replica_step(rgb: Tensor) -> dict[str, Tensor]:
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        with tf.GradientTape(persistent=True) as tape:
            # Keras optimizers sum gradients over replicas, so each gives its share of the mean.
            losses = {name: loss / replicas for name, loss in losses_of(truth).items()}
        for (model, optimizer), name in ((rival, "loss_discriminator"), (network, "loss")):
            descend(model, optimizer, tape.gradient(losses[name], model.trainable_variables))
        return losses

    return on_every_replica(replica_step, strategy)


def _losses(
    network: keras.Model, rival: keras.Model, recipe: Recipe, truth: Truth
) -> dict[str, Tensor]:
    """One pass of both networks."""
    settings = _settings(recipe)
    chroma = network(truth.gray, training=True)
    true = rival([truth.gray, truth.chroma], training=True)
    fake = rival([truth.gray, chroma], training=True)
    of_chroma, of_rival = LOSSES[recipe.loss](truth, chroma), network_loss(fake)
    return {
        "loss": settings.loss_weight * of_chroma + settings.weight * of_rival,
        "loss_chroma": of_chroma,
        "loss_adversarial": of_rival,
        "loss_discriminator": discriminator_loss(true, fake),
    }
