"""Training: a recipe and a dataset in, a checkpoint out; the same command again resumes it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.input_pipeline import Cursor, RecordStats, TrainBatch, WorkerShare
from residual_encoder.models import weights
from residual_encoder.recipes import Recipe
from residual_encoder.training import checkpoints, distributed, snapshots
from residual_encoder.training.distributed import WorkerGroup
from residual_encoder.training.learner_factory import make_learner
from residual_encoder.training.run import TrainConfig, TrainingRun, TrainResult
from residual_encoder.training.trunk_init import fill_split_trunk
from residual_encoder.training.workdir import Workdir, differences
from residual_encoder.utils import devices, files

# config.json keys that must not change within a workdir; the rest describes the machine.
FIXED = ("recipe", "data", "vgg16_weights", "init_from", "seed")
# Settings that only the chief acts on, so that the other workers may be given other ones.
CHIEFS_OWN = ("workdir", "vgg16_weights", "init_from", "eval_data", "strategy")


def train(config: TrainConfig) -> TrainResult:
    """Trains until the recipe's last step, or until SIGTERM or Ctrl-C, and saves.

    Run again with the same config, it resumes from the newest checkpoint; on a CPU the weights are
    then bit-equal to those of a run that was never stopped.

    Of several workers the chief, the first one, evaluates and writes while the others wait, and a
    signal to one of them stops all at the same step. Their number may change when a run is resumed.

    Raises:
      ValueError: the workdir belongs to another run, a weight file does not fit, the batch cannot
        be shared, TF_CONFIG is wrong, or (`Diverged`) the loss is not finite; the last good
        checkpoint stays.
      OSError: data or weights are missing, the workdir cannot be written or is in use, or another
        worker is gone.
    """
    workers = WorkerGroup.of(distributed.strategy(config.strategy, config.recipe.batch_size))
    alone = Workdir(config.workdir).locked() if workers.chief else contextlib.nullcontext()
    with workers.errors_as_worker_lost(), alone:
        return _train(config, workers)


def _train(config: TrainConfig, workers: WorkerGroup) -> TrainResult:
    """Trains as `train` documents, while no other process uses the workdir."""
    precision = devices.precision(config.recipe.precision)
    jit = devices.jit(config.jit, precision, workers.strategy.num_replicas_in_sync)
    _check_sharing(config, workers, precision)
    if not jit and not tf.config.list_physical_devices("GPU"):  # XLA refuses pooling's gradient
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    if workers.chief:
        # Missing data is reported before VGG16 is downloaded; ImageNet is prepared here.
        snapshots.check_eval_data(config)
    run = _build(config, workers, precision, jit)
    if workers.chief:
        started = bool(checkpoints.steps(run.workdir.checkpoints))
        run.workdir.claim(_about(run, precision, jit), FIXED if started else (), _up_to_date)
    _restore(run)
    if workers.chief:
        snapshots.describe(run)
    with _until_signal() as stopped:
        if workers.chief and run.saved and not snapshots.has_snapshot(run):
            snapshots.write_snapshot(run)
        _loop(run, stopped)
    return TrainResult(run.step, run.step < run.recipe.steps, run.evaluation)


# --- start-up -------------------------------------------------------------------------------------


def _check_sharing(config: TrainConfig, workers: WorkerGroup, precision: str) -> None:
    """Checks that every replica gets as many pictures, and every worker the chief's settings.

    Raises:
      ValueError: the batch cannot be shared, or a worker was given other settings.
    """
    batch_size, replicas = config.recipe.batch_size, workers.strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of {replicas}, the number of devices that share it. "
            f"Received {batch_size}."
        )
    own = dataclasses.asdict(config) | {"recipe": config.recipe.to_json(), "precision": precision}
    for key in CHIEFS_OWN:
        del own[key]
    own["data"] |= {"data_dir": None, "manual_dir": None}
    chiefs, own = workers.broadcast_json(own), json.loads(json.dumps(own))
    different = [line for key in own for line in differences(key, chiefs[key], own[key])]
    if different:
        raise ValueError(
            f"Worker {workers.index} was started with other settings than the chief: "
            f"{'; '.join(different)}. Give every worker the same flags."
        )


def _build(config: TrainConfig, workers: WorkerGroup, precision: str, jit: bool) -> TrainingRun:
    """Builds the learner in the strategy's scope; the chief's gets VGG16's weights."""
    # A checkpoint or init_from brings the trunk too, and the chief brings it to the others.
    begun = not workers.chief or checkpoints.steps(Path(config.workdir) / "checkpoints")
    filled = config.init_from or begun
    learner = make_learner(
        config.recipe,
        workers.strategy,
        precision=precision,
        jit=jit,
        vgg16_weights="none" if filled else config.vgg16_weights,
    )
    _check_trunk(config.recipe, learner.model, bool(begun))
    if not filled:
        given = config.data, config.vgg16_weights, config.seed
        fill_split_trunk(learner.model, config.recipe, *given)
    return TrainingRun(config, workers, learner)


def _check_trunk(recipe: Recipe, model: keras.Model, begun: bool) -> None:
    """Checks that a trunk that is to train is there, and has something left to train.

    Raises:
      ValueError: there is none; or all its blocks are frozen, and the run was not `begun` so, by an
        earlier version.
    """
    if not recipe.train_trunk:
        return
    trunk = models.trunk_of(model)
    if trunk is None:
        raise ValueError(
            f"train_trunk is set, and recipe {recipe.name} has a network without a trunk. "
            "Leave it out."
        )
    if not (begun or trunk.trainable_variables):
        raise ValueError(
            f"train_trunk is set, and frozen_blocks={recipe.frozen_blocks} freezes all blocks of "
            f"the trunk of recipe {recipe.name}: nothing of it would train. Freeze fewer blocks, "
            "or leave both and trunk_rate out."
        )


def _restore(run: TrainingRun) -> None:
    """Fills the variables: (1) newest checkpoint, else (2) init_from, else (3) VGG16 stays."""
    restored = _restored(run) if run.workers.chief else None
    run.resume(*run.workers.broadcast_json(restored))
    if run.workers.count > 1:
        arrays = run.workers.broadcast_arrays(weights.to_arrays(run.learner.variables))
        weights.assign(run.learner.variables, arrays, "The chief's state")


def _restored(run: TrainingRun) -> tuple[int, dict[str, Any]]:
    """Fills the chief's variables; returns step and state to resume from."""
    restored = checkpoints.restore(run.workdir.checkpoints, run.learner.variables)
    if restored:
        logging.info("Resumed at step %d.", restored[0])
    elif run.config.init_from:
        weights.load_weights(run.model, weights.find_weights(run.config.init_from))
    step, state = restored or (0, run.state())
    run.workdir.rewind(step)
    return step, state


def _about(run: TrainingRun, precision: str, jit: bool) -> dict[str, Any]:
    """Returns the content of config.json."""
    config, trunk = run.config, models.trunk_of(run.model)
    return {
        "recipe": config.recipe.to_json(),
        "data": dataclasses.asdict(config.data),
        "eval_data": dataclasses.asdict(config.eval_data or config.data),
        "vgg16_weights": _trunk_source(config.vgg16_weights) if trunk else None,
        "init_from": config.init_from,
        "seed": config.seed,
        "precision": precision,
        "jit": jit,
        "workers": run.workers.count,
        "replicas": run.workers.strategy.num_replicas_in_sync,
        "device": devices.describe(),
        "trainable_parameters": _parameter_count(run.model.trainable_variables),
        "frozen_parameters": _parameter_count(trunk.non_trainable_variables) if trunk else 0,
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def _up_to_date(about: dict[str, Any]) -> dict[str, Any]:
    """Fills in defaults for the fields that an earlier version's config.json does not have."""
    return about | {"recipe": Recipe.from_json(about["recipe"]).to_json()}


def _parameter_count(variables: Iterable[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _trunk_source(weights: str) -> str:
    """Names the trunk's weights; a file by its hash, as the path may hold another one later."""
    return f"sha256:{files.sha256(weights)}" if Path(weights).is_file() else weights


@contextlib.contextmanager
def _until_signal() -> Iterator[Callable[[], bool]]:
    """Lets SIGTERM and the first Ctrl-C only ask the loop to stop; yields whether one did.

    In another than the main thread Python handles no signals: there nothing asks it to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])  # a second one acts at once

    numbers = (signal.SIGTERM, signal.SIGINT)
    before: dict[int, Any] = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the loop -------------------------------------------------------------------------------------


def _batches(run: TrainingRun, stats: RecordStats) -> Iterator[TrainBatch]:
    """Yields every replica's share of those parts of the batches that this worker reads."""
    recipe, config, workers = run.recipe, run.config, run.workers
    share = WorkerShare(workers.index, workers.count, recipe.batch_size)

    def read(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return input_pipeline.train_batches(
            config.data,
            batch_size=context.get_per_replica_batch_size(recipe.batch_size),
            image_size=recipe.image_size,
            augment=recipe.augment,
            seed=config.seed,
            start=run.cursor,
            share=share if workers.count > 1 else None,
            stats=stats,
        )

    return iter(workers.strategy.distribute_datasets_from_function(read))


def _loop(run: TrainingRun, stopped: Callable[[], bool]) -> None:
    """Trains, logs, saves and evaluates, until the last step or a signal."""
    stats = RecordStats()
    batches = _batches(run, stats)
    run.meter.start()
    with _progress_bar(run) as bar, stats.reraising():
        while run.step < run.recipe.steps and not run.workers.any(stopped()):
            _step(run, batches)
            bar.update()
            if run.is_due(run.config.log_every):
                row = _log_row(run, stats)
                bar.set_postfix(loss=row["loss"], images_s=row["images_per_second"])
            if run.config.eval_every and run.is_due(run.config.eval_every):
                _pause(run, snapshots.evaluate)
            if run.is_due(run.config.checkpoint_every):
                _pause(run, snapshots.save)
        if run.saved < run.step:
            _pause(run, snapshots.save)
        run.workers.wait()  # a worker that ends has seen the chief save


def _progress_bar(run: TrainingRun) -> tqdm:
    return tqdm(
        total=run.recipe.steps,
        initial=run.step,
        unit="step",
        dynamic_ncols=True,
        disable=not run.workers.chief,
        mininterval=0.2 if sys.stderr.isatty() else 10,  # few lines in a log file
    )


def _step(run: TrainingRun, batches: Iterator[TrainBatch]) -> None:
    """Trains one step; does not wait for the device."""
    batch = run.meter.wait_for(batches)
    run.meter.add(run.learner.step(batch.rgb))
    run.step += 1
    # The cursor stays two tensors: reading them would wait for the device.
    local = run.workers.strategy.experimental_local_results(batch.next_cursor)[-1]
    run.cursor = Cursor(local[0], local[1])


def _log_row(run: TrainingRun, stats: RecordStats) -> dict[str, Any]:
    """Logs a row to metrics.jsonl at the chief, and starts the next interval.

    Raises:
      Diverged: a loss is not finite.
    """
    means = run.mean_losses()
    bad, gray = (int(count) for count in run.workers.total([stats.bad, stats.gray]))
    speed = run.meter.finish_interval(run.recipe.batch_size)
    row = {
        "step": run.step,
        "seconds": round(run.meter.seconds, 3),
        **means,
        "learning_rate": float(tf.convert_to_tensor(run.learner.optimizer.learning_rate)),
        **speed._asdict(),
        "bad_records": bad,
        "gray_skipped": gray,
    }
    if run.workers.chief:
        run.workdir.log(row)
    return row


def _pause(run: TrainingRun, work: Callable[[TrainingRun], None]) -> None:
    """Lets the chief do something that is not training, its time not counted.

    Not before the losses are known to be finite. The other workers wait in their next step.
    """
    run.mean_losses()
    with run.meter.paused():
        if run.workers.chief:
            work(run)
