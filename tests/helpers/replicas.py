"""Trains a few steps on the given number of logical CPU devices; run by test_replicas.py.

python tests/helpers/replicas.py REPLICAS WORKDIR [adversarial]
"""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401  finds the package
import tensorflow as tf

from residual_encoder.data.configs import DataConfig
from residual_encoder.recipes import RECIPES, Adversarial
from residual_encoder.training import distributed
from residual_encoder.training.run import TrainConfig
from residual_encoder.training.trainer import train

replicas, workdir = int(sys.argv[1]), sys.argv[2]
rival = Adversarial(widths=(4, 8)) if "adversarial" in sys.argv else None
cpu = tf.config.list_physical_devices("CPU")[0]
parts = [tf.config.LogicalDeviceConfiguration()] * replicas
tf.config.set_logical_device_configuration(cpu, parts)
if replicas > 1:
    mirrored = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)])
    distributed.strategy = lambda *_: mirrored
# At the recipe's 0.1 rounding errors grow fast from random weights, against a rival even faster.
size = {"batch_size": 4, "steps": 5, "image_size": 32}
if not rival:
    size = {"batch_size": 12, "steps": 20, "image_size": 16, "learning_rate": 0.01}
recipe = dataclasses.replace(RECIPES["tinyclouds2016"], adversarial=rival, **size)
scenes = DataConfig("synthetic", synthetic_size=40)
train(TrainConfig(recipe, scenes, workdir, vgg16_weights="none", eval_every=0))
