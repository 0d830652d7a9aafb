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
MADE = "made.json"  # the films that were put into their places, if not all of a run are
DOUBTS = 3  # looks without color that end a shot in color where no cut was seen
_DAMAGE = ValueError, KeyError, TypeError, EOFError  # of a state that is none, or another version's
WRITTEN = re.compile(r"\.?(state|made|\d{6})\..+")  # what is written here, or half written


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


def made(target: Path) -> set[Path]:
    """Returns the finished films of a run that was killed before it ended, if it is `target`'s.

    A film that was changed or replaced since is none of them.
    """
    try:
        known = dict(json.loads((folder_of(target) / MADE).read_text(encoding="utf-8")))
        paths = {target.with_name(name): mark for name, mark in known.items()}
    except (OSError, *_DAMAGE):  # there is none, as a rule
        return set()
    return {path for path, mark in paths.items() if path.exists() and _mark(path) == mark}


def _mark(path: Path) -> list[int]:
    """Returns what a file keeps when it is renamed, and hardly when it is written anew."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def settled(target: Path) -> set[Path]:
    """Removes what is left of the work on a film that is whole, where a kill came in between.

    Returns:
      The comparison that a run left which was killed before the film itself was put in its place:
      the next run may replace it.
    """
    left = made(target)
    if target in left or _is_unused(folder_of(target)):
        with contextlib.suppress(OSError), locked(target):  # its run may still be at work
            SegmentStore(target).remove()
    return set() if target in left else left


def check_free(targets: list[Path], overwrite: bool) -> None:
    """Refuses films that exist, unless they may be replaced.

    Args:
      targets: The film, and its comparison where one is wanted; see `settled`.
      overwrite: Whether any may be replaced.

    Raises:
      FileExistsError: one exists.
    """
    left = set() if overwrite else settled(targets[0])
    for path in targets:
        if path not in left:
            files.check_free(path, overwrite)


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
            files.sweep(folder)
            yield
        finally:
            _remove_unused(folder)  # while it is locked: it may be the next run's afterwards


def _is_unused(folder: Path) -> bool:
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK}


def _remove_unused(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if _is_unused(folder):
            (folder / LOCK).unlink()
            folder.rmdir()


class SegmentStore:
    """Keeps finished segments, and the state to resume from, in a hidden folder next to the target.

    A segment counts once the state after it is written.

    Attributes:
      target: The film that is made.
      folder: Where they are; it need not exist before `begin`.
      signature: What they depend on, JSON-able; empty where nothing is finished.
      progress: The counts so far.
      state: What the next frame is smoothed with; None where nothing is finished.
    """

    def __init__(self, target: Path) -> None:
        """Reads what is finished; nothing is if its state or a segment is missing or damaged."""
        self.target, self.folder = target, folder_of(target)
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
            self.remove(but=MADE)
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

    def publish(self, path: Path, temporary: Path) -> None:
        """Notes that a whole film becomes `path` next; see `made`."""
        known = {film.name: _mark(film) for film in made(self.target)}
        files.write_text(self.folder / MADE, json.dumps(known | {path.name: _mark(temporary)}))

    def segment(self, number: int, suffix: str) -> Path:
        """Returns the path of a segment."""
        return self.folder / f"{number:06d}{suffix}"

    def remove(self, but: str = "") -> None:
        """Deletes the files written here, and the folder if it holds nothing else.

        Args:
          but: Name of one that stays.
        """
        with contextlib.suppress(OSError):  # there is none, or something else is in it
            # What tells that the film is whole goes last: a kill may come in between.
            for path in sorted(self.folder.iterdir(), key=lambda path: path.name == MADE):
                if WRITTEN.fullmatch(path.name) and path.name != but:
                    path.unlink()
            self.folder.rmdir()
