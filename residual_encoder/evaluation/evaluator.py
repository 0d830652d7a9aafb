"""A model measured on a dataset: the report that tools/evaluate.py writes."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import EvalBatch, RecordStats
from residual_encoder.evaluation import metrics
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.utils import files

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-image")


@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure, and on what.

    Attributes:
      data: The photographs; their validation split is read.
      model: Training workdir, weights file or exported SavedModel; None is what is shipped.
      output: JSON file to write; None writes none.
      image_size: Side of the center squares in pixels. 224 is Zhang et al. 2016.
      size: Short side that the network sees in pixels; "auto" is the recipe's.
      precision: Arithmetic of the network, see `Colorizer`.
      limit: Stop after so many photographs; None takes all.
      batch_size: Photographs at a time; changes speed and memory only.
      overwrite: Whether an earlier `output` is replaced.
    """

    data: DataConfig
    model: str | None = None
    output: str | None = None
    image_size: int = 224
    size: int | str = "auto"
    precision: str = "auto"
    limit: int | None = None
    batch_size: int = 16
    overwrite: bool = False


def evaluate_model(config: EvaluateConfig, colorizer: Colorizer | None = None) -> dict[str, Any]:
    """Measures a model and the two baselines on the same photographs.

    Args:
      config: What to measure, and on what.
      colorizer: The model, where it is loaded already; `config.model`, `size` and
        `precision` are not read then.

    Returns:
      What `metrics.evaluate` gives, with `model`, `data`, `image_size`, `network_size`,
      `precision` and `versions`; also written to `config.output`, whole or not at all.

    Raises:
      FileExistsError: the output exists and `overwrite` is false.
      FileNotFoundError: there is no such model.
      ValueError: no photograph came, too many are broken, or a setting is out of range.
      OSError: the output cannot be written.
    """
    if config.output:
        files.check_free(config.output, config.overwrite)
    colorizer = colorizer or Colorizer(config.model, size=config.size, precision=config.precision)
    stats = RecordStats()
    report = metrics.evaluate(
        colorizer.chroma,
        _batches(config, stats),
        space=colorizer.recipe.space,
        gray=colorizer.recipe.gray,
    )
    report |= {
        "model": _model(colorizer),
        "data": _data(config, stats, report["n"]),
        "image_size": config.image_size,
        "network_size": colorizer.size,
        "precision": colorizer.precision,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in VERSIONED},
    }
    if config.output:
        Path(config.output).parent.mkdir(parents=True, exist_ok=True)
        files.write_text(config.output, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return report


def _batches(config: EvaluateConfig, stats: RecordStats) -> Iterator[EvalBatch]:
    with stats.reraising(), tqdm(unit="photo", file=sys.stderr, disable=None) as progress:
        for batch in input_pipeline.eval_batches(
            config.data,
            batch_size=config.batch_size,
            image_size=config.image_size,
            limit=config.limit,
            stats=stats,
        ):
            yield batch
            progress.update(len(batch.name))


def _model(colorizer: Colorizer) -> dict[str, Any]:
    """Which weights, by hash; of the path only the last part, which is all that others can use."""
    return {
        "name": Path(colorizer.source).name,
        "sha256": colorizer.sha256,
        "recipe": colorizer.recipe.name,
        "color_space": colorizer.recipe.color_space,
        "gray": colorizer.recipe.gray,
    }


def _data(config: EvaluateConfig, stats: RecordStats, n: int) -> dict[str, Any]:
    folder = config.data.data_dir
    return {
        "kind": config.data.kind,
        "name": Path(folder).resolve().name if folder else None,
        "split": "val",
        "n": n,
        "limit": config.limit,
        "skip_gray": config.data.skip_gray,
        "left_out_gray": stats.gray,
        "left_out_broken": stats.bad,
    }
