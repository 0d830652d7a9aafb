"""All experiments of a budget in order, and the report of what came of them.

Finished runs are read, an interrupted one is resumed, and the report is written from whatever is
finished, so that the same command can be given until all runs are done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import SPLITS, DataConfig, check_separate
from residual_encoder.recipes import RECIPES
from residual_encoder.reproduction import (
    decisions,
    experiments,
    report,
    results,
    runner,
    step_memory,
)
from residual_encoder.reproduction.evidence import Evidence
from residual_encoder.reproduction.experiments import Budget, Run
from residual_encoder.reproduction.results import Result
from residual_encoder.reproduction.runner import Place
from residual_encoder.reproduction.step_memory import StepMemory
from residual_encoder.reproduction.time_estimate import Forecast, as_clock
from residual_encoder.utils import files


@dataclass(frozen=True)
class ReproduceConfig:
    """Settings of `reproduce`.

    Attributes:
      data: Photographs.
      workdir: Folder of everything; a used one is resumed.
      budget: Extent of the reproduction.
      vgg16_weights: "imagenet", "none" or the path of a VGG16 weight file.
    """

    data: DataConfig
    workdir: str
    budget: Budget
    vgg16_weights: str = "imagenet"


@dataclass(frozen=True)
class Reproduction:
    """Outcome of `reproduce`.

    Attributes:
      page: report.html; report.json lies next to it.
      unfinished: Names of the runs that a signal kept from being done.
    """

    page: Path
    unfinished: list[str]


def reproduce(config: ReproduceConfig) -> Reproduction:
    """Runs what is not finished yet and writes the report.

    Raises:
      ValueError: the workdir holds another budget's runs, or the data has but one split.
      OSError: data or weights are missing, or the workdir cannot be written.
    """
    _leave_room_on_gpus()
    _check_data(config)
    folder = Path(config.workdir)
    folder.mkdir(parents=True, exist_ok=True)
    measured = _memory(config.budget, folder / "memory.json")
    runs = experiments.plan(config.budget, config.data)
    place = Place(folder / "runs", config.budget, config.vgg16_weights)
    finished = _finished(runs, place)
    evidence = Evidence({r.name: r for r in finished}, measured, config.budget.decisive)
    report.write(folder, config.data, config.budget, runs, evidence)
    unfinished = [run.name for run in runs if run.name not in evidence.results]
    return Reproduction(folder / report.PAGE, unfinished)


def _leave_room_on_gpus() -> None:
    """Takes no more of a GPU's memory than it needs: the rest is measured in other processes."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already, as it is
            tf.config.experimental.set_memory_growth(gpu, True)


def _check_data(config: ReproduceConfig) -> None:
    """Checks for data: missing data is better known now than after the first measurement."""
    check_separate(config.data, config.data)
    size = config.budget.evaluation_size
    for split in SPLITS:
        input_pipeline.eval_batches(
            config.data, batch_size=1, image_size=size, limit=1, split=split
        )


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# --- runs -----------------------------------------------------------------------------------------


def _finished(runs: list[Run], place: Place) -> list[Result]:
    """Returns the results of all runs, or of those before a signal."""
    done = [results.read(place.of(run), run.to_json()) for run in runs]
    found = [result for result in done if result]
    todo = [run for run, result in zip(runs, done, strict=True) if not result]
    if not todo:
        return found
    forecast = Forecast(todo)
    _print_line(
        f"{len(runs)} runs, {len(found)} finished before. Expected for the other {len(todo)}: "
        f"{as_clock(forecast.left())}; the estimate gets better as they go."
    )
    for number, run in enumerate(todo, start=len(found) + 1):
        began = time.perf_counter()
        result = runner.finish(run, place)
        if result is None:
            break
        found.append(result)
        taken = time.perf_counter() - began
        forecast.note(run.name, taken)
        failed = f", broke: {result.failure}" if result.failure else ""
        left = f"{as_clock(taken)}{failed}; {as_clock(forecast.left())} left"
        _print_line(f"[{number}/{len(runs)}] {run.name}: {left}")
    return found


# --- memory ---------------------------------------------------------------------------------------


def _memory(budget: Budget, path: Path) -> dict[str, list[StepMemory]]:
    """Measures the memory of one training step by network, once."""
    if not budget.memory_size:
        return {}
    if not path.is_file():
        _print_line("Measuring the memory of a training step")
        found = {
            name: [_step(name, batch, budget.memory_size) for batch in batches]
            for name, batches in decisions.MEMORY_BATCHES.items()
        }
        rows = {name: [dataclasses.asdict(step) for step in steps] for name, steps in found.items()}
        files.write_text(path, json.dumps(rows, indent=2) + "\n")
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: [StepMemory(**row) for row in steps] for name, steps in rows.items()}


def _step(name: str, batch: int, size: int) -> StepMemory:
    try:
        return step_memory.step_memory(RECIPES[name], batch, size, decisions.MEMORY_LIMIT)
    except BrokenProcessPool:  # killed: the machine has not even so much
        return StepMemory("cpu", batch, size, 0.0, None, False)
