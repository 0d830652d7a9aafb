"""A training run that tests can afford, and what it saved."""

import dataclasses

import numpy as np
import tensorflow as tf

from residual_encoder.data.configs import DataConfig
from residual_encoder.models import weights
from residual_encoder.recipes import RECIPES
from residual_encoder.training import checkpoints
from residual_encoder.training.run import TrainConfig

TINY = dataclasses.replace(RECIPES["tinyclouds2016"], batch_size=2, steps=4, image_size=16)
SCENES = DataConfig("synthetic", synthetic_size=12)
ONE = tf.distribute.get_strategy()


def config(workdir, recipe=TINY, **changes):
    settings = {"vgg16_weights": "none", "eval_every": 0, "checkpoint_every": 2, "log_every": 2}
    return TrainConfig(recipe, SCENES, str(workdir), **(settings | changes))


def saved(workdir):
    step = checkpoints.steps(workdir / "checkpoints")[-1]
    arrays, about = weights.read_arrays(workdir / "checkpoints" / f"step-{step:08d}.h5")
    return arrays, about


def small_square(rgb, size):
    side = min(rgb.shape[:2])
    square = tf.image.resize_with_crop_or_pad(rgb, side, side)
    return np.rint(tf.image.resize(square, [size, size], antialias=True)).astype(np.uint8)
