"""Measures how much memory one training step takes, in a process of its own.

On a GPU the process gets a logical device of the memory asked for, and the step fits or does not.
On a CPU the step's share of the process's peak is taken (Linux only).
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residual_encoder.recipes import Recipe
from residual_encoder.utils.typing import Tensor

MIB = 1 << 20
WARM_UP_SIZE = 32  # pixels: all networks of the article take it, and it costs no memory to speak of
METHOD = {
    "cpu": "growth of the process's peak resident memory (VmHWM) over the built network during one "
    "float32 step, traced and run once on one picture of 32 pixels beforehand; weights added",
    "gpu": "two float32 steps on a logical GPU of the given memory, which fit or run out of it",
}


@dataclass(frozen=True)
class StepMemory:
    """Memory and time of one training step.

    Attributes:
      method: "cpu" or "gpu", see `METHOD`.
      batch_size: Pictures in the step.
      image_size: Their side in pixels.
      weights: MiB of the network's and the optimizer's variables, float32.
      step: MiB on top of them; None where the step did not fit.
      fits: Whether all of it stays within the limit.
    """

    method: str
    batch_size: int
    image_size: int
    weights: float
    step: float | None
    fits: bool


def step_memory(recipe: Recipe, batch_size: int, image_size: int, limit: int) -> StepMemory:
    """Runs one training step in a fresh process.

    Args:
      recipe: The recipe to train; the values of its weights do not matter.
      batch_size: Pictures in the step.
      image_size: Their side in pixels.
      limit: MiB that it may take.

    Raises:
      OSError: the system does not report what memory a process takes.
      concurrent.futures.process.BrokenProcessPool: the process was killed, for memory as a rule.
    """
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(_measure, recipe, batch_size, image_size, limit).result()


# --- in the process of its own --------------------------------------------------------------------


def _measure(recipe: Recipe, batch_size: int, image_size: int, limit: int) -> StepMemory:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        device = tf.config.LogicalDeviceConfiguration(memory_limit=limit)
        tf.config.set_logical_device_configuration(gpus[0], [device])
    return (_on_gpu if gpus else _on_cpu)(recipe, batch_size, image_size, limit)


def _step(recipe: Recipe) -> tuple[Callable[[Tensor], Any], float]:
    """Makes a traced step that takes any size, and counts MiB of its variables."""
    import tensorflow as tf

    from residual_encoder import models
    from residual_encoder.training import distributed
    from residual_encoder.training.learner import supervised_learner

    strategy = distributed.strategy("one")
    with strategy.scope():
        model = models.build_recipe(recipe)
        learner = supervised_learner(model, recipe, strategy)
    any_size = tf.TensorSpec([None, None, None, 3], tf.uint8)
    step = tf.function(learner.step, input_signature=[any_size])
    return step, 4 * sum(variable.shape.num_elements() for variable in learner.variables) / MIB


def _pictures(batch_size: int, image_size: int) -> Tensor:
    """Makes noise, [B, S, S, 3] uint8."""
    import tensorflow as tf

    shape = [batch_size, image_size, image_size, 3]
    noise = tf.random.stateless_uniform(shape, [0, 0], 0, 256, tf.int32)
    return tf.cast(noise, tf.uint8)


def _on_gpu(recipe: Recipe, batch_size: int, image_size: int, limit: int) -> StepMemory:
    import tensorflow as tf

    step, weights = _step(recipe)
    try:
        for _ in range(2):
            float(step(_pictures(batch_size, image_size))["loss"])
    except tf.errors.ResourceExhaustedError:
        return StepMemory("gpu", batch_size, image_size, weights, None, False)
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / MIB
    return StepMemory("gpu", batch_size, image_size, weights, peak - weights, True)


def _on_cpu(recipe: Recipe, batch_size: int, image_size: int, limit: int) -> StepMemory:
    step, weights = _step(recipe)
    float(step(_pictures(1, WARM_UP_SIZE))["loss"])
    pictures = _pictures(batch_size, image_size)
    _forget_peak()
    before = _resident("VmRSS")
    float(step(pictures)["loss"])
    grown = _resident("VmHWM") - before
    return StepMemory("cpu", batch_size, image_size, weights, grown, weights + grown <= limit)


def _forget_peak() -> None:
    """Resets VmHWM to the memory resident now, see proc(5)."""
    Path("/proc/self/clear_refs").write_text("5")


def _resident(field: str) -> float:
    """Reads a line of /proc/self/status, in MiB."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if found is None:
        raise OSError(f"/proc/self/status has no {field}; memory can be measured on Linux only.")
    return int(found[1]) / 1024
