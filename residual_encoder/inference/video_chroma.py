"""Predicts the chroma of a film's frames, each stage in a thread of its own."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from residual_encoder.imaging import color_detection, ffmpeg, video_io
from residual_encoder.imaging.image_io import as_picture
from residual_encoder.imaging.video_io import Frame, VideoInfo
from residual_encoder.inference import temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.temporal_smoothing import Motion
from residual_encoder.inference.video_progress import Shot
from residual_encoder.utils.ahead import ahead

LOOK = 8  # frames from one look for color to the next
BLANK = 6.0  # of 255, standard deviation of luma below which a frame tells nothing of its color
HELD = 30e6  # bytes of frames that wait for a stage, and that the network takes at once
# Of gray in [0, 1]: a frame that is nowhere further from one whose chroma is known has the same.
SAME = 0.25 / 255


class Look(NamedTuple):
    """Holds a frame, and what is known of it before the network sees it."""

    frame: Frame
    half: np.ndarray  # [h, w, 1] gray at the size of the film's chroma
    gray: np.ndarray  # [h, w, 1] float32, the network's input
    motion: Motion | None  # None of the first frame
    shot: Shot  # whether it is in color and left as it is


class Start(NamedTuple):
    """Tells where in a film to begin.

    Attributes:
      number: Of the first frame, from 0; a multiple of `segment`.
      gray: [h, w] float32, the network's input of the frame before; None of the first.
      shot: What is known of the shot that the frame before is in.
    """

    number: int
    gray: np.ndarray | None
    shot: Shot


@contextlib.contextmanager
def predicted(
    colorizer: Colorizer,
    source: Path,
    info: VideoInfo,
    start: Start,
    *,
    skip: bool,
    batch_size: int,
    segment: int,
) -> Iterator[Iterator[tuple[Look, np.ndarray | None]]]:
    """Yields frames with chroma, [h, w, 2] float32; without it where they stay in color.

    Args:
      colorizer: Gives the chroma.
      source: A film.
      info: What is known of it.
      start: The first frame.
      skip: Whether shots in color stay as they are.
      batch_size: Frames that the network takes at once, fewer where they are large.
      segment: Number of frames after which batches begin anew, so that chroma does not depend on
        the first frame's number.
    """
    count = int(min(max(HELD // info.bytes, 1), batch_size))
    with (
        ahead(_looks(colorizer, source, info, start, skip), count) as looks,
        ahead(_chromas(colorizer, looks, start.number, count, segment), count) as chromas,
    ):
        yield chromas


def _looks(
    colorizer: Colorizer, source: Path, info: VideoInfo, start: Start, skip: bool
) -> Generator[Look, None, None]:
    """Looks at frames: gray, motion since the one before, whether the shot is in color."""
    gray, shot = start.gray, start.shot
    for number, frame in enumerate(video_io.frames(source, info, start.number), start.number):
        full = ffmpeg.gray(frame.luma, info)
        now = colorizer.network_input(full[..., None])
        motion = None if gray is None else temporal_smoothing.observe(gray, now)
        cut = motion is None or motion.cut
        if skip and (cut or number % LOOK == 0):
            shot = shot.judged(_in_color(frame), cut)
        gray = now[..., 0]
        yield Look(frame, ffmpeg.halved(full, info)[..., None], now, motion, shot)
        del frame


def _chromas(
    colorizer: Colorizer, looks: Iterator[Look], number: int, count: int, segment: int
) -> Generator[tuple[Look, np.ndarray | None], None, None]:
    """Runs the network on batches; a frame like the last that it saw has that one's chroma."""
    nothing: tuple[np.ndarray | None, np.ndarray | None] = None, None
    last = nothing  # gray and chroma
    while batch := list(itertools.islice(looks, min(count, segment - number % segment))):
        last = last if number % segment else nothing
        number += len(batch)
        grays, places = list[np.ndarray](), list[int]()  # places in `grays`; -1 is of `last`
        for look in batch:
            if not look.shot.in_color:
                known = grays[-1] if grays else last[0]
                if known is None or np.abs(look.gray - known).max() > SAME:
                    grays.append(look.gray)
            places.append(len(grays) - 1)
        chromas = [*(colorizer.predict(np.stack(grays)) if grays else ()), last[1]]
        if grays:
            last = grays[-1], chromas[-2]
        while batch:  # popped, so that frames are held no longer than needed
            look = batch.pop(0)
            yield look, None if look.shot.in_color else chromas[places.pop(0)]


def _in_color(frame: Frame) -> bool | None:
    """Returns whether a frame is in color; None of one that is black or otherwise blank."""
    image = frame.image
    scale = min(1.0, 2 * color_detection.SIDE / max(image.width, image.height))
    width, height = (max(2, round(side * scale)) for side in (image.width, image.height))
    rgb = image.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    if color_detection.in_color(as_picture(rgb)):
        return True
    return None if rgb.std(axis=(0, 1)).max() < BLANK else False


def all_in_color(source: Path, info: VideoInfo) -> bool:
    """Returns whether a film is in color from its beginning to its end."""
    looks = (_in_color(f) for f in itertools.islice(video_io.frames(source, info), 0, None, LOOK))
    found = False
    for look in looks:
        if look is False:
            return False
        found |= look is True
    return found
