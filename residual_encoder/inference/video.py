"""Colors films frame by frame: steady in color, shot by shot, and resumed after a stop."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import ffmpeg, film_names, video_io
from residual_encoder.imaging.video_io import VideoInfo
from residual_encoder.inference import (
    output_paths,
    temporal_smoothing,
    video_chroma,
    video_progress,
    video_resume,
)
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.engines import settling
from residual_encoder.inference.video_chroma import Look
from residual_encoder.inference.video_progress import SegmentStore, VideoProgress
from residual_encoder.utils import files

SEGMENT = 120  # frames: 5 s at 24 a second, the most that a stop costs
VERSION = 5  # of the hidden folder and its signature; raise it when frames come out otherwise
COMPARED = ".compare"  # part of the names of segments


@dataclass(frozen=True)
class VideoConfig:
    """Configures the film to color and where to write it.

    Attributes:
      source: A film file.
      target: The colored film, ending in one of `film_names.WRITABLE`; see
        `output_paths.video_output_name`. What its container cannot hold is written as Matroska
        under another name; see `output_paths.matroska_name`.
      smoothing: Whether chroma is averaged along motion.
      overwrite: Whether a `target` that exists is replaced.
      batch_size: Frames that the network takes at once, and that wait in memory for each of the
        three stages (look, network, join); fewer where they are large.
      start: Seconds that are left out at the beginning.
      end: Second at which the colored part ends; None is the film's end.
      compare: Whether a film of gray next to colored is written too; see
        `output_paths.comparison_path`.
      color_inputs: "skip" leaves shots that are in color as they are, "recolor" colors all.
    """

    source: str
    target: str
    smoothing: bool = True
    overwrite: bool = False
    batch_size: int = 8
    start: float = 0.0
    end: float | None = None
    compare: bool = False
    color_inputs: str = "recolor"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received {self.batch_size}.")
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start must be seconds from 0 up. Received {self.start}.")
        if self.end is not None and not self.start < self.end < math.inf:
            raise ValueError(f"end must be after start. Received {self.start} and {self.end}.")
        if Path(self.target).suffix.lower() not in film_names.WRITABLE:
            known = " ".join(sorted(film_names.WRITABLE))
            raise ValueError(f"cannot write a film as {self.target}; wanted a name in {known}")
        if Path(self.target).resolve() == Path(self.source).resolve():
            raise ValueError(f"{self.source} would be written onto itself; choose another output")


@dataclass(frozen=True)
class VideoSummary:
    """Summarizes a colored film.

    Attributes:
      frames: How many are in the colored film.
      seconds: Its length.
      flicker: Mean absolute change of chroma along motion from frame to frame, cuts aside, of the
        chroma that was written; in units of chroma in [0, 1], before saturation.
      flicker_without: The same of the network's chroma, without smoothing.
      scene_cuts: Numbers, from 0, of the frames that begin a new scene.
      sound: Whether the colored film has sound.
      notes: Properties that could not be kept or read.
      kept: How many of the frames were in color and left as they are.
      output: The file that was written; None where all was in color.
    """

    frames: int
    seconds: float
    flicker: float
    flicker_without: float
    scene_cuts: tuple[int, ...]
    sound: bool
    notes: tuple[str, ...]
    kept: int = 0
    output: str | None = None


# --- coloring -------------------------------------------------------------------------------------


def colorize_video(colorizer: Colorizer, config: VideoConfig) -> VideoSummary:
    """Colors a film; the same call after a stop resumes it, to the same bytes.

    The film's own luma, size, pixel aspect, times of frames and, up to 10, bits are kept; a rotated
    film comes out upright, an interlaced one in whole frames. Sound, subtitles, chapters, cover and
    tags are copied as they are. Up to its end the work lies in a hidden folder next to the target,
    about as large as the finished film. Memory holds a few frames, however long the film is.

    Args:
      colorizer: Gives the chroma; for a long film it changes to TensorFlow where that is faster and
        it may choose, see `Colorizer.settle`; a film that is resumed keeps the engine it began in.
      config: The film, and how to color it.

    Returns:
      The counts, the flicker and the notes.

    Raises:
      FileExistsError: `target` exists and `overwrite` is false.
      ValueError: `source` is empty, no film, or no frame of it can be read.
      OSError: a file cannot be read or written; or another run is making the same film.
    """
    source, wanted = Path(config.source), Path(config.target)
    suffix, notes = ffmpeg.holding(source, wanted.suffix.lower())
    same = suffix == wanted.suffix.lower()
    target = wanted if same else output_paths.matroska_name(source, wanted)
    targets = [target, output_paths.comparison_path(target)][: 1 + config.compare]
    video_progress.check_free(targets, config.overwrite)
    info = video_io.inspect(source, config.start, config.end)
    if config.color_inputs == "skip" and video_chroma.all_in_color(source, info):
        return _summary(VideoProgress(), info, False, (), None)
    with video_progress.locked(target):
        return _colorize(colorizer, config, info, targets, notes)


def _colorize(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    targets: list[Path],
    notes: tuple[str, ...],
) -> VideoSummary:
    """Colors the frames that are still gray and joins all; `targets` are the one or two films."""
    source, target = Path(config.source), targets[0]
    codec, store = ffmpeg.encoder(target.suffix.lower(), info), SegmentStore(target)
    colorizer = _begun(colorizer, config, info, codec[0], store)
    _color_segments(colorizer, config, info, codec, store)
    if not store.progress.frames:
        raise ValueError(f"{source} has no frame between --start and --end that can be read")
    colored = store.progress.kept < store.progress.frames
    sound = False
    for path in reversed(targets if colored else []):  # so that all is done where the film is there
        # One may have come while we worked; what we have put in its place ourselves is no matter.
        video_progress.check_free([target, path], config.overwrite)
        ending = (COMPARED if path != target else "") + ffmpeg.SUFFIX
        segments = [store.segment(n, ending) for n in range(store.progress.segments)]
        with files.replacing(path, store.folder) as temporary:
            sound, said = ffmpeg.join(segments, source, info, temporary)
            store.publish(path, temporary)
    store.remove()
    if not colored:
        return _summary(store.progress, info, False, (), None)
    return _summary(store.progress, info, sound, (*notes, *info.notes, *said), target)


def _begun(
    colorizer: Colorizer, config: VideoConfig, info: VideoInfo, codec: str, store: SegmentStore
) -> Colorizer:
    """Opens the store, and returns the colorizer in the engine that the film is colored in."""
    film = [config.smoothing, config.batch_size, SEGMENT, codec]
    film += [config.start, config.end, config.compare, config.color_inputs]
    job = video_resume.signature(colorizer, Path(config.source), VERSION, film)
    frames = info.declared or settling.FRAMES
    colorizer = video_resume.in_its_engine(colorizer, store, job, frames)
    if line := video_resume.begin(colorizer, store, job):
        tqdm.write(f"{config.source}: {line}", file=sys.stderr)
    return colorizer


def _color_segments(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    codec: tuple[str, dict[str, str]],
    store: SegmentStore,
) -> None:
    """Colors the frames that are still gray, a segment at a time."""
    progress, state = store.progress, store.state
    start = video_chroma.Start(
        progress.frames, None if state is None else state.gray, progress.shot
    )
    chromas = video_chroma.predicted(
        colorizer,
        Path(config.source),
        info,
        start,
        skip=config.color_inputs == "skip",
        batch_size=config.batch_size,
        segment=SEGMENT,
    )
    bar = tqdm(
        desc=Path(config.source).name,
        total=info.declared or None,
        initial=progress.frames,
        unit="frame",
        file=sys.stderr,
        disable=None,
    )
    with bar, chromas as frames:
        for head in frames:
            part = itertools.chain([head], itertools.islice(frames, SEGMENT - 1))
            with ExitStack() as stack:
                writers = [
                    stack.enter_context(_writer(store, ending, info, codec, width))
                    for width, ending in enumerate(["", COMPARED][: 1 + config.compare], 1)
                ]
                for look, chroma in part:
                    image = _painted(colorizer, config, info, store, look, chroma)
                    writers[0](look.frame.time, image)
                    if config.compare:
                        gray = ffmpeg.painted(look.frame, info, None)
                        writers[1](look.frame.time, ffmpeg.side_by_side(gray, image))
                    bar.update()
            if store.state is not None:
                store.save(store.state)


@contextmanager
def _writer(
    store: SegmentStore,
    ending: str,
    info: VideoInfo,
    codec: tuple[str, dict[str, str]],
    width: int,
) -> Iterator[Callable[[int, Any], None]]:
    """Yields a function of (time, frame) that writes the next segment, of so many frames' width."""
    path = store.segment(store.progress.segments, ending + ffmpeg.SUFFIX)
    with (
        files.replacing(path) as temporary,
        ffmpeg.segment(temporary, info, codec, width * info.width) as write,
    ):
        yield write


def _painted(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    store: SegmentStore,
    look: Look,
    chroma: np.ndarray | None,
) -> Any:
    """Returns the colored frame, or as it is where it has no chroma; brings `store` up to date."""
    progress = store.progress
    progress.shot = look.shot
    if look.motion is not None and look.motion.cut:
        progress.cuts.append(progress.frames)
    if chroma is None:
        store.state = temporal_smoothing.unknown(look.gray)
        progress.kept += 1
        progress.add(look.frame.time, None)
        return look.frame.image
    steady = _steady(store, look, chroma, config.smoothing)
    rgb = colorizer.merge(look.half, steady, look.gray)
    return ffmpeg.painted(look.frame, info, rgb)


def _steady(store: SegmentStore, look: Look, chroma: np.ndarray, smoothing: bool) -> np.ndarray:
    """Returns chroma averaged along motion, or as it is; brings `store` up to date."""
    change, before = None, store.state
    if before is None or look.motion is None:
        store.state = temporal_smoothing.start(look.gray, chroma)
    else:
        store.state, change = temporal_smoothing.settle(before, look.motion, chroma)
        if not before.held.any():  # the one before was in color
            change = None
        elif not smoothing:
            change = change._replace(flicker=change.raw_flicker)
    store.progress.add(look.frame.time, change)
    return store.state.smooth if smoothing else chroma


# --- the end --------------------------------------------------------------------------------------


def _summary(
    progress: VideoProgress,
    info: VideoInfo,
    sound: bool,
    notes: tuple[str, ...],
    output: Path | None,
) -> VideoSummary:
    pairs = max(1, progress.pairs)
    if progress.kept:
        notes += (f"{progress.kept} of {progress.frames} frames are in color and left as they are",)
    seconds = float((progress.ends - progress.begins) * info.time_base + 1 / info.rate)
    return VideoSummary(
        frames=progress.frames,
        seconds=round(seconds, 6) if progress.frames else 0.0,
        flicker=progress.flicker / pairs,
        flicker_without=progress.without / pairs,
        scene_cuts=tuple(progress.cuts),
        sound=sound,
        notes=notes,
        kept=progress.kept,
        output=None if output is None else str(output),
    )
