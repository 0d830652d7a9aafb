"""Progress of coloring a film: its statistics, and the hidden folder that survives a stop."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.imaging import video_io
from residual_encoder.imaging.video_io import VideoInfo
from residual_encoder.inference.temporal_smoothing import FrameChange, SmoothingState
from residual_encoder.utils import files

STATE = "state.npz"
WRITTEN = re.compile(r"\.?(state|\d{6})\..+")  # the state, segments, and what a stop left of either
SETTLED = 1.0  # frame times; a frame that is further off an even rate makes the rate a varying one


@dataclass
class VideoProgress:
    """Counts frames, pairs and cuts so far; grows with the cuts and not with the frames."""

    frames: int = 0
    segments: int = 0
    pairs: int = 0  # neighboring frames of one scene
    without: float = 0.0  # sum of the flicker of the raw chroma; the name is part of saved progress
    flicker: float = 0.0  # sum of the flicker of the written chroma
    begins: float = 0.0  # seconds, time of the first frame
    ends: float = 0.0  # seconds, time of the last frame
    unevenness: float = 0.0  # seconds, most that a frame was off an even rate
    cuts: list[int] = field(default_factory=list)

    def add(self, time: float, info: VideoInfo, change: FrameChange | None) -> None:
        """Counts a frame and how it differs from the one before; the first has none."""
        if not self.frames:
            self.begins = time
        self.ends = time
        even = self.begins + self.frames / float(info.rate)
        self.unevenness = max(self.unevenness, abs(time - even))
        if change is not None and change.cut:
            self.cuts.append(self.frames)
        elif change is not None:
            self.pairs += 1
            self.without += change.raw_flicker
            self.flicker += change.flicker
        self.frames += 1

    def varies(self, info: VideoInfo) -> bool:
        """Returns whether the frames are not evenly spaced; a film without times counts as even."""
        return self.ends > self.begins and self.unevenness * info.rate > SETTLED

    def rate(self, info: VideoInfo) -> Fraction:
        """Returns the header's rate, or the mean of the frames' own times where they are uneven."""
        if not self.varies(info):
            return info.rate
        mean = (self.frames - 1) / (self.ends - self.begins)
        return Fraction(mean).limit_denominator(video_io.LARGEST_DENOMINATOR)


class SegmentStore:
    """Keeps finished segments, and the state to resume from, in a hidden folder next to the target.

    A segment counts once the state after it is written.
    """

    def __init__(self, target: Path, signature: dict[str, Any]) -> None:
        """Opens the folder, or makes it; the work of another signature in it is removed."""
        self.folder = target.with_name(files.fitting_name(f".{target.name}", ".parts"))
        self.signature = json.dumps(signature, sort_keys=True)
        self.progress, self.state = self._read()
        if not self.progress.segments:
            self.remove()
            self.folder.mkdir(parents=True, exist_ok=True)

    def _read(self) -> tuple[VideoProgress, SmoothingState | None]:
        """Reads the finished part of this job: nothing if the file is of another, or damaged."""
        with (
            contextlib.suppress(FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError),
            np.load(self.folder / STATE, allow_pickle=False) as saved,
        ):
            if saved["signature"].item() == self.signature:
                state = SmoothingState(*(saved[name] for name in SmoothingState._fields))
                return VideoProgress(**json.loads(saved["ledger"].item())), state
        return VideoProgress(), None

    def save(self, state: SmoothingState) -> None:
        """Counts one more segment as finished."""
        self.progress.segments += 1
        with files.replacing(self.folder / STATE) as temporary:
            np.savez(
                temporary,
                signature=self.signature,
                ledger=json.dumps(asdict(self.progress)),
                **state._asdict(),
            )

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
