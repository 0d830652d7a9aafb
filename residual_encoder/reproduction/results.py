"""Results of finished runs of `reproduce`, written once and read by every claim."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.training.workdir import read_metrics
from residual_encoder.utils import files

RESULT = "result.json"  # exists once a run is finished
EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
      run: `Run.to_json` of what was run.
      failure: Why there is no network to measure, the loss not being finite as a rule; or None.
      about: Of the network: `trainable` and `frozen` parameters, `forward` and `training` FLOP for
        one picture of 224 pixels; of the run: `images_per_second`, `seconds`, `device`.
      evaluation: The result of `evaluator.evaluate_model`; empty after a failure.
      photographs: Numbers by name, one for each photograph, see `per_image.rows`.
      training_loss: The loss on each training picture, of runs on few pictures; else empty.
      log: Rows of metrics.jsonl.
    """

    run: dict[str, Any]
    failure: str | None = None
    about: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    photographs: dict[str, list[float]] = field(default_factory=dict)
    training_loss: list[float] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Returns the run's name."""
        return self.run["name"]

    @property
    def recipe(self) -> dict[str, Any]:
        """Returns the fields of the recipe that was trained."""
        return self.run["recipe"]

    def mean(self, metric: str) -> float:
        """Returns the mean of a metric of the evaluation."""
        return float(self.evaluation[metric]["mean"])

    def interval(self, metric: str) -> tuple[float, float]:
        """Returns the 95 % interval of a metric of the evaluation."""
        low, high = self.evaluation[metric]["ci95"]
        return float(low), float(high)

    def values(self, name: str) -> np.ndarray:
        """Returns one number for each photograph. [n] float64."""
        return np.asarray(self.photographs[name], np.float64)


Results = Mapping[str, Result]  # by the name of the run


def write(place: Path, result: Result) -> None:
    """Writes a result: evaluation.json as tools/evaluate.py does, then the rest, which ends it."""
    fields = dataclasses.asdict(result)
    evaluation = fields.pop("evaluation")
    del fields["log"]  # stands in metrics.jsonl
    place.mkdir(parents=True, exist_ok=True)
    files.write_text(place / EVALUATION, json.dumps(evaluation, indent=2) + "\n")
    files.write_text(place / RESULT, json.dumps(fields) + "\n")


def read(place: Path, run: dict[str, Any]) -> Result | None:
    """Reads the result in a run's folder, or returns None where the run is not finished.

    Args:
      place: The folder.
      run: `Run.to_json` of what ought to have been run.

    Raises:
      ValueError: something else was run in that folder.
    """
    if not (place / RESULT).is_file():
        return None
    fields = json.loads((place / RESULT).read_text(encoding="utf-8"))
    if fields["run"] != json.loads(json.dumps(run)):
        raise ValueError(
            f"{place} holds a run of other settings. Give another --workdir, or the budget and "
            "the data that it was begun with."
        )
    evaluation = json.loads((place / EVALUATION).read_text(encoding="utf-8"))
    return Result(**fields, evaluation=evaluation, log=read_metrics(place))
