"""Files that a run writes while it trains: checkpoints, best weights, evaluations, strips."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.input_pipeline import EvalBatch, RecordStats
from residual_encoder.data.tfds import check_disjoint
from residual_encoder.evaluation import image_grids, metrics
from residual_encoder.imaging import colorspace, image_io, tensor_resizing
from residual_encoder.models import any_size, weights
from residual_encoder.recipes import Recipe
from residual_encoder.training import checkpoints, learner
from residual_encoder.training.losses import LOSS_FUNCTIONS
from residual_encoder.training.run import TrainConfig, TrainingRun
from residual_encoder.training.workdir import Workdir, read_metrics
from residual_encoder.utils.typing import Tensor

EVAL_BATCH = 16


def check_eval_data(config: TrainConfig) -> None:
    """Checks that there are pictures to evaluate on, which are not those to train on.

    Raises:
      ValueError: there are none, or they are.
    """
    _eval_dataset(config, 1, RecordStats())
    if config.eval_every:
        check_disjoint(config.data, config.eval_data or config.data)


def save(run: TrainingRun) -> None:
    """Writes a checkpoint and a snapshot.

    Raises:
      OSError: the workdir cannot be written.
    """
    checkpoints.save(run.workdir.checkpoints, run.step, run.learner.variables, run.state())
    run.saved = run.step
    write_snapshot(run)


def write_snapshot(run: TrainingRun) -> None:
    """Writes a checkpoint's other files: strips, activity, and weights until one is the best.

    The row of activity comes last, so that it shows that the rest was written.
    """
    with learner.averaged(run.learner):
        if run.best == -math.inf:
            _save_best(run.model, run.recipe, run.workdir)
        _write_strips(run)
        _log_activity(run)


def describe(run: TrainingRun) -> None:
    """Shows the recipe and the layers of the network in TensorBoard."""
    lines: list[str] = []
    run.model.summary(line_length=100, print_fn=lines.append)
    recipe = json.dumps(run.recipe.to_json(), indent=2)
    run.workdir.describe(run.step, {"recipe": recipe, "network": "\n".join(lines)})


def has_snapshot(run: TrainingRun) -> bool:
    """Returns whether the newest checkpoint's snapshot was written before the process ended."""
    rows = read_metrics(run.workdir.path)
    return any(row["step"] == run.saved and "active" in row for row in rows)


def evaluate(run: TrainingRun) -> None:
    """Evaluates, logs, and keeps the weights if they beat gray by more than the best so far."""
    with learner.averaged(run.learner):
        result = metrics.evaluate(
            run.predict,
            _counted(_eval_batches(run.config, run.config.eval_limit)),
            space=run.recipe.space,
            gray=run.recipe.gray,
            losses={name: LOSS_FUNCTIONS[name] for name in run.config.eval_losses},
        )
        run.evaluation = result
        run.workdir.log({"step": run.step, "eval": result})
        gain = result["psnr_pooled_gain"]["mean"]
        if gain > run.best:
            run.best = gain
            _save_best(run.model, run.recipe, run.workdir)


def _save_best(model: keras.Model, recipe: Recipe, workdir: Workdir) -> None:
    deployable = models.for_saving(model, recipe.network)
    weights.save_weights(deployable, workdir.checkpoints / weights.BEST, recipe.to_json())


def _eval_dataset(config: TrainConfig, limit: int, stats: RecordStats) -> tf.data.Dataset:
    return input_pipeline.eval_batches(
        config.eval_data or config.data,
        batch_size=EVAL_BATCH,
        image_size=config.recipe.inference_size,
        limit=limit,
        stats=stats,
    )


def _eval_batches(config: TrainConfig, limit: int) -> Iterator[EvalBatch]:
    stats = RecordStats()
    with stats.reraising():
        yield from _eval_dataset(config, limit, stats)


def _counted(batches: Iterator[EvalBatch]) -> Iterator[EvalBatch]:
    """Shows how many photographs were evaluated, on a terminal."""
    settings: dict[str, Any] = {"unit": "photo", "leave": False, "file": sys.stderr}
    with tqdm(desc="evaluating", disable=None, **settings) as progress:
        for batch in batches:
            yield batch
            progress.update(len(batch.name))


def _write_strips(run: TrainingRun) -> None:
    """Writes samples/<step>.jpg: gray | output | truth, named by the step as in the article."""
    space, strips = run.recipe.space, []
    for batch in _eval_batches(run.config, run.config.samples):
        truth = colorspace.split(batch.rgb, space, run.recipe.gray)
        output = space.merge(truth.gray, run.predict(truth.gray))
        for panels in zip(truth.gray, output, truth.rgb, strict=True):
            strips.append(image_grids.strip(*(np.asarray(panel) for panel in panels)))
    sheet = image_grids.contact_sheet(strips)
    image_io.write(run.workdir.samples / f"{run.step}.jpg", sheet)
    run.workdir.show(run.step, "gray, output, truth", sheet)


# --- activity -------------------------------------------------------------------------------------


def _log_activity(run: TrainingRun) -> None:
    """Logs the active fraction of each color layer, as the author's script did."""
    recipe = run.recipe
    batch = next(_eval_batches(run.config, run.config.samples), None)
    if batch is None:
        return
    gray = colorspace.split(batch.rgb, recipe.space, recipe.gray).gray
    height, width = gray.shape[1:3]
    size = any_size.network_size(height, width, recipe.inference_size, recipe.multiple)
    active = active_fractions(run.model, tensor_resizing.resize(gray, *size))
    run.workdir.log({"step": run.step, "active": active})


def active_fractions(model: keras.Model, gray: Tensor) -> dict[str, float]:
    """Measures the fraction of non-zero activations of each ReLU outside the trunk.

    The author's script logged it for every color layer. A fraction near zero is a dead layer: the
    2016 network has three channels before its output, and color may hang on one of them.

    Args:
      model: gray -> chroma.
      gray: [B, H, W, 1] float32 in [0, 1], of sides that the network takes.

    Returns:
      Layer name -> fraction in [0, 1], input to output; empty for a network without ReLU.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    if not layers:
        return {}
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(gray, training=False)
    return {
        layer.name: float(np.mean(np.asarray(keras.ops.cast(output, "float32")) > 0))
        for layer, output in zip(layers, keras.tree.flatten(outputs), strict=True)
    }
