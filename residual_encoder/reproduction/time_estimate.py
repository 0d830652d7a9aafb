"""Estimates how long runs will take, before and while they run."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

import tensorflow as tf

from residual_encoder import models
from residual_encoder.models import flops
from residual_encoder.models.configs import NetworkConfig
from residual_encoder.reproduction.experiments import Run

# Building, tracing, checkpoint, measuring and pictures of one run, on two CPU cores and on a GPU.
SETUP_SECONDS = 20.0
PICTURE_SECONDS = 0.004  # of reading and of all but convolutions, two CPU cores
PROBE_SHARE = 0.5  # of a lone convolution's speed is what whole networks come to


class Forecast:
    """Forecast of the seconds of runs, corrected by those that are done.

    Args:
      runs: All that is to be done.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._rate = PROBE_SHARE * _convolution_rate()
        self._operations: dict[tuple[NetworkConfig, bool, int, int], int] = {}
        self.expected = {run.name: self._seconds(run) for run in runs}
        self._done: dict[str, float] = {}

    def _seconds(self, run: Run) -> float:
        recipe = run.recipe
        key = recipe.network, recipe.train_trunk, recipe.frozen_blocks, recipe.image_size
        if key not in self._operations:
            model = models.build_recipe(recipe)
            self._operations[key] = flops.count(model, recipe.image_size).training
        picture = PICTURE_SECONDS + self._operations[key] / self._rate
        return SETUP_SECONDS + run.images * picture

    def note(self, name: str, seconds: float) -> None:
        """Records the seconds of a finished run."""
        self._done[name] = seconds

    def left(self) -> float:
        """Estimates the seconds that the other runs will take, by the pace so far."""
        expected = sum(self.expected[name] for name in self._done)
        pace = sum(self._done.values()) / expected if expected else 1.0
        return pace * sum(s for name, s in self.expected.items() if name not in self._done)


def as_clock(seconds: float) -> str:
    """Formats seconds as a clock does: 1:02:03."""
    return str(datetime.timedelta(seconds=round(seconds)))


def _convolution_rate(seconds: float = 0.5) -> float:
    """Measures floating-point operations a second of a 3x3 convolution."""
    x, kernel = tf.ones([4, 64, 64, 64]), tf.ones([3, 3, 64, 64])
    convolve = tf.function(lambda: tf.reduce_sum(tf.nn.conv2d(x, kernel, 1, "SAME")))
    float(convolve())
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        float(convolve())
        count += 1
    return count * 2 * 4 * 64**2 * 9 * 64**2 / (time.perf_counter() - began)
