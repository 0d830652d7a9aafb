"""Chooses what a recipe trains: its network, and the supervised or the adversarial step."""

from __future__ import annotations

import tensorflow as tf

from residual_encoder import models
from residual_encoder.recipes import Recipe
from residual_encoder.training.adversarial import adversarial_learner
from residual_encoder.training.learner import Learner, supervised_learner


def make_learner(
    recipe: Recipe,
    strategy: tf.distribute.Strategy,
    *,
    precision: str,
    jit: bool,
    vgg16_weights: str = "none",
) -> Learner:
    """Builds everything that a training run moves, in the strategy's scope.

    Args:
      recipe: The recipe to train.
      strategy: Whose devices share the batch.
      precision: "float32" or "bfloat16", of the layers.
      jit: Whether XLA compiles the step.
      vgg16_weights: "imagenet", "none" or the path of a VGG16 weight file.

    Raises:
      ValueError: a weight file does not fit.
      OSError: a weight file is missing.
    """
    with strategy.scope():
        model = models.build_recipe(recipe, vgg16_weights=vgg16_weights, precision=precision)
        if recipe.adversarial:
            return adversarial_learner(model, recipe, strategy, precision, jit)
        return supervised_learner(model, recipe, strategy, jit)
