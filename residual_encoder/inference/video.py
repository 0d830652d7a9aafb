"""Colors films frame by frame: steady in color, and resumed after a stop."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import ffmpeg, video_io
from residual_encoder.imaging.video_io import VideoInfo
from residual_encoder.inference import temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.video_progress import SegmentStore, VideoProgress
from residual_encoder.models import vividness
from residual_encoder.utils import files

SEGMENT = 120  # frames: 5 s at 24 a second, the most that a stop costs
VERSION = 1  # of the hidden folder; raise it when frames would come out otherwise


@dataclass(frozen=True)
class VideoConfig:
    """Configures the film to color and where to write it.

    Attributes:
      source: A film file.
      target: The colored film, ending in one of `video_io.WRITABLE`; see
        `output_paths.video_output_name`.
      smoothing: Whether chroma is averaged along motion.
      overwrite: Whether a `target` that exists is replaced.
      batch_size: Frames that the network takes at once, and that are in memory.
    """

    source: str
    target: str
    smoothing: bool = True
    overwrite: bool = False
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received {self.batch_size}.")
        if Path(self.target).suffix.lower() not in video_io.WRITABLE:
            known = " ".join(sorted(video_io.WRITABLE))
            raise ValueError(f"cannot write a film as {self.target}; wanted a name in {known}")
        if Path(self.target).resolve() == Path(self.source).resolve():
            raise ValueError(f"{self.source} would be written onto itself; choose another output")


@dataclass(frozen=True)
class VideoSummary:
    """Summarizes a colored film.

    Attributes:
      frames: How many were colored.
      seconds: Their length at the film's rate.
      flicker: Mean absolute change of chroma along motion from frame to frame, cuts aside, of the
        chroma that was written; in units of chroma in [0, 1], before saturation.
      flicker_without: The same of the network's chroma, without smoothing.
      scene_cuts: Numbers, from 0, of the frames that begin a new scene.
      sound: Whether the colored film has sound.
      notes: Properties that could not be kept or read.
    """

    frames: int
    seconds: float
    flicker: float
    flicker_without: float
    scene_cuts: tuple[int, ...]
    sound: bool
    notes: tuple[str, ...]


class Encoder(Protocol):
    """Writes frames in segments, and makes one film of them."""

    name: str
    suffix: str

    def segment(
        self, path: Path, info: VideoInfo
    ) -> AbstractContextManager[Callable[[np.ndarray], object]]:
        """Yields a function of RGB frames [H, W, 3] uint8."""

    def join(
        self, segments: list[Path], source: Path, target: Path, info: VideoInfo, rate: Fraction
    ) -> tuple[bool, tuple[str, ...]]:
        """Writes `target`; returns (whether it has sound, notes)."""


# --- coloring -------------------------------------------------------------------------------------


def colorize_video(colorizer: Colorizer, config: VideoConfig) -> VideoSummary:
    """Colors a film; the same call after a stop resumes it.

    The film's own gray, size, number of frames and rate are kept; a rotated film comes out upright,
    a film of 10 bits with 8. Frames of uneven times are all kept and shown at their mean rate.
    With an ffmpeg that has libx264 on the PATH the output is H.264 with the sound, chapters and
    tags of the film; otherwise it is MPEG-4 part 2 without them, and `notes` tell it. Up to its end
    the work lies in a hidden folder next to the target, about as large as the finished film. Memory
    holds `batch_size` frames, however long the film is.

    Args:
      colorizer: Gives the chroma.
      config: The film, and how to color it.

    Returns:
      The counts, the flicker and the notes.

    Raises:
      FileExistsError: `target` exists and `overwrite` is false.
      ValueError: `source` is empty, no film, or no frame of it can be read.
      OSError: a file cannot be read or written, or ffmpeg fails.
    """
    source, target = Path(config.source), Path(config.target)
    files.check_free(target, config.overwrite)
    info = video_io.inspect(source)
    program = ffmpeg.find()
    encoder: Encoder = ffmpeg.H264Encoder(program) if program else video_io.Mp4vEncoder()
    store = SegmentStore(target, _signature(colorizer, config, encoder.name))
    _color_segments(colorizer, config, info, encoder, store)
    progress = store.progress
    segments = [store.segment(number, encoder.suffix) for number in range(progress.segments)]
    files.check_free(target, config.overwrite)  # it may have come while we worked
    with files.replacing(target) as temporary:
        sound, notes = encoder.join(segments, source, temporary, info, progress.rate(info))
    store.remove()
    notes += _remarks(progress, info)
    return _summary(progress, info, sound, notes)


def _signature(colorizer: Colorizer, config: VideoConfig, encoder: str) -> dict[str, Any]:
    """Returns everything that the frames depend on."""
    status = Path(config.source).stat()
    look = [colorizer.sha256, colorizer.size, colorizer.saturation, colorizer.upsampling]
    look += vividness.settings(colorizer.recipe.network).values()
    return {
        "version": VERSION,
        "source": [str(Path(config.source).resolve()), status.st_size, status.st_mtime_ns],
        "colorizer": look,
        "film": [config.smoothing, config.batch_size, SEGMENT, encoder],
    }


def _color_segments(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    encoder: Encoder,
    store: SegmentStore,
) -> None:
    """Colors the frames that are still gray, a segment at a time."""
    frames = video_io.frames(config.source, first=store.progress.frames)
    with tqdm(
        desc=Path(config.source).name,
        total=info.declared or None,
        initial=store.progress.frames,
        unit="frame",
        file=sys.stderr,
        disable=None,
    ) as bar:
        for head in frames:
            part = itertools.chain([head], itertools.islice(frames, SEGMENT - 1))
            path = store.segment(store.progress.segments, encoder.suffix)
            with files.replacing(path) as temporary, encoder.segment(temporary, info) as write:
                for rgb in _colored(colorizer, config, info, part, store):
                    write(rgb)
                    bar.update()
            if store.state is not None:
                store.save(store.state)


def _colored(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    part: Iterator[tuple[float, np.ndarray]],
    store: SegmentStore,
) -> Iterator[np.ndarray]:
    """Yields colored frames [H, W, 3]; brings `store` up to date."""
    for time, frame, gray, chroma in _predicted(colorizer, part, config.batch_size):
        change = None
        if store.state is None:
            store.state = temporal_smoothing.start(gray, chroma)
        else:
            store.state, change = temporal_smoothing.update(store.state, gray, chroma)
        if change is not None and not config.smoothing:
            change = change._replace(flicker=change.raw_flicker)
        store.progress.add(time, info, change)
        yield colorizer.merge(frame, store.state.smooth if config.smoothing else chroma, gray)


def _predicted(
    colorizer: Colorizer, part: Iterator[tuple[float, np.ndarray]], batch_size: int
) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields (seconds, frame [H, W, 3], gray [h, w, 1], chroma [h, w, 2]); predicts by batches."""
    while batch := list(itertools.islice(part, batch_size)):
        grays = np.stack([colorizer.network_input(frame) for _, frame in batch])  # [B, h, w, 1]
        chromas = colorizer.predict(grays)  # [B, h, w, 2]
        for gray, chroma in zip(grays, chromas, strict=True):
            yield *batch.pop(0), gray, chroma  # popped, so that two batches are never held


# --- the end --------------------------------------------------------------------------------------


def _remarks(progress: VideoProgress, info: VideoInfo) -> tuple[str, ...]:
    """Returns remarks about the film that was read."""
    remarks = []
    if progress.varies(info):
        mean = float(progress.rate(info))
        remarks.append(
            f"its frames are not evenly spaced: shown at their mean, {mean:.3f} a second"
        )
    elif progress.frames < 0.99 * info.declared - 1:  # containers without a count give a guess
        remarks.append(
            f"damaged or truncated: {progress.frames} of {info.declared} frames were read"
        )
    return tuple(remarks)


def _summary(
    progress: VideoProgress, info: VideoInfo, sound: bool, notes: tuple[str, ...]
) -> VideoSummary:
    pairs = max(1, progress.pairs)
    return VideoSummary(
        frames=progress.frames,
        seconds=progress.frames / float(progress.rate(info)),
        flicker=progress.flicker / pairs,
        flicker_without=progress.without / pairs,
        scene_cuts=tuple(progress.cuts),
        sound=sound,
        notes=notes,
    )
