"""Long runs do not grow: 2,000 training steps, 2,000 pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder import models
from residual_encoder.models import weights as weights_files
from residual_encoder.recipes import RECIPES

COUNT = 2000
# MiB from the second to the last quarter: a tensor of the network or a picture kept each time would
# be hundreds. The allocators' own ups and downs stay below.
NOISE = 24


def growth(seen: list[float]) -> float:
    """How much more is resident in the last quarter than in the second: medians, MiB."""
    quarters = np.array_split(np.array(seen), 4)
    return float(np.median(quarters[3]) - np.median(quarters[1]))


def resident(*arguments: object) -> list[float]:
    command = [sys.executable, "tests/helpers/resident.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def report(what: str, seen: list[float]) -> None:
    quarters = [round(float(np.median(part)), 1) for part in np.array_split(np.array(seen), 4)]
    print(f"{what}: {len(seen)}, MiB by quarters {quarters}")


@pytest.mark.slow
def test_two_thousand_steps_do_not_grow(tmp_path: Path) -> None:
    seen = resident("train", tmp_path / "run", COUNT)
    report("steps", seen)
    assert len(seen) == COUNT and growth(seen) < NOISE


@pytest.mark.slow
def test_two_thousand_pictures_do_not_grow(tmp_path: Path) -> None:
    weights, recipe = tmp_path / "tiny.weights.h5", RECIPES["cnn1"]
    weights_files.save_weights(models.build(recipe.network), weights, recipe.to_json())
    seen = resident("color", weights, COUNT)
    report("pictures", seen)
    assert len(seen) == COUNT and growth(seen) < NOISE
