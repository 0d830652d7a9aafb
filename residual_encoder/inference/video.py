"""Colors films frame by frame: steady in color, shot by shot, and resumed after a stop."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import color_detection, ffmpeg, video_io
from residual_encoder.imaging.image_io import as_picture
from residual_encoder.imaging.video_io import Frame, VideoInfo
from residual_encoder.inference import output_paths, temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.temporal_smoothing import Motion
from residual_encoder.inference.video_progress import SegmentStore, VideoProgress
from residual_encoder.models import vividness
from residual_encoder.utils import files

SEGMENT = 120  # frames: 5 s at 24 a second, the most that a stop costs
VERSION = 3  # of the hidden folder; raise it when frames would come out otherwise
LOOK = 8  # frames from one look for color to the next
BLANK = 6.0  # of 255, standard deviation of luma below which a frame tells nothing of its color
COMPARED = ".compare"  # part of the names of segments


@dataclass(frozen=True)
class VideoConfig:
    """Configures the film to color and where to write it.

    Attributes:
      source: A film file.
      target: The colored film, ending in one of `video_io.WRITABLE`; see
        `output_paths.video_output_name`. What its container cannot hold is written as Matroska
        under another name; see `output_paths.matroska_name`.
      smoothing: Whether chroma is averaged along motion.
      overwrite: Whether a `target` that exists is replaced.
      batch_size: Frames that the network takes at once, and that are in memory.
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
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(f"end must be after start. Received {self.start} and {self.end}.")
        if Path(self.target).suffix.lower() not in video_io.WRITABLE:
            known = " ".join(sorted(video_io.WRITABLE))
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
    """Colors a film; the same call after a stop resumes it.

    The film's own luma, size, pixel aspect, times of frames and, up to 10, bits are kept; a rotated
    film comes out upright, an interlaced one in whole frames. Sound, subtitles, chapters, cover and
    tags are copied as they are. Up to its end the work lies in a hidden folder next to the target,
    about as large as the finished film. Memory holds `batch_size` frames, however long the film is.

    Args:
      colorizer: Gives the chroma.
      config: The film, and how to color it.

    Returns:
      The counts, the flicker and the notes.

    Raises:
      FileExistsError: `target` exists and `overwrite` is false.
      ValueError: `source` is empty, no film, or no frame of it can be read.
      OSError: a file cannot be read or written.
    """
    source, wanted = Path(config.source), Path(config.target)
    suffix, notes = ffmpeg.holding(source, wanted.suffix.lower())
    same = suffix == wanted.suffix.lower()
    target = wanted if same else output_paths.matroska_name(source, wanted)
    targets = [target, output_paths.comparison_path(target)][: 1 + config.compare]
    for path in targets:
        files.check_free(path, config.overwrite)
    info = video_io.inspect(source, config.start, config.end)
    if config.color_inputs == "skip" and _all_in_color(source, info):
        return _summary(VideoProgress(), info, False, (), None)
    codec = ffmpeg.encoder(suffix, info.depth)
    store = SegmentStore(target, _signature(colorizer, config, codec[0]))
    _color_segments(colorizer, config, info, codec, store)
    if not store.progress.frames:
        raise ValueError(f"{source} has no frame between --start and --end that can be read")
    colored = store.progress.kept < store.progress.frames
    sound = False
    for path in targets if colored else ():
        files.check_free(path, config.overwrite)  # it may have come while we worked
        ending = (COMPARED if path != target else "") + ffmpeg.SUFFIX
        segments = [store.segment(n, ending) for n in range(store.progress.segments)]
        with files.replacing(path) as temporary:
            sound, said = ffmpeg.join(segments, source, info, temporary)
    store.remove()
    if not colored:
        return _summary(store.progress, info, False, (), None)
    return _summary(store.progress, info, sound, (*notes, *info.notes, *said), target)


def _signature(colorizer: Colorizer, config: VideoConfig, codec: str) -> dict[str, Any]:
    """Returns everything that the frames depend on."""
    status = Path(config.source).stat()
    look = [colorizer.sha256, colorizer.size, colorizer.saturation, colorizer.upsampling]
    look += vividness.settings(colorizer.recipe.network).values()
    film = [config.smoothing, config.batch_size, SEGMENT, codec]
    return {
        "version": VERSION,
        "source": [str(Path(config.source).resolve()), status.st_size, status.st_mtime_ns],
        "colorizer": look,
        "film": [*film, config.start, config.end, config.compare, config.color_inputs],
    }


def _color_segments(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    codec: tuple[str, dict[str, str]],
    store: SegmentStore,
) -> None:
    """Colors the frames that are still gray, a segment at a time."""
    frames = video_io.frames(config.source, info, first=store.progress.frames)
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
            number = store.progress.segments
            endings = ["", COMPARED][: 1 + config.compare]
            with ExitStack() as stack:
                writers = []
                for width, ending in enumerate(endings, 1):
                    path = store.segment(number, ending + ffmpeg.SUFFIX)
                    temporary = stack.enter_context(files.replacing(path))
                    encoding = ffmpeg.segment(temporary, info, codec, width * info.width)
                    writers.append(stack.enter_context(encoding))
                for frame, image in _colored(colorizer, config, info, part, store):
                    writers[0](frame.time, image)
                    if config.compare:
                        gray = ffmpeg.painted(frame, info, None)
                        writers[1](frame.time, ffmpeg.side_by_side(gray, image))
                    bar.update()
            if store.state is not None:
                store.save(store.state)


class _Look(NamedTuple):
    """Holds a frame, and what is known of it before the network sees it."""

    frame: Frame
    half: np.ndarray  # [h, w, 1] gray at the size of the film's chroma
    gray: np.ndarray  # [h, w, 1] float32, the network's input
    motion: Motion | None  # None of the first frame
    kept: bool  # whether it is in color and left as it is


def _colored(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    part: Iterator[Frame],
    store: SegmentStore,
) -> Iterator[tuple[Frame, Any]]:
    """Yields frames of the film and colored ones; brings `store` up to date."""
    gray = None if store.state is None else store.state.gray
    while batch := list(itertools.islice(part, config.batch_size)):
        looks = list[_Look]()
        while batch:  # popped, so that two batches are never held
            number = store.progress.frames + len(looks)
            look = _look(colorizer, config, info, batch.pop(0), gray, store.progress, number)
            looks.append(look)
            gray = looks[-1].gray[..., 0]
        grays = [look.gray for look in looks if not look.kept]
        chromas = iter(colorizer.predict(np.stack(grays)) if grays else ())  # [B, h, w, 2]
        while looks:
            look = looks.pop(0)
            if look.kept:
                store.state = temporal_smoothing.unknown(look.gray)
                store.progress.kept += 1
                store.progress.add(look.frame.time, None)
                yield look.frame, look.frame.image
                continue
            chroma = _steady(store, look, next(chromas), config.smoothing)
            rgb = colorizer.merge(look.half, chroma, look.gray)
            yield look.frame, ffmpeg.painted(look.frame, info, rgb)


def _look(
    colorizer: Colorizer,
    config: VideoConfig,
    info: VideoInfo,
    frame: Frame,
    before: np.ndarray | None,
    progress: VideoProgress,
    number: int,
) -> _Look:
    """Looks at a frame: its gray, its motion since the one before, whether its shot is in color."""
    full = ffmpeg.gray(frame.luma, info)
    gray = colorizer.network_input(full[..., None])
    motion = None if before is None else temporal_smoothing.observe(before, gray)
    cut = motion is None or motion.cut
    if motion is not None and cut:
        progress.cuts.append(number)
    if config.color_inputs == "skip" and (cut or number % LOOK == 0):
        progress.judge(_in_color(frame), cut)
    return _Look(frame, ffmpeg.halved(full, info)[..., None], gray, motion, progress.in_color)


def _steady(store: SegmentStore, look: _Look, chroma: np.ndarray, smoothing: bool) -> np.ndarray:
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


# --- shots in color -------------------------------------------------------------------------------


def _in_color(frame: Frame) -> bool | None:
    """Returns whether a frame is in color; None of one that is black or otherwise blank."""
    image = frame.image
    scale = min(1.0, 2 * color_detection.SIDE / max(image.width, image.height))
    width, height = (max(2, round(side * scale)) for side in (image.width, image.height))
    rgb = image.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    if color_detection.in_color(as_picture(rgb)):
        return True
    return None if rgb.std(axis=(0, 1)).max() < BLANK else False


def _all_in_color(source: Path, info: VideoInfo) -> bool:
    """Returns whether a film is in color from its beginning to its end."""
    looks = (_in_color(f) for f in itertools.islice(video_io.frames(source, info), 0, None, LOOK))
    found = False
    for look in looks:
        if look is False:
            return False
        found |= look is True
    return found


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
