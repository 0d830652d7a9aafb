"""Progress of coloring a film: its statistics, and the hidden folder that survives a stop."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np

from residual_encoder.inference.temporal_smoothing import FrameChange, SmoothingState
from residual_encoder.utils import files

STATE, LOCK = "state.npz", "lock"
DOUBTS = 3  # looks without color that end a shot in color where no cut was seen
_DAMAGE = ValueError, KeyError, TypeError, EOFError  # of a state that is none, or another version's
WRITTEN = re.compile(r"\.?(state|\d{6})\..+")  # the state, segments, and what a stop left of either


class Shot(NamedTuple):
    """Holds what is known of a shot."""

    in_color: bool = False
    doubts: int = 0  # looks in a row at a shot in color that found none

    def judged(self, color: bool | None, cut: bool) -> Shot:
        """Decides on a shot after a look at a frame, which may tell nothing (None)."""
        if color is None:
            return self
        doubts = 0 if color else self.doubts + 1
        return Shot(color or (self.in_color and not cut and doubts < DOUBTS), doubts)


@dataclass
class VideoProgress:
    """Counts frames, pairs and cuts so far; grows with the cuts and not with the frames."""

    frames: int = 0
    segments: int = 0
    kept: int = 0  # frames that are in color and left as they are
    shot: Shot = Shot()
    pairs: int = 0  # neighboring frames of one scene
    without: float = 0.0  # sum of the flicker of the raw chroma; the name is part of saved progress
    flicker: float = 0.0  # sum of the flicker of the written chroma
    begins: int = 0  # ticks, time of the first frame
    ends: int = 0  # ticks, time of the last frame
    cuts: list[int] = field(default_factory=list)

    def add(self, time: int, change: FrameChange | None) -> None:
        """Counts a frame and how it differs from the one before; the first has none."""
        self.begins = self.begins if self.frames else time
        self.ends = time
        self.frames += 1
        if change is not None and not change.cut:
            self.pairs += 1
            self.without += change.raw_flicker
            self.flicker += change.flicker


def folder_of(target: Path) -> Path:
    """Returns the hidden folder of a film that is being colored."""
    return target.with_name(files.fitting_name(f".{target.name}", ".parts"))


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Keeps other runs out of the hidden folder, whose segments would get mixed; makes it.

    On exit the folder is gone if nothing else is in it.

    Raises:
      OSError: another run has it, or it cannot be made.
    """
    folder, taken = folder_of(target), True
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as file:
        with contextlib.suppress(OSError):  # a file system that has no locks
            taken = filelock.lock_descriptor(file.fileno(), blocking=False)
        if not taken:
            raise OSError(
                f"{target} is being made by another run. Wait for it, or choose another output."
            )
        try:
            yield
        finally:
            _remove_unused(folder)  # while it is locked: it may be the next run's afterwards


def _remove_unused(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()


class SegmentStore:
    """Keeps finished segments, and the state to resume from, in a hidden folder next to the target.

    A segment counts once the state after it is written.

    Attributes:
      folder: Where they are; it need not exist before `begin`.
      signature: What they depend on, JSON-able; empty where nothing is finished.
      progress: The counts so far.
      state: What the next frame is smoothed with; None where nothing is finished.
    """

    def __init__(self, target: Path) -> None:
        """Reads what is finished; nothing is if its state or a segment is missing or damaged."""
        self.folder = folder_of(target)
        self.signature: dict[str, Any] = {}
        self.progress = VideoProgress()
        self.state: SmoothingState | None = None
        with contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, *_DAMAGE):
            self._read()

    def _read(self) -> None:
        with np.load(self.folder / STATE, allow_pickle=False) as saved:
            state = SmoothingState(*(saved[name] for name in SmoothingState._fields))
            progress = VideoProgress(**json.loads(saved["ledger"].item()))
            progress.shot = Shot(*progress.shot)
            signature = json.loads(saved["signature"].item())
        there = Counter(path.name.partition(".")[0] for path in self.folder.iterdir())
        counts = {there[f"{number:06d}"] for number in range(progress.segments)}
        if len(counts) == 1 and 0 not in counts:  # each is one film, or with the comparison two
            self.signature, self.progress, self.state = signature, progress, state

    def differences(self, signature: dict[str, Any]) -> set[str]:
        """Returns which parts of a signature differ from that of the finished work."""
        names = {*signature, *self.signature}
        return {name for name in names if signature.get(name) != self.signature.get(name)}

    def begin(self, signature: dict[str, Any]) -> None:
        """Makes the folder; the work of another signature in it is removed."""
        if self.differences(signature):
            self.remove()
            self.progress, self.state = VideoProgress(), None
        self.signature = signature
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, state: SmoothingState) -> None:
        """Counts one more segment as finished."""
        self.progress.segments += 1
        ledger = json.dumps(asdict(self.progress))
        with files.replacing(self.folder / STATE) as temporary:
            signature = json.dumps(self.signature)
            np.savez(temporary, signature=signature, ledger=ledger, **state._asdict())

    def segment(self, number: int, suffix: str) -> Path:
        """Returns the path of a segment."""
        return self.folder / f"{number:06d}{suffix}"

    def remove(self) -> None:
        """Deletes the files written here, and the folder if it holds nothing else."""
        with contextlib.suppress(OSError):  # there is none, or something else is in it
            for path in self.folder.iterdir():
                if WRITTEN.fullmatch(path.name):
                    path.unlink()
            self.folder.rmdir()
