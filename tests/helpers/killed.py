"""Trains runs that are killed at random moments and resumed; run by test_faults.py.

python tests/helpers/killed.py FOLDER KILLS SEED

FOLDER/whole is a run that is never killed, made unless it is there already; FOLDER/cut-* are the
others; each is trained to its last step in the end. Prints one JSON line a kill: the run, the
place, the visit to it, and the seconds after its start. Every life is a fork of this process, which
has imported TensorFlow and started nothing of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest  # noqa: F401  finds the package

from residual_encoder.data.configs import DataConfig
from residual_encoder.recipes import RECIPES
from residual_encoder.training import checkpoints, snapshots, trainer
from residual_encoder.training.meter import Meter
from residual_encoder.training.run import TrainConfig
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import Workdir

RECIPE = dataclasses.replace(RECIPES["cnn1"], image_size=32, batch_size=2, steps=8)
SCENES = DataConfig("synthetic", synthetic_size=12)
DURATIONS = "durations.json"
PLACES = {
    "start": (trainer, "_build"),
    "step": (Meter, "wait_for"),  # it begins a step, which runs while it returns
    "log": (Workdir, "log"),
    "checkpoint": (checkpoints, "save"),
    "best": (snapshots, "_save_best"),
    "strips": (snapshots, "_write_strips"),
    "activity": (snapshots, "_log_activity"),
    "evaluation": (snapshots, "evaluate"),
}


def config(workdir: Path) -> TrainConfig:
    """A tiny network, 32 pixels, where all that training does comes every few steps."""
    return TrainConfig(
        RECIPE,
        SCENES,
        str(workdir),
        vgg16_weights="none",
        eval_every=4,
        eval_limit=2,
        checkpoint_every=2,
        log_every=1,
        samples=2,
    )


def around(place: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Calls something at the start and end of a place, in this process."""
    owner, name = PLACES[place]
    original = getattr(owner, name)

    def wrapped(*arguments: Any) -> Any:
        before()
        try:
            return original(*arguments)
        finally:
            after()

    setattr(owner, name, wrapped)


def life(work: Callable[[], None]) -> int:
    """Runs something in a fork; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def measured(workdir: Path) -> None:
    """A whole run; notes how long the first visit to each place took."""
    begun: dict[str, float] = {}
    took: dict[str, float] = {}
    for place in PLACES:
        around(
            place,
            lambda place=place: begun.setdefault(place, time.monotonic()) and None,
            lambda place=place: took.setdefault(place, time.monotonic() - begun[place]) and None,
        )
    train(config(workdir))
    (workdir / DURATIONS).write_text(json.dumps(took))


def doomed(workdir: Path, place: str, visit: int, delay: float) -> None:
    """A run that kills itself so many seconds after a visit to a place began."""
    visits = []

    def fuse() -> None:
        visits.append(place)
        if len(visits) == visit:
            kill = [os.getpid(), signal.SIGKILL]
            threading.Timer(delay, os.kill, kill).start()

    around(place, fuse, lambda: None)
    train(config(workdir))


def main(folder: Path, kills: int, seed: int) -> None:
    """Kills so many lives, then lets every run go to its end."""
    chance, places = random.Random(seed), list(PLACES)
    known = (folder / "whole" / DURATIONS).exists()
    if not known and life(lambda: measured(folder / "whole")):
        sys.exit("The whole run failed.")
    durations = json.loads((folder / "whole" / DURATIONS).read_text())
    cut = folder / "cut-0"
    while kills:
        place, visit = places[kills % len(places)], chance.choice([1, 1, 2, 3])
        delay = chance.uniform(0, durations[place] + 0.02)
        ended = life(lambda at=(cut, place, visit, delay): doomed(*at))
        if ended == -signal.SIGKILL:
            kills -= 1
            print(json.dumps([cut.name, place, visit, round(delay, 3)]), flush=True)
        elif ended:
            sys.exit(f"{cut} could not be resumed: exit code {ended}")
        else:  # it came to its end before the place
            cut = folder / f"cut-{int(cut.name[4:]) + 1}"
    for run in sorted(folder.glob("cut-*")):
        if life(lambda run=run: train(config(run))):
            sys.exit(f"{run} could not be resumed.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
