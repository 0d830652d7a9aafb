"""Times training, coloring and reading: medians, after warm-up, waiting for the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder import models
from residual_encoder.apps import peer_benchmark
from residual_encoder.apps.peer_benchmark import PeerBenchmark
from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.models import flops
from residual_encoder.recipes import Recipe
from residual_encoder.training import distributed
from residual_encoder.training.learner import Learner
from residual_encoder.training.learner_factory import make_learner
from residual_encoder.utils import devices
from residual_encoder.utils.typing import Tensor

# What a mode measures: the training step alone, the network alone, reading alone, the step as it is
# fed by reading.
MODES = ("train", "infer", "input", "end_to_end")
SAME_WORK = ("mode", "batch_size", "image_size", "precision")  # what a peer's rows have as well
# Dense FLOP/s of NVIDIA's data sheet of the H200 SXM; float32 products run as TF32 there.
PEAKS = {"NVIDIA H200": {"bfloat16": 989e12, "float32": 494e12}}


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings of a benchmark.

    Attributes:
      recipe: Network, loss, batch and picture size.
      data: The data that "input" and "end_to_end" read.
      modes: Some of `MODES`.
      steps: Batches a repeat.
      repeats: Timed runs, of which the median counts.
      warmup: Batches before, which compile and fill buffers.
      jit: "auto", "on" or "off": XLA.
      peer: Interpreter and script of another implementation, run in alternation with this
        one in the modes it knows; see `peer_benchmark.PeerBenchmark`.
    """

    recipe: Recipe
    data: DataConfig
    modes: tuple[str, ...] = MODES
    steps: int = 10
    repeats: int = 5
    warmup: int = 3
    jit: str = "auto"
    peer: str | None = None

    def __post_init__(self) -> None:
        """Checks modes and counts.

        Raises:
          ValueError: a mode is unknown, or a count is below 1.
        """
        if not self.modes or set(self.modes) - set(MODES):
            raise ValueError(f"modes must be some of {list(MODES)}. Received {list(self.modes)}.")
        if min(self.steps, self.repeats, self.warmup) < 1:
            raise ValueError("steps, repeats and warmup must be at least 1.")


def benchmark(config: BenchmarkConfig) -> Iterator[dict[str, Any]]:
    """Measures mode after mode.

    Yields:
      A row each: `mode`, `images_per_second` (median), `images_per_second_range`, `images`,
      `batch_size`, `image_size`, `precision`, `jit`, `device`, `gflop_per_image`, `share_of_peak`
      (None where the peak is not known), `input_wait_fraction` (None where nothing is read),
      `peak_memory_bytes` (of the GPU; without one of the whole process, so far) and `times_peer`
      (the speed-up over the faster of the peer's two variants; None without a peer). The peer's
      rows follow: `PeerBenchmark.rows` and the batch, size and precision.

    Raises:
      ValueError: a setting the device cannot do, or the peer failed.
      OSError: the data is missing, or the peer cannot be started.
    """
    if config.peer:
        devices.share_gpu_memory()
    for mode in config.modes:
        peer = _peer(config, mode)
        clock = _Clock(config, peer)
        gflop = {"train": _train, "infer": _infer, "input": _input, "end_to_end": _end_to_end}[
            mode
        ](config, clock)
        row = _row(config, mode, clock, gflop)
        yield row
        for answer in peer.rows() if peer else []:
            yield {name: row[name] for name in SAME_WORK} | answer


def _peer(config: BenchmarkConfig, mode: str) -> PeerBenchmark | None:
    if not config.peer or mode not in peer_benchmark.MODES:
        return None
    precision = devices.precision(config.recipe.precision)
    return PeerBenchmark(config.peer, mode, config.recipe, precision, config.steps)


class _Clock:
    """Times batches: warm-up first, then repeats, alternating with the peer where there is one."""

    def __init__(self, config: BenchmarkConfig, peer: PeerBenchmark | None = None) -> None:
        self.config, self.peer = config, peer
        self.batches = 0  # with the warm-up
        self.waited = 0.0  # seconds of all repeats spent waiting for input
        self.seconds: list[float] = []

    def time(self, work: Callable[[], Tensor]) -> None:
        """Runs `work`, one batch a call; it returns a scalar that the device has to finish."""
        self._run(work, self.config.warmup)
        self.waited = 0.0
        for _ in range(self.config.repeats):
            began = time.perf_counter()
            self._run(work, self.config.steps)
            self.seconds.append(time.perf_counter() - began)
            if self.peer:
                self.peer.run()

    def _run(self, work: Callable[[], Tensor], batches: int) -> None:
        for _ in range(batches):
            last = work()
            self.batches += 1
        float(last)

    def next(self, batches: Iterator[Any]) -> Any:
        """Returns the next batch and counts the time for it as waiting."""
        began = time.perf_counter()
        batch = next(batches)
        self.waited += time.perf_counter() - began
        return batch


# --- the modes: each times its work and returns GFLOP a picture -----------------------------------


def _train(config: BenchmarkConfig, clock: _Clock) -> float:
    learner, strategy = _learner(config)
    rgb = strategy.run(lambda: tf.constant(_noise(config, 3), tf.uint8))
    clock.time(lambda: learner.step(rgb)["loss"])
    return flops.count(learner.model, config.recipe.image_size).training / 1e9


def _infer(config: BenchmarkConfig, clock: _Clock) -> float:
    recipe = config.recipe
    precision = devices.precision(recipe.precision)
    network = models.build(recipe.network, precision=precision)
    for variable in network.weights:
        if variable.path.endswith("bias"):  # as a trained one: zeros would be left out of the graph
            variable.assign(tf.fill(variable.shape, 0.01))
    fast = models.for_inference(network, recipe.network, precision)
    gray = tf.constant(_noise(config, 1) / np.float32(255))

    @tf.function(jit_compile=devices.jit(config.jit, precision) or None)
    def colors() -> Tensor:
        return tf.reduce_sum(fast(gray))

    clock.time(colors)
    return flops.count(network, recipe.image_size).forward / 1e9


def _input(config: BenchmarkConfig, clock: _Clock) -> float:
    batches = iter(_batches(config))
    clock.time(lambda: clock.next(batches).rgb[0, 0, 0, 0])
    return 0.0


def _end_to_end(config: BenchmarkConfig, clock: _Clock) -> float:
    learner, strategy = _learner(config)
    batches = iter(strategy.experimental_distribute_dataset(_batches(config)))
    clock.time(lambda: learner.step(clock.next(batches).rgb)["loss"])
    return flops.count(learner.model, config.recipe.image_size).training / 1e9


def _noise(config: BenchmarkConfig, channels: int) -> np.ndarray:
    """Returns random pictures, the same in each run. uint8 [B, S, S, channels]."""
    recipe = config.recipe
    shape = (recipe.batch_size, recipe.image_size, recipe.image_size, channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _learner(config: BenchmarkConfig) -> tuple[Learner, tf.distribute.Strategy]:
    strategy, precision = distributed.strategy("one"), devices.precision(config.recipe.precision)
    jit = devices.jit(config.jit, precision)
    return make_learner(config.recipe, strategy, precision=precision, jit=jit), strategy


def _batches(config: BenchmarkConfig) -> tf.data.Dataset:
    recipe = config.recipe
    return input_pipeline.train_batches(
        config.data,
        batch_size=recipe.batch_size,
        image_size=recipe.image_size,
        augment=recipe.augment,
        seed=0,
    )


# --- rows -----------------------------------------------------------------------------------------


def _row(config: BenchmarkConfig, mode: str, clock: _Clock, gflop: float) -> dict[str, Any]:
    recipe = config.recipe
    precision = devices.precision(recipe.precision)
    rates = [config.steps * recipe.batch_size / seconds for seconds in clock.seconds]
    timed, reads = peer_benchmark.rates(rates), mode in ("input", "end_to_end")
    rate, best = timed["images_per_second"], clock.peer.best() if clock.peer else None
    peak = PEAKS.get(devices.describe().removeprefix("1 x "), {}).get(precision)
    return {
        "mode": mode,
        **timed,
        "images": clock.batches * recipe.batch_size,
        "recipe": recipe.name,
        "train_trunk": recipe.train_trunk,
        "batch_size": recipe.batch_size,
        "image_size": recipe.image_size,
        "precision": precision,
        "jit": devices.jit(config.jit, precision),
        "device": devices.describe(),
        "gflop_per_image": round(gflop, 3),
        "share_of_peak": round(rate * gflop * 1e9 / peak, 4) if peak else None,
        "input_wait_fraction": round(clock.waited / sum(clock.seconds), 4) if reads else None,
        "peak_memory_bytes": _peak_memory(),
        "times_peer": round(rate / best, 3) if best else None,
    }


def _peak_memory() -> int | None:
    """Returns bytes of the first GPU, else of this process (VmHWM); None where neither is known."""
    if tf.config.list_physical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
