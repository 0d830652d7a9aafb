"""Batches with one network, which is loaded once, and their pictures and reports.

Where `load_once` is imported, the fixture `colorizer` of the module takes the place of loading.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from residual_encoder.imaging import image_io
from residual_encoder.inference import batch
from residual_encoder.inference.batch import BatchConfig, colorize_files
from residual_encoder.inference.colorizer import Colorizer


@pytest.fixture(autouse=True)
def load_once(colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "configured", lambda *_: colorizer)


def run(*inputs: Path, output: Path, **options: object) -> batch.BatchSummary:
    names = tuple(map(str, inputs))
    return colorize_files(BatchConfig(names, str(output), **options))  # type: ignore[arg-type]


def rows(report: Path) -> dict[str, dict[str, object]]:
    found = map(json.loads, report.read_text().splitlines())
    return {Path(row["file"]).name: row for row in found}


def gray(path: Path, shape: tuple[int, ...] = (24, 32), dtype: type = np.uint8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    if len(shape) == 3:  # three equal channels, and alpha
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=-1)
    image_io.write(path, pixels)
    return path
