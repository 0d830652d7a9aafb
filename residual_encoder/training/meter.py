"""Losses and speed of training, without the time for compilation, evaluation and checkpoints."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from residual_encoder.data.input_pipeline import TrainBatch
from residual_encoder.utils.typing import Tensor


class Speed(NamedTuple):
    """Speed of the steps since the last log row."""

    images_per_second: float | None  # None while the only step was the one that compiles
    input_wait_fraction: float  # of the time


class Meter:
    """Adds up losses and time since the last log row.

    Attributes:
      seconds: Of training until the last log row, over all processes of a run; the first step's
        compilation is part of it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._losses: list[dict[str, Tensor]] = []  # a step each
        self._compiles = True  # the next step does, so it does not count for the speed
        self.start()

    def start(self) -> None:
        """Starts an interval."""
        self._started, self._waited, self._counted = time.perf_counter(), 0.0, 0

    def wait_for(self, batches: Iterator[TrainBatch]) -> TrainBatch:
        """Returns the next batch; the time it took is input wait."""
        if self._compiles and self._losses:
            self._compiles = False
            float(self._losses[-1]["loss"])  # waits for the device
            self.seconds += time.perf_counter() - self._started
            self.start()
        began = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - began
        self._counted += 1
        return batch

    def total_seconds(self) -> float:
        """Returns `seconds` with those of the interval that has not ended."""
        return self.seconds + time.perf_counter() - self._started

    def add(self, losses: dict[str, Tensor]) -> None:
        """Adds the losses of a step, float32 scalars by name; does not wait for their values."""
        self._losses.append(losses)

    def mean_losses(self) -> dict[str, float]:
        """Returns the mean of every loss since the last log row; empty where there was no step."""
        steps = self._losses
        return {
            name: float(tf.add_n([losses[name] for losses in steps])) / len(steps)
            for name in (steps[0] if steps else ())
        }

    def finish_interval(self, batch_size: int) -> Speed:
        """Ends an interval of steps of so many images, and starts the next one."""
        elapsed = time.perf_counter() - self._started
        self.seconds += elapsed
        rate = round(self._counted * batch_size / elapsed, 2)
        speed = Speed(None if self._compiles else rate, round(self._waited / elapsed, 4))
        self._compiles = False  # an interval of the compiling step alone has ended
        self._losses.clear()
        self.start()
        return speed

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out the time inside."""
        began = time.perf_counter()
        yield
        self._started += time.perf_counter() - began
