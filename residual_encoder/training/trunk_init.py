"""Fills a low-rank trunk from VGG16, fitted to training pictures."""

from __future__ import annotations

import keras
import tensorflow as tf

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.record_stats import RecordStats
from residual_encoder.imaging.augment_config import Augment
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.models import low_rank, vgg16
from residual_encoder.recipes import Recipe

# Training pictures that a split trunk is fitted to, and their size: 100,000 responses of block 4,
# 200 times as many as it has channels.
PICTURES, BATCH, SIZE = 256, 16, 160


def fill_split_trunk(
    model: keras.Model, recipe: Recipe, data: DataConfig, vgg16_weights: str, seed: int
) -> None:
    """Fills a trunk whose deep convolutions are split from VGG16's own, by training pictures.

    Does nothing for a network without a split trunk.

    Args:
      model: The network to fill.
      recipe: Its rank and its gray.
      data: The training pictures.
      vgg16_weights: "imagenet" or the path of a VGG16 weight file; "none" leaves the trunk random.
      seed: Decides which pictures.

    Raises:
      ValueError: the weight file does not fit, or there are no pictures, or too many are
        broken.
      OSError: the weight file is missing.
    """
    rank = getattr(recipe.network, "trunk_rank", 0)
    if not rank or vgg16_weights == "none":
        return
    stats = RecordStats()
    pictures = input_pipeline.train_batches(
        data, batch_size=BATCH, image_size=SIZE, augment=Augment(), seed=seed, stats=stats
    )
    grays = (
        tf.repeat(GRAYS[recipe.gray](tf.cast(batch.rgb, tf.float32) / 255), 3, axis=-1)
        for batch in pictures.take(PICTURES // BATCH)
    )
    with stats.reraising():
        arrays = low_rank.split_weights(vgg16.whole(vgg16_weights), grays, rank)
    trunk = models.trunk_of(model)
    for variable in trunk.weights if trunk else []:
        if variable.path in arrays:
            variable.assign(arrays[variable.path])
