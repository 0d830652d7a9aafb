"""Reads films into frames, and writes them where ffmpeg is missing, by OpenCV.

OpenCV orders channels B, G, R; the swap happens here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from residual_encoder.imaging import rare_formats

LARGEST_DENOMINATOR = 1001  # of a frame rate: NTSC's 24000/1001, SMPTE ST 12-1
HIGHEST_RATE = 1000  # frames a second; more is a container that does not know its rate
ASSUMED_RATE = Fraction(25)  # where it does not know; PAL's
# File names that are taken for films.
READABLE = frozenset(
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv .vob".split()
)
WRITABLE = frozenset({".mp4", ".mov", ".mkv"})  # take H.264 from ffmpeg, MPEG-4 from OpenCV


@dataclass(frozen=True)
class VideoInfo:
    """Holds the properties that a film's header declares.

    Attributes:
      width: Of an upright frame, pixels.
      height: Of an upright frame, pixels.
      rate: Frames a second, the mean if it varies.
      declared: Number of frames as the container has it or as its length gives it; 0 if unknown.
      aspect: Width by height of one pixel.
    """

    width: int
    height: int
    rate: Fraction
    declared: int
    aspect: Fraction


# --- reading --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences OpenCV's log for now, and for good that of its FFmpeg, which asks only once."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET of libavutil/log.h
    with rare_formats.quiet():
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a capture that turns frames upright."""
    with _quiet():
        capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()


def _check_readable(path: Path) -> None:
    with open(path, "rb") as file:  # its error gives a reason, OpenCV's does not
        if not file.read(1):
            raise ValueError(f"{path} is empty; a film was wanted")


def _aspect(capture: Any) -> Fraction:
    """Returns width by height of one pixel, upright."""
    across, down = (int(capture.get(key)) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
    if across <= 0 or down <= 0:
        return Fraction(1)
    turned = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90
    return Fraction(down, across) if turned else Fraction(across, down)


def inspect(path: str | os.PathLike[str]) -> VideoInfo:
    """Opens a film and decodes its first frame.

    Raises:
      ValueError: it is empty, no film, or damaged before its first frame.
      OSError: no such file, or it cannot be read.
    """
    path = Path(path)
    _check_readable(path)
    with _opened(path) as capture:
        found, frame = capture.read()
        if not found:
            raise ValueError(
                f"{path} is no film that OpenCV can read, or is damaged or truncated "
                "before its first frame; fetch the file again or convert it to MP4"
            )
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        known = np.isfinite(rate) and 0 < rate <= HIGHEST_RATE
        return VideoInfo(
            width=frame.shape[1],
            height=frame.shape[0],
            rate=Fraction(rate).limit_denominator(LARGEST_DENOMINATOR) if known else ASSUMED_RATE,
            declared=int(count) if np.isfinite(count) and count > 0 else 0,
            aspect=_aspect(capture),
        )


def frames(path: str | os.PathLike[str], first: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Decodes a film, one frame in memory at a time.

    Args:
      path: A film that `inspect` has passed.
      first: Number of the first frame wanted; those before are decoded and dropped, since seeking
        is not exact to the frame in all containers.

    Yields:
      (seconds since the film began, upright RGB frame [H, W, 3] uint8).

    Raises:
      ValueError: the size of the picture changes.
    """
    shape = None
    for seconds, frame in _decoded(Path(path), first):
        if shape not in (None, frame.shape):
            raise ValueError(f"{path} changes its picture size; cut or convert it first")
        shape = frame.shape
        yield seconds, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _decoded(path: Path, first: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds, BGR frame) until nothing more can be read."""
    with _opened(path) as capture:
        for _ in range(first):
            capture.grab()
        found, frame = capture.read()
        while found:
            yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, frame
            found, frame = capture.read()


# --- writing without ffmpeg -----------------------------------------------------------------------


class Mp4vEncoder:
    """Writes MPEG-4 part 2 by OpenCV, without sound, where there is no ffmpeg.

    Segments are encoded once more when they are joined; OpenCV gives both a bit a pixel, at which
    the second encoding is not visible. Its conversion to YUV rounds down: gray was
    measured to come out darker by 3 to 4 of 255.
    """

    name = "mp4v"
    suffix = ".mp4"

    @contextlib.contextmanager
    def segment(self, path: Path, info: VideoInfo) -> Iterator[Callable[[np.ndarray], object]]:
        """Yields a function of an RGB frame [H, W, 3] uint8; the file is whole on exit.

        Raises:
          OSError: the file cannot be written.
        """
        with _writing(path, info, info.rate) as write:
            yield lambda frame: write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def join(
        self, segments: Iterable[Path], source: Path, target: Path, info: VideoInfo, rate: Fraction
    ) -> tuple[bool, tuple[str, ...]]:
        """Writes the segments as one film; the sound of `source` is not copied.

        Returns:
          (whether there is sound: never, notes for the reader).

        Raises:
          OSError: a file cannot be read or written.
        """
        with _writing(target, info, rate) as write:
            for path in segments:
                for _, frame in _decoded(path):
                    write(frame)
        notes = ["no ffmpeg with libx264 on the PATH: written as MPEG-4 without sound and tags"]
        if info.width % 2 or info.height % 2:
            notes.append("OpenCV writes even sizes only: the last row or column is left out")
        return False, tuple(notes)


@contextlib.contextmanager
def _writing(
    path: Path, info: VideoInfo, rate: Fraction
) -> Iterator[Callable[[np.ndarray], object]]:
    """Yields a function of a BGR frame; checks the file, as OpenCV is silent on a full disk."""
    code = cv2.VideoWriter.fourcc(*"mp4v")
    size = (info.width, info.height)
    with _quiet():
        writer = cv2.VideoWriter(str(path.resolve()), cv2.CAP_FFMPEG, code, float(rate), size)
    written = itertools.count()
    try:
        if not writer.isOpened():
            raise OSError(f"OpenCV cannot write {path} as MPEG-4; is the folder writable?")
        yield lambda frame: (writer.write(frame), next(written))
    finally:
        writer.release()
    wanted, found = next(written), sum(1 for _ in _decoded(path))
    if wanted != found:
        raise OSError(f"{path} holds {found} frames of {wanted}; is the disk full?")
