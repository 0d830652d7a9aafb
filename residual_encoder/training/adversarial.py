"""Training against a discriminator, as pix2pix does: the second kind of step, and its losses.

Both networks learn in the same step from the same pass. The discriminator descends its own
loss, and the network the weighted sum of the recipe's loss and the adversarial one. Each optimizer
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
from residual_encoder.training.learner import Learner, descend, on_every_replica
from residual_encoder.training.losses import LOSS_FUNCTIONS
from residual_encoder.training.optimizers import make_optimizer
from residual_encoder.utils.typing import Tensor

# The published code's guard of its logarithms.
EPSILON = 1e-12


def network_loss(fake: Tensor) -> Tensor:
    """Computes the network's adversarial loss: the mean of -log D(fake).

    Args:
      fake: Output of the discriminator for the network's colors, [B, h, w, 1] float32 in [0, 1].

    Returns:
      float32 scalar.
    """
    return -tf.reduce_mean(tf.math.log(fake + EPSILON))


def discriminator_loss(true: Tensor, fake: Tensor) -> Tensor:
    """Computes the discriminator's loss: the mean of -(log D(true) + log(1 - D(fake))).

    Args:
      true: Output of the discriminator for the true colors, [B, h, w, 1] float32 in [0, 1].
      fake: For the network's colors, of the same shape.

    Returns:
      float32 scalar.
    """
    return -tf.reduce_mean(tf.math.log(true + EPSILON) + tf.math.log(1 - fake + EPSILON))


class ModelAndOptimizer(NamedTuple):
    """A network and the optimizer that is built on its trainable variables."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer

    @property
    def variables(self) -> list[Any]:
        """Returns the variables of the network and of its optimizer."""
        return [*self.model.variables, *self.optimizer.variables]


def with_optimizer(model: keras.Model, recipe: Recipe, name: str) -> ModelAndOptimizer:
    """Builds the recipe's optimizer, its variables named by `name`, on a network."""
    optimizer = make_optimizer(recipe, name)
    optimizer.build(model.trainable_variables)
    return ModelAndOptimizer(model, optimizer)


def make_discriminator(recipe: Recipe, precision: str = "float32") -> ModelAndOptimizer:
    """Builds the discriminator of an adversarial recipe, with Adam on the recipe's schedule."""
    settings = _settings(recipe)
    rates = dataclasses.replace(
        recipe, optimizer="adam", learning_rate=settings.learning_rate, beta1=settings.beta1
    )
    model = models.build_discriminator(settings.widths, precision)
    return with_optimizer(model, rates, "discriminator_optimizer")


def _settings(recipe: Recipe) -> Adversarial:
    if recipe.adversarial is None:
        raise ValueError(
            f"Recipe {recipe.name} has no adversarial part; train it by supervised_learner."
        )
    return recipe.adversarial


def adversarial_learner(
    model: keras.Model,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    precision: str = "float32",
    jit: bool = False,
) -> Learner:
    """Makes a network learn against the discriminator of its recipe.

    To be called in the strategy's scope.

    Raises:
      ValueError: the recipe has no adversarial part.
    """
    network = with_optimizer(model, recipe, "optimizer")
    discriminator = make_discriminator(recipe, precision)
    step = make_step(network, discriminator, recipe, strategy, jit)
    variables = [*network.variables, *discriminator.variables]
    return Learner(model, network.optimizer, variables, step)


def make_step(
    network: ModelAndOptimizer,
    discriminator: ModelAndOptimizer,
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    jit: bool = False,
) -> Callable[[Tensor], dict[str, Tensor]]:
    """Makes the training step of two networks.

    Args:
      network: gray -> chroma.
      discriminator: [gray, chroma] -> how likely the chroma is true.
      recipe: Color space, gray, loss and the weights of both terms.
      strategy: Whose replicas share the batch.
      jit: Whether XLA compiles forward, backward and update.

    Returns:
      A function: rgb [B, S, S, 3] uint8, per replica -> float32 scalars, before the updates:
      "loss", which the network minimizes, the weighted sum of "loss_chroma", the recipe's, and
      "loss_adversarial"; and "loss_discriminator".
    """
    losses_of = functools.partial(_losses, network.model, discriminator.model, recipe)
    replicas = strategy.num_replicas_in_sync

    @tf.function(jit_compile=jit or None)
    def replica_step(rgb: Tensor) -> dict[str, Tensor]:
        truth = colorspace.split(rgb, recipe.space, recipe.gray)
        with tf.GradientTape(persistent=True) as tape:
            # Keras optimizers sum gradients over replicas, so each gives its share of the mean.
            losses = {name: loss / replicas for name, loss in losses_of(truth).items()}
        for (model, optimizer), name in (
            (discriminator, "loss_discriminator"),
            (network, "loss"),
        ):
            descend(model, optimizer, tape.gradient(losses[name], model.trainable_variables))
        return losses

    return on_every_replica(replica_step, strategy)


def _losses(
    network: keras.Model, discriminator: keras.Model, recipe: Recipe, truth: Truth
) -> dict[str, Tensor]:
    """Passes a batch through both networks."""
    settings = _settings(recipe)
    chroma = network(truth.gray, training=True)
    true = discriminator([truth.gray, truth.chroma], training=True)
    fake = discriminator([truth.gray, chroma], training=True)
    of_chroma, of_fake = LOSS_FUNCTIONS[recipe.loss](truth, chroma), network_loss(fake)
    return {
        "loss": settings.loss_weight * of_chroma + settings.weight * of_fake,
        "loss_chroma": of_chroma,
        "loss_adversarial": of_fake,
        "loss_discriminator": discriminator_loss(true, fake),
    }
