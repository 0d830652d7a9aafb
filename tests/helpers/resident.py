"""Trains or colors for long and prints the resident memory, in MiB, as a JSON list.

python tests/helpers/resident.py train FOLDER STEPS
python tests/helpers/resident.py color WEIGHTS PICTURES
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401  finds the package
import numpy as np

from helpers import killed
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.training import trainer

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> float:
    """MiB that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * PAGE / 2**20, 1)


def train(folder: str, steps: int) -> list[float]:
    """A step each; checkpoint and strips every 200, an evaluation every 500."""
    seen: list[float] = []
    killed.around("step", lambda: seen.append(resident()), lambda: None)
    config = dataclasses.replace(
        killed.config(Path(folder)),
        recipe=dataclasses.replace(killed.RECIPE, steps=steps),
        eval_every=500,
        checkpoint_every=200,
        log_every=10,
    )
    trainer.train(config)
    return seen


def color(weights: str, pictures: int) -> list[float]:
    """Pictures of 24 sizes, gray and color, 8 and 16 bits.

    For every new size oneDNN prepares kernels, which it keeps; sizes that were seen cost nothing.
    """
    colorizer, seen = Colorizer(weights, size=32), []
    chance = np.random.default_rng(0)
    sizes = chance.integers(16, 200, (24, 2))
    for number in range(pictures):
        shape = tuple(sizes[number % 24]) + ((3,) if number // 24 % 2 else ())
        dtype = np.uint16 if number % 3 else np.uint8
        colorizer.colorize(chance.integers(0, np.iinfo(dtype).max, shape, dtype))
        seen.append(resident())
    return seen


if __name__ == "__main__":
    work = {"train": train, "color": color}[sys.argv[1]]
    print(json.dumps(work(sys.argv[2], int(sys.argv[3]))))
