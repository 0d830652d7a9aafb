"""Changes to TensorFlow for work that is long enough, where a measurement shows it to be faster."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from residual_encoder.inference.engines import choice
from residual_encoder.inference.engines.engine import Engine
from residual_encoder.inference.model_loading import WEIGHTS, Described
from residual_encoder.models.network_size import network_size

# Seconds on two cores until TensorFlow is imported and the network compiled in it.
LOADING = 5.0
# It is tried where the work would take so many times as long: then it costs half as much again at
# worst, where it is not faster, and otherwise saves more than it costs.
WORTH = 2.0
FRAMES = 1500  # that a film is taken to have: a minute, since counting them takes longer
RUNS = 3  # timed, after one that is not
SHAPE = 3, 4  # height and width of the picture that is timed, in proportion


class Settled(NamedTuple):
    """The engine to go on with, and a line that tells why; None where nothing was measured."""

    engine: Engine
    line: str | None


def settle(engine: Engine, model: Described, size: int, pictures: int) -> Settled:
    """Chooses the faster of an engine and TensorFlow for some pictures; only weights have both.

    Args:
      engine: What runs the model now.
      model: The model.
      size: Short side in pixels that the network sees.
      pictures: How many there are to color.
    """
    if engine.name == "tensorflow" or model.kind != WEIGHTS or pictures < RUNS:
        return Settled(engine, None)
    now = seconds(engine, model, size)
    if pictures * now < WORTH * LOADING:
        return Settled(engine, None)
    other = choice.tensorflow_engine(model, "auto", size)
    then = seconds(other, model, size)
    pair = f"{_told(other, then)}; {_told(engine, now)}"
    better = other if then < now else engine
    return Settled(better, f"Engine {better.name}: {pair} a picture")


def _told(engine: Engine, seconds: float) -> str:
    return f"{engine.name} in {engine.precision} {1000 * seconds:.0f} ms"


def seconds(engine: Engine, model: Described, size: int) -> float:
    """Measures a run of a network on one picture; the shortest, since other programs disturb."""
    height, width = network_size(*SHAPE, size, model.recipe.multiple)
    gray = np.random.default_rng(0).random((1, height, width, 1), np.float32)
    engine.chroma(gray)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        engine.chroma(gray)
        times.append(time.perf_counter() - start)
    return min(times)
