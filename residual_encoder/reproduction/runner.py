"""Trains and measures one run of `reproduce`, once: finished runs are read, not run again."""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.models import flops
from residual_encoder.models import weights as weights_files
from residual_encoder.reproduction import comparison_sheets, per_image, results
from residual_encoder.reproduction.experiments import Budget, Run
from residual_encoder.reproduction.per_image import NotFinite, Recorder
from residual_encoder.reproduction.results import Result
from residual_encoder.training.run import Diverged, TrainConfig
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics

LAST = "last.weights.h5"
BATCH = 16  # photographs at a time while measuring
COUNTED_SIZE = 224  # pixels: of the FLOP that are reported
LOG_ROWS = 100  # of a run, at least, where it has so many steps
UNTIMED_ROWS = 1  # the first row lies right after the compiled step


@dataclass(frozen=True)
class Place:
    """Folder of the runs, and the settings they share.

    Attributes:
      folder: Of all runs.
      budget: Extent of the reproduction.
      vgg16_weights: "imagenet", "none" or a file.
    """

    folder: Path
    budget: Budget
    vgg16_weights: str = "imagenet"

    def of(self, run: Run) -> Path:
        """Returns the folder of a run."""
        return self.folder / run.name


def finish(run: Run, place: Place) -> Result | None:
    """Returns the result of a run, from its folder or by training and measuring it.

    A run whose training or network is broken by numbers that are not finite is a result, too.

    Returns:
      The result; None where a signal stopped the training, which a later call resumes.

    Raises:
      ValueError: the folder holds another run.
      OSError: data or weights are missing, or the folder cannot be written.
    """
    folder = place.of(run)
    done = results.read(folder, run.to_json())
    if done:
        return done
    try:
        if train(_training(run, place)).interrupted:
            return None
        results.write(folder, _measured(run, place))
    except (Diverged, NotFinite) as error:
        results.write(folder, Result(run.to_json(), failure=str(error), about=_about(run, folder)))
    _forget(folder)
    return results.read(folder, run.to_json())


def _training(run: Run, place: Place) -> TrainConfig:
    steps, budget = run.recipe.steps, place.budget
    return TrainConfig(
        recipe=run.recipe,
        data=run.data,
        workdir=str(place.of(run)),
        vgg16_weights=place.vgg16_weights,
        eval_every=max(1, steps // run.evaluations) if run.evaluations else 0,
        eval_limit=budget.watched,
        checkpoint_every=budget.checkpoint_every,
        log_every=max(1, steps // LOG_ROWS),
        samples=1,
        seed=run.seed,
    )


def _forget(folder: Path) -> None:
    """Frees memory, and the files that only an unfinished run needs."""
    keras.backend.clear_session()
    gc.collect()
    for checkpoint in (folder / "checkpoints").glob("step-*.h5"):
        checkpoint.unlink()


# --- measuring ------------------------------------------------------------------------------------


def _measured(run: Run, place: Place) -> Result:
    """Measures everything that the claims need of a trained run, with its last step's weights."""
    folder, budget = place.of(run), place.budget
    colorizer = Recorder(_last_weights(run, folder))
    evaluation = evaluate_model(
        EvaluateConfig(
            run.data, image_size=budget.evaluation_size, limit=budget.photographs, batch_size=BATCH
        ),
        colorizer,
    )
    truth = _pictures(run.data, budget, "val", budget.photographs)
    photographs = per_image.rows(truth, colorizer.predictions, run.recipe)
    training_loss = []
    if run.data.train_limit:
        seen = _pictures(run.data, budget, "train", run.data.train_limit)
        training_loss = per_image.losses(seen, colorizer)
        photographs["loss"] = per_image.losses(truth, colorizer)
    else:
        comparison_sheets.write(folder, colorizer, run.data, budget.photographs)
    return Result(run.to_json(), None, _about(run, folder), evaluation, photographs, training_loss)


def _pictures(data: DataConfig, budget: Budget, split: str, limit: int) -> list[np.ndarray]:
    """Reads batches of center squares, [B, S, S, 3] uint8."""
    batches = input_pipeline.eval_batches(
        data, batch_size=BATCH, image_size=budget.evaluation_size, limit=limit, split=split
    )
    return [batch.rgb.numpy() for batch in batches]


def _last_weights(run: Run, folder: Path) -> Path:
    """Returns the last step's weights; training keeps those of the best evaluation, if any.

    One that is chosen by the photographs it is measured on would be compared with others that are
    not.
    """
    if not run.evaluations:
        return weights_files.find_weights(folder)
    newest = max((folder / "checkpoints").glob("step-*.h5"))
    arrays, _ = weights_files.read_arrays(newest)
    names = [variable.path for variable in models.build(run.recipe.network).weights]
    weights = {name: arrays[name] for name in names}
    weights_files.write_arrays(folder / LAST, weights, {"recipe": run.recipe.to_json()})
    return folder / LAST


def _about(run: Run, folder: Path) -> dict[str, Any]:
    """Collects size, arithmetic and speed of a run."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    operations = flops.count(models.build_recipe(run.recipe), COUNTED_SIZE)
    log = read_metrics(folder)
    speeds = [row["images_per_second"] for row in log if row.get("images_per_second")]
    return {
        "trainable": config["trainable_parameters"],
        "frozen": config["frozen_parameters"],
        "forward": operations.forward,
        "training": operations.training,
        "images_per_second": float(np.median(speeds[UNTIMED_ROWS:] or speeds or [0.0])) or None,
        "seconds": max((row.get("seconds", 0.0) for row in log), default=0.0),
        "device": config["device"],
        "precision": config["precision"],
    }
