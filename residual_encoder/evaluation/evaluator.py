"""Measures a model on a dataset: the report that tools/evaluate.py writes."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import EvalBatch, RecordStats
from residual_encoder.evaluation import metrics, recognition
from residual_encoder.evaluation.recognition import RecognitionConfig, Recognizer
from residual_encoder.models import vividness
from residual_encoder.utils import files
from residual_encoder.utils.typing import Tensor

VERSIONED = ("tensorflow", "keras", "numpy", "scikit-image")


class MeasuredColorizer(Protocol):
    """Describes what is measured; `inference.colorizer.Colorizer` fits.

    Attributes:
      recipe: The `Recipe` of its training; name, color_space, gray, space and network are read.
      sha256: Of its weights file.
      source: Where it was loaded from.
      size: Short side in pixels that the network sees.
    """

    recipe: Any
    sha256: str
    source: str
    size: int

    @property
    def precision(self) -> str:
        """Returns the arithmetic of the network."""

    def chroma(self, gray: Tensor) -> Tensor:
        """Predicts chroma. [B, H, W, 1] float32 in [0, 1] -> [B, H, W, 2] float32 in [0, 1]."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Configures what data to measure on, and where the report goes.

    Attributes:
      data: The photographs; their validation split is read.
      output: JSON file to write; None writes none.
      image_size: Side of the center squares in pixels. 224 is Zhang et al. 2016.
      limit: Stop after so many photographs; None takes all.
      batch_size: Photographs at a time; changes speed and memory only.
      overwrite: Whether an earlier `output` is replaced.
      recognition: What recognizes the pictures; None leaves recognition out.
    """

    data: DataConfig
    output: str | None = None
    image_size: int = 224
    limit: int | None = None
    batch_size: int = 16
    overwrite: bool = False
    recognition: RecognitionConfig | None = None


def evaluate_model(config: EvaluateConfig, colorizer: MeasuredColorizer) -> dict[str, Any]:
    """Measures a model and the two baselines on the same photographs.

    Args:
      config: What data to measure on, and where the report goes.
      colorizer: The model.

    Returns:
      What `metrics.evaluate` gives, with `model`, `data`, `image_size`, `network_size`,
      `precision` and `versions`, and with recognition `recognition`, the files that did it; also
      written to `config.output`, whole or not at all.

    Raises:
      FileExistsError: the output exists and `overwrite` is false.
      FileNotFoundError: a file of the recognition is missing.
      ValueError: no photograph came, too many are broken, a setting is out of range, a model of
        the recognition does not fit, or a photograph is of no known class.
      OSError: the output cannot be written.
    """
    if config.output:
        files.check_free(config.output, config.overwrite)
    recognizer = Recognizer(config.recognition) if config.recognition else None
    stats = RecordStats()
    report = metrics.evaluate(
        colorizer.chroma,
        _batches(config, stats),
        space=colorizer.recipe.space,
        gray=colorizer.recipe.gray,
        further=recognizer,
    )
    if recognizer:
        report |= {"recognition": recognizer.about}
        report["protocol"] |= recognition.PROTOCOL
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
    bar = tqdm(total=config.limit, desc="evaluating", unit="photo", file=sys.stderr, disable=None)
    with stats.reraising(), bar as progress:
        for batch in input_pipeline.eval_batches(
            config.data,
            batch_size=config.batch_size,
            image_size=config.image_size,
            limit=config.limit,
            stats=stats,
        ):
            yield batch
            progress.update(len(batch.name))


def _model(colorizer: MeasuredColorizer) -> dict[str, Any]:
    """Identifies the weights by hash; of the path only the last part means anything elsewhere."""
    return {
        "name": Path(colorizer.source).name,
        "sha256": colorizer.sha256,
        "recipe": colorizer.recipe.name,
        "color_space": colorizer.recipe.color_space,
        "gray": colorizer.recipe.gray,
        **vividness.settings(colorizer.recipe.network),
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
