"""Training: a recipe and a dataset in, a checkpoint out; the same command again goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.augmentation import Augment
from residual_encoder.data.input_pipeline import (
    Cursor,
    DataConfig,
    EvalBatch,
    Part,
    Tally,
    TrainBatch,
)
from residual_encoder.evaluation import html_report, metrics
from residual_encoder.imaging import colorspace, image_io
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.models import any_size, low_rank, vgg16, weights
from residual_encoder.recipes import Recipe
from residual_encoder.training import activity, checkpoints, distributed, learner, learner_factory
from residual_encoder.training.learner import Learner
from residual_encoder.training.workdir import Workdir, differences, read_metrics
from residual_encoder.utils import devices, files
from residual_encoder.utils.typing import Tensor

# config.json keys that must not change within a workdir; the rest describes the machine.
FIXED = ("recipe", "data", "vgg16_weights", "init_from", "seed")
EVAL_BATCH = 16
# Training pictures that a split trunk is fitted to, and their size: 100,000 responses of block 4,
# 200 times as many as it has channels.
SPLIT_PICTURES, SPLIT_BATCH, SPLIT_SIZE = 256, 16, 160


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
      recipe: What to train, flags applied.
      data: What to train on.
      workdir: Where everything goes; a used one is resumed.
      vgg16_weights: "imagenet", "none" or the path of a VGG16 weight file.
      init_from: Weights file or workdir to start all weights from, or None.
      eval_data: What to evaluate on (its validation split); None is `data`.
      eval_every: Steps between evaluations, and one at the end; 0 is never.
      eval_limit: Photographs an evaluation looks at, at most.
      checkpoint_every: Steps between checkpoints and strip sheets.
      log_every: Steps between log rows.
      samples: Pictures on a strip sheet.
      seed: Of weights, order and augmentation.
      jit: "auto", "on" or "off": XLA.
      strategy: "auto", "one", "mirrored" or "multiworker", as in `distributed.strategy`. However
        many share it, the batch is the recipe's, and so is the learning rate: neither is scaled.
    """

    recipe: Recipe
    data: DataConfig
    workdir: str
    vgg16_weights: str = "imagenet"
    init_from: str | None = None
    eval_data: DataConfig | None = None
    eval_every: int = 5000
    eval_limit: int = 200
    checkpoint_every: int = 1000
    log_every: int = 50
    samples: int = 8
    seed: int = 0
    jit: str = "auto"
    strategy: str = "auto"

    def __post_init__(self) -> None:
        """Checks ranges.

        Raises:
          ValueError: what is wrong with which field.
        """
        least = {
            "checkpoint_every": 1,
            "log_every": 1,
            "eval_limit": 1,
            "samples": 1,
            "eval_every": 0,
        }
        for field, minimum in least.items():
            if getattr(self, field) < minimum:
                value = getattr(self, field)
                raise ValueError(f"{field} must be at least {minimum}. Received {value}.")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      step: Steps done.
      interrupted: Whether a signal ended it before the recipe's last step.
      evaluation: The last evaluation of this process, if there was one; of several workers the
        chief evaluates.
    """

    step: int
    interrupted: bool
    evaluation: dict[str, Any] | None


class Diverged(ValueError):
    """The loss is no longer a finite number."""


@dataclass
class _Run:
    """Everything that a run has in hand."""

    config: TrainConfig
    team: distributed.Team
    learner: Learner
    step: int = 0
    saved: int = 0  # step of the newest checkpoint
    cursor: Cursor = Cursor(0, 0)
    seconds: float = 0.0  # of training, over all processes
    best: float = -math.inf  # pooled PSNR gain of the best evaluation, dB
    evaluation: dict[str, Any] | None = None

    @functools.cached_property
    def workdir(self) -> Workdir:
        """For the chief alone: nobody else reads or writes there."""
        return Workdir(self.config.workdir)

    @property
    def recipe(self) -> Recipe:
        return self.config.recipe

    @property
    def model(self) -> keras.Model:
        return self.learner.model

    @functools.cached_property
    def predict(self) -> Callable[[Tensor], Tensor]:
        """Gray [B, H, W, 1] of any size -> chroma, as inference will do it."""
        network = any_size.with_margin(
            functools.partial(self.model, training=False), self.recipe.margin
        )
        size, multiple = self.recipe.inference_size, self.recipe.multiple
        return tf.function(lambda gray: any_size.chroma_at(network, gray, size, multiple))


def train(config: TrainConfig) -> Outcome:
    """Trains until the recipe's last step, or until SIGTERM or Ctrl-C, and saves.

    Run again with the same config, it goes on from the newest checkpoint; on a CPU the weights are
    then bit-equal to those of a run that was never stopped.

    Of several workers the chief, the first one, evaluates and writes while the others wait, and a
    signal to one of them stops all at the same step. Their number may change when a run goes on.

    Raises:
      ValueError: the workdir belongs to another run, a weight file does not fit, the batch cannot
        be shared, TF_CONFIG is wrong, or (`Diverged`) the loss is not finite; the last good
        checkpoint stays.
      OSError: data or weights are missing, the workdir cannot be written or is in use, or another
        worker is gone.
    """
    team = distributed.Team.of(distributed.strategy(config.strategy, config.recipe.batch_size))
    alone = Workdir(config.workdir).locked() if team.chief else contextlib.nullcontext()
    with team.together(), alone:
        return _train(config, team)


def _train(config: TrainConfig, team: distributed.Team) -> Outcome:
    """`train`, alone in its workdir."""
    precision = devices.precision(config.recipe.precision)
    jit = devices.jit(config.jit, precision, team.strategy.num_replicas_in_sync)
    _check_sharing(config, team, precision)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    run = _build(config, team, precision, jit)
    if team.chief:
        started = bool(checkpoints.steps(run.workdir.checkpoints))
        run.workdir.claim(_about(run, precision, jit), FIXED if started else (), _up_to_date)
        _eval_dataset(run, 1, Tally())  # missing evaluation data is better known now than in hours
    _restore(run)
    with _until_signal() as stopped:
        if team.chief and run.saved and not _shown(run):
            _show(run)
        _loop(run, stopped)
    return Outcome(run.step, run.step < run.recipe.steps, run.evaluation)


# --- start-up -------------------------------------------------------------------------------------


def _check_sharing(config: TrainConfig, team: distributed.Team, precision: str) -> None:
    """Every replica gets as many pictures, and every worker does what the chief does.

    Raises:
      ValueError: the batch cannot be shared, or a worker was given other settings.
    """
    batch_size, replicas = config.recipe.batch_size, team.strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"batch_size must be a multiple of {replicas}, the number of devices that share it. "
            f"Received {batch_size}."
        )
    ours = dataclasses.asdict(config) | {"recipe": config.recipe.to_json(), "precision": precision}
    for key in ("workdir", "vgg16_weights", "init_from", "eval_data", "strategy"):
        del ours[key]  # the chief's affair
    ours["data"] |= {"data_dir": None, "manual_dir": None}
    chiefs, ours = team.shared_json(ours), json.loads(json.dumps(ours))
    different = [line for key in ours for line in differences(key, chiefs[key], ours[key])]
    if different:
        raise ValueError(
            f"Worker {team.index} was started with other settings than the chief: "
            f"{'; '.join(different)}. Give every worker the same flags."
        )


def _build(config: TrainConfig, team: distributed.Team, precision: str, jit: bool) -> _Run:
    """The learner in the strategy's scope; at the chief, VGG16's weights in."""
    # A checkpoint or init_from brings the trunk too, and the chief brings it to the others.
    folder = Path(config.workdir) / "checkpoints"
    filled = config.init_from or not team.chief or checkpoints.steps(folder)
    learner = learner_factory.make(
        config.recipe,
        team.strategy,
        precision=precision,
        jit=jit,
        vgg16_weights="none" if filled else config.vgg16_weights,
    )
    if not filled:
        _split_trunk(config, learner.model)
    return _Run(config, team, learner)


def _split_trunk(config: TrainConfig, model: keras.Model) -> None:
    """Fills a trunk whose deep convolutions are split from VGG16's own, by training pictures."""
    rank = getattr(config.recipe.network, "trunk_rank", 0)
    if not rank or config.vgg16_weights == "none":
        return
    pictures = input_pipeline.train_batches(
        config.data,
        batch_size=SPLIT_BATCH,
        image_size=SPLIT_SIZE,
        augment=Augment(),
        seed=config.seed,
    )
    grays = (
        tf.repeat(GRAYS[config.recipe.gray](tf.cast(batch.rgb, tf.float32) / 255), 3, axis=-1)
        for batch in pictures.take(SPLIT_PICTURES // SPLIT_BATCH)
    )
    arrays = low_rank.split_weights(vgg16.whole(config.vgg16_weights), grays, rank)
    trunk = models.trunk_of(model)
    for variable in trunk.weights if trunk else []:
        if variable.path in arrays:
            variable.assign(arrays[variable.path])


def _restore(run: _Run) -> None:
    """Fills the variables: (1) newest checkpoint, else (2) init_from, else (3) VGG16 stays."""
    restored = _restored(run) if run.team.chief else None
    run.step, state = run.team.shared_json(restored)
    run.cursor = Cursor(*state["cursor"])
    run.seconds, run.best = state["seconds"], state["best"]
    run.saved = run.step
    if run.team.count > 1:
        arrays = run.team.shared_arrays(weights.to_arrays(run.learner.variables))
        weights.assign(run.learner.variables, arrays, "The chief's state")


def _restored(run: _Run) -> tuple[int, dict[str, Any]]:
    """Step and state that the run goes on from; the variables filled."""
    restored = checkpoints.restore(run.workdir.checkpoints, run.learner.variables)
    if restored:
        logging.info("Resumed at step %d.", restored[0])
    elif run.config.init_from:
        weights.load_weights(run.model, weights.find_weights(run.config.init_from))
    step, state = restored or (0, _state(run))
    run.workdir.rewind(step)
    return step, state


def _about(run: _Run, precision: str, jit: bool) -> dict[str, Any]:
    """What config.json says."""
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
        "workers": run.team.count,
        "replicas": run.team.strategy.num_replicas_in_sync,
        "device": devices.describe(),
        "trainable_parameters": _count(run.model.trainable_variables),
        "frozen_parameters": _count(trunk.non_trainable_variables) if trunk else 0,
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def _up_to_date(about: dict[str, Any]) -> dict[str, Any]:
    """An earlier config.json with what its recipe did not know yet: the defaults."""
    return about | {"recipe": Recipe.from_json(about["recipe"]).to_json()}


def _count(variables: Iterable[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _trunk_source(weights: str) -> str:
    """The name of the trunk's weights; of a file, its hash: the path may hold another one later."""
    return f"sha256:{files.sha256(weights)}" if Path(weights).is_file() else weights


@contextlib.contextmanager
def _until_signal() -> Iterator[Callable[[], bool]]:
    """Inside, SIGTERM and the first Ctrl-C only ask the loop to stop; yields whether one did."""
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


def _batches(run: _Run, tally: Tally) -> Iterator[TrainBatch]:
    """Every replica's share of the batches, this worker's part of them."""
    recipe, config, team = run.recipe, run.config, run.team

    def read(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return input_pipeline.train_batches(
            config.data,
            batch_size=context.get_per_replica_batch_size(recipe.batch_size),
            image_size=recipe.image_size,
            augment=recipe.augment,
            seed=config.seed,
            start=run.cursor,
            part=Part(team.index, team.count, recipe.batch_size) if team.count > 1 else None,
            tally=tally,
        )

    return iter(team.strategy.distribute_datasets_from_function(read))


def _loop(run: _Run, stopped: Callable[[], bool]) -> None:
    """Steps, log rows, checkpoints and evaluations, until the last step or a signal."""
    tally = Tally()
    batches, meter = _batches(run, tally), _Meter(run)
    bar = tqdm(
        total=run.recipe.steps,
        initial=run.step,
        unit="step",
        dynamic_ncols=True,
        disable=not run.team.chief,
        mininterval=0.2 if sys.stderr.isatty() else 10,  # few lines in a log file
    )
    with bar, tally.explained():
        while run.step < run.recipe.steps and not run.team.anyone(stopped()):
            batch = meter.wait_for(batches)
            meter.losses.append(run.learner.step(batch.rgb))
            run.step += 1
            run.cursor = _after(run.team.strategy, batch)
            bar.update()
            if _due(run, run.config.log_every):
                row = meter.row(tally)
                if run.team.chief:
                    run.workdir.log(row)
                bar.set_postfix(loss=row["loss"], images_s=row["images_per_second"])
            if run.config.eval_every and _due(run, run.config.eval_every):
                meter.pause(_evaluate, run)
            if _due(run, run.config.checkpoint_every):
                meter.pause(_save, run)
        if run.saved < run.step:
            meter.pause(_save, run)
        run.team.wait()  # a worker that ends has seen the chief save


def _due(run: _Run, every: int) -> bool:
    return run.step % every == 0 or run.step == run.recipe.steps


def _after(strategy: tf.distribute.Strategy, batch: TrainBatch) -> Cursor:
    """Where the stream goes on, as tensors: reading them would wait for the device."""
    following = strategy.experimental_local_results(batch.following)[-1]
    return Cursor(following[0], following[1])


class _Meter:
    """Losses and speed since the last log row, compilation and everything but training left out."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.losses: list[dict[str, Tensor]] = []  # a step
        self._fresh = True  # the next step compiles, so it does not count
        self._restart()

    def _restart(self) -> None:
        self._started, self._waited, self._counted = time.perf_counter(), 0.0, 0

    def wait_for(self, batches: Iterator[TrainBatch]) -> TrainBatch:
        """The next batch; the time it took is input wait."""
        if self._fresh and self.losses:
            self._fresh = False
            float(self.losses[-1]["loss"])  # waits for the device
            self.run.seconds += time.perf_counter() - self._started
            self._restart()
        began = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - began
        self._counted += 1
        return batch

    def means(self) -> dict[str, float]:
        """The mean of every loss over the steps since the last row, if there were any.

        Raises:
          Diverged: one is not finite.
        """
        means = {}
        for name in self.losses[0] if self.losses else ():
            loss = float(tf.add_n([losses[name] for losses in self.losses])) / len(self.losses)
            if not math.isfinite(loss):
                raise Diverged(
                    f"The {name.replace('_', ' ')} is {loss} by step {self.run.step}; training "
                    f"stopped. The last good checkpoint is in {self.run.config.workdir}. "
                    "Try a lower --learning_rate."
                )
            means[name] = loss
        return means

    def row(self, tally: Tally) -> dict[str, Any]:
        """A row of metrics.jsonl; starts the next interval."""
        means, run = self.means(), self.run
        bad, gray = (int(count) for count in run.team.total([tally.bad, tally.gray]))
        elapsed = time.perf_counter() - self._started
        run.seconds += elapsed
        images = self._counted * run.recipe.batch_size
        row = {
            "step": run.step,
            "seconds": round(run.seconds, 3),
            **means,
            "learning_rate": float(tf.convert_to_tensor(run.learner.optimizer.learning_rate)),
            "images_per_second": None if self._fresh else round(images / elapsed, 2),
            "input_wait_fraction": round(self._waited / elapsed, 4),
            "bad_records": bad,
            "gray_skipped": gray,
        }
        self.losses.clear()
        self._restart()
        return row

    def pause(self, work: Callable[[_Run], None], run: _Run) -> None:
        """Lets the chief do something that is not training, off the clock.

        Not before the losses are known to be finite. The others go on, and wait in the next step.
        """
        self.means()
        began = time.perf_counter()
        if run.team.chief:
            work(run)
        self._started += time.perf_counter() - began


# --- what a run leaves ----------------------------------------------------------------------------


def _save(run: _Run) -> None:
    """Checkpoint and strips; until an evaluation has chosen, the newest weights are the best."""
    checkpoints.save(run.workdir.checkpoints, run.step, run.learner.variables, _state(run))
    run.saved = run.step
    _show(run)


def _show(run: _Run) -> None:
    """What goes with a checkpoint; the row of activity comes last, so it tells of the rest."""
    with learner.averaged(run.learner):
        if run.best == -math.inf:
            _save_best(run)
        _write_strips(run)
        _log_activity(run)


def _shown(run: _Run) -> bool:
    """Whether the process that wrote the newest checkpoint lived to show it."""
    rows = read_metrics(run.workdir.path)
    return any(row["step"] == run.saved and "active" in row for row in rows)


def _state(run: _Run) -> dict[str, Any]:
    """What a checkpoint says beside the variables."""
    return {
        "cursor": [int(part) for part in run.cursor],
        "seconds": run.seconds,
        "best": run.best,
    }


def _save_best(run: _Run) -> None:
    model = models.for_saving(run.model, run.recipe.network)
    path = run.workdir.checkpoints / weights.BEST
    weights.save_weights(model, path, run.recipe.to_json())


def _eval_dataset(run: _Run, limit: int, tally: Tally) -> tf.data.Dataset:
    return input_pipeline.eval_batches(
        run.config.eval_data or run.config.data,
        batch_size=EVAL_BATCH,
        image_size=run.recipe.inference_size,
        limit=limit,
        tally=tally,
    )


def _eval_batches(run: _Run, limit: int) -> Iterator[EvalBatch]:
    tally = Tally()
    with tally.explained():
        yield from _eval_dataset(run, limit, tally)


def _evaluate(run: _Run) -> None:
    """Evaluates, logs, and keeps the weights if they beat gray by more than the best so far."""
    with learner.averaged(run.learner):
        _evaluate_model(run)


def _evaluate_model(run: _Run) -> None:
    result = metrics.evaluate(
        run.predict,
        _eval_batches(run, run.config.eval_limit),
        space=run.recipe.space,
        gray=run.recipe.gray,
    )
    run.evaluation = result
    run.workdir.log({"step": run.step, "eval": result})
    gain = result["psnr_pooled_gain"]["mean"]
    if gain > run.best:
        run.best = gain
        _save_best(run)


def _write_strips(run: _Run) -> None:
    """samples/<step>.jpg: gray | output | truth, named by the iteration as in the article."""
    strips = []
    for batch in _eval_batches(run, run.config.samples):
        truth = colorspace.split(batch.rgb, run.recipe.space, run.recipe.gray)
        output = run.recipe.space.merge(truth.gray, run.predict(truth.gray))
        for panels in zip(truth.gray, output, truth.rgb, strict=True):
            strips.append(html_report.strip(*(np.asarray(panel) for panel in panels)))
    image_io.write(run.workdir.samples / f"{run.step}.jpg", html_report.contact_sheet(strips))


def _log_activity(run: _Run) -> None:
    """Logs the share of non-zero activations of each color layer, as the author's script did."""
    for batch in _eval_batches(run, run.config.samples):
        gray = colorspace.split(batch.rgb, run.recipe.space, run.recipe.gray).gray
        size = any_size.network_size(
            gray.shape[1], gray.shape[2], run.recipe.inference_size, run.recipe.multiple
        )
        shares = activity.shares(run.model, any_size.resize(gray, *size))
        run.workdir.log({"step": run.step, "active": shares})
        return
