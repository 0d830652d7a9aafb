"""Reads films by FFmpeg's libraries: whole frames, each with its own time, and other streams."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.error import FFmpegError

from residual_encoder.imaging import fields

ASSUMED_RATE = Fraction(25)  # where a film does not know its own; PAL's
# A clock that falls back by this many seconds has begun anew; one that leaps by so many has, where
# the container's clock may (MPEG). ffmpeg has the same threshold for the second.
FALL, LEAP = 0.25, 10.0
TS_DISCONT, GEN_PTS = 0x200, 1  # AVFMT_ and AVFMT_FLAG_ of libavformat/avformat.h
FULL = 2  # range of samples: AVCOL_RANGE_JPEG
PLANAR = ("yuv4", "yuva4", "yuvj4", "gray", "nv12")  # formats whose first plane is luma
NO_PICTURE = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
WINDOWS, WINDOW = 6, 40  # how many places of a film are looked at for fields, frames of each
TALLEST_INTERLACED = 1088  # lines, of broadcasts and discs
BEFORE = 3.0  # seconds before a start at which decoding begins, for the filters and open groups
# The weights of red and blue in luma, by number of matrix (ITU-T H.273, table 4).
MATRICES = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114)}
MATRICES |= {7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
UPRIGHT = {90: "transpose=cclock", -90: "transpose=clock", 180: "hflip,vflip", -180: "hflip,vflip"}


@dataclass(frozen=True)
class VideoInfo:
    """Holds the properties of a film that all its frames share.

    Attributes:
      width: Of an upright frame, pixels.
      height: Of an upright frame, pixels.
      rate: Frames a second, the mean if it varies.
      declared: Number of frames, as counted or, of a part, estimated.
      aspect: Width by height of one upright pixel.
      time_base: Seconds of one tick, in which frames have their times.
      depth: Bits of a sample as written, 8 or 10.
      color: Numbers of range, matrix, primaries and transfer (ITU-T H.273; 2 is unknown).
      filters: Names of FFmpeg's filters that make whole upright frames of the file's.
      offsets: Seconds to add to each part's clock; a joined film has several parts.
      start: Seconds that are left out at the beginning.
      end: Second at which reading ends; None is the film's end.
      notes: Remarks for a person.
    """

    width: int
    height: int
    rate: Fraction
    declared: int
    aspect: Fraction
    time_base: Fraction
    depth: int = 8
    color: tuple[int, int, int, int] = (1, 2, 2, 2)
    filters: tuple[str, ...] = ()
    offsets: tuple[float, ...] = (0.0,)
    start: float = 0.0
    end: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """Returns FFmpeg's name of the frames' format; odd sides need chroma at full size."""
        size = "444" if self.width % 2 or self.height % 2 else "420"
        return f"yuv{size}p{'10le' if self.depth == 10 else ''}"

    @property
    def bytes(self) -> int:
        """Returns the bytes of one frame."""
        samples = 6 if "444" in self.form else 3  # of two pixels
        return self.width * self.height * samples * (2 if self.depth > 8 else 1) // 2


class Frame(NamedTuple):
    """Holds one frame."""

    time: int  # ticks of the film's time base since `start`
    image: Any  # av.VideoFrame of the film's size and `form`
    luma: np.ndarray  # [H, W] uint8 or uint16 of `depth` bits, as in the file


# --- files, streams and clocks --------------------------------------------------------------------


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Opens a film.

    Raises:
      ValueError: it is empty or no film.
      OSError: no such file, or it cannot be read.
    """
    with open(path, "rb") as file:  # its error gives a reason
        if not file.read(1):
            raise ValueError(f"{path} is empty; a film was wanted")
    url, local = f"file:{Path(path).resolve()}", {"protocol_whitelist": "file"}
    try:
        container = av.open(url, options=local, metadata_errors="surrogateescape")
    except FFmpegError as error:
        raise _no_film(path) from error
    with container:
        container.flags &= ~GEN_PTS  # which guesses wrong in AVI
        yield container


def _no_film(path: str | os.PathLike[str]) -> ValueError:
    return ValueError(
        f"{path} is no film that can be read, or is damaged or truncated before its first frame; "
        "fetch the file again or convert it to MP4"
    )


def picture_stream(container: Any) -> Any:
    """Returns the stream of a film's picture, which is no cover; None where there is none."""
    streams = container.streams.video
    found = [s for s in streams if s.codec_context and not s.disposition & NO_PICTURE]
    return max(found, key=lambda s: s.disposition & 1, default=None)  # 1 is "default"


class Reading:
    """Reads the packets of an open film by a clock that runs on where its own starts anew.

    Attributes:
      damaged: Whether reading ended in an error; known in the end.
    """

    def __init__(self, container: Any, offsets: tuple[float, ...] = ()) -> None:
        """Takes the seconds to add in each part; without them times stay as they are."""
        self.container, self.offsets, self.damaged = container, offsets, False
        self.picture = picture_stream(container)
        self.leaps = bool(container.format.flags & TS_DISCONT)
        self.part: Counter[int] = Counter()  # stream -> how often its clock began anew
        self.last: dict[int, float] = {}  # stream -> seconds

    def packets(self) -> Iterator[Any]:
        """Yields packets as they are in the file, and in the end an empty one of the picture."""
        source, count, packet = self.container.demux(), 0, None
        with contextlib.suppress(StopIteration):
            try:
                while (packet := next(source)).size or packet.dts is not None:
                    if not packet.size:  # a frame that is shown once more
                        continue
                    count += packet.stream is self.picture
                    self.damaged = packet.is_corrupt
                    self._join(packet)
                    yield packet
            except FFmpegError:
                self.damaged = True
        # The index of an MP4 is exact: it lists what a truncated file lacks.
        self.damaged |= "mp4" in self.container.format.name and count < self.picture.frames
        end = av.Packet()
        end.stream = self.picture
        yield end

    def _join(self, packet: Any) -> None:
        stream, time = packet.stream_index, packet.dts if packet.dts is not None else packet.pts
        if time is None:
            return
        now = float(time * packet.time_base)
        ahead = now - self.last.get(stream, now)
        dense = packet.stream.type in ("audio", "video")
        anew = ahead < -FALL or (ahead > LEAP and self.leaps and dense)
        self.part[stream] += anew
        if packet.dts is not None:
            self.last[stream] = now
        elif anew:  # a time to show a frame at is no measure: it falls where frames are reordered
            del self.last[stream]
        if self.offsets:
            offset = self.offsets[min(self.part[stream], len(self.offsets) - 1)]
            ticks = round(offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks


def _measured(reading: Reading) -> tuple[tuple[float, ...], int, float]:
    """Reads all packets; returns (offsets, frames, seconds from the film's begin to its end)."""
    starts, ends, count = [np.inf], [0.0], 0
    for packet in reading.packets():
        time = packet.pts if packet.pts is not None else packet.dts
        sounds = packet.stream is reading.picture or packet.stream.type == "audio"
        if time is None or packet.is_discard or not sounds:
            continue
        count += packet.stream is reading.picture
        if (part := reading.part[packet.stream_index]) == len(starts):
            starts, ends = [*starts, np.inf], [*ends, -np.inf]
        begin = float(time * packet.time_base)
        starts[part] = min(starts[part], begin)
        ends[part] = max(ends[part], begin + float((packet.duration or 0) * packet.time_base))
    offsets = [-starts[0] if reading.leaps and count else 0.0]
    for before, start in zip(ends, starts[1:], strict=False):
        offsets.append(offsets[-1] + before - start)
    return tuple(offsets), count, ends[-1] + offsets[-1]


# --- what a film is -------------------------------------------------------------------------------


def inspect(
    path: str | os.PathLike[str], start: float = 0.0, end: float | None = None
) -> VideoInfo:
    """Reads a film once through without decoding it, and decodes some frames of it.

    Args:
      path: A film.
      start: Seconds that are to be left out at the beginning.
      end: Second at which reading is to end; None is the film's end.

    Raises:
      ValueError: it is empty, no film, or damaged before its first frame.
      OSError: no such file, or it cannot be read.
    """
    with opened(path) as container:
        if (picture := picture_stream(container)) is None:
            raise ValueError(f"{path} has no moving picture; a film was wanted")
        reading = Reading(container)
        offsets, count, seconds = _measured(reading)
        rates = (picture.average_rate, picture.base_rate, ASSUMED_RATE)
        rate = next(rate for rate in rates if rate and rate <= 300)
        aspect, base = picture.sample_aspect_ratio or Fraction(1), picture.time_base
    first, marked, pairs = _sampled(path, seconds - offsets[-1])
    if first is None:
        raise _no_film(path)
    turn = UPRIGHT.get(first.rotation, "")
    filters, notes = fields.filters(marked, pairs)
    if len(offsets) > 1:
        notes += (f"its clock starts anew {len(offsets) - 1} times: the parts are joined",)
    if reading.damaged:
        notes += (f"damaged or truncated: it ends after {count} frames in an error",)
    if start or end is not None:
        count = round(((seconds if end is None else min(end, seconds)) - start) * rate)
    turned = "transpose" in turn
    return VideoInfo(
        *((first.height, first.width) if turned else (first.width, first.height)),
        rate=rate,
        declared=max(0, count),
        aspect=1 / aspect if turned else aspect,
        time_base=base,
        depth=10 if first.format.components[0].bits > 8 else 8,
        color=_color(first),
        filters=(*filters, *filter(None, turn.split(","))),
        offsets=tuple(offset - start for offset in offsets),
        start=start,
        end=end,
        notes=notes,
    )


def _sampled(
    path: str | os.PathLike[str], seconds: float
) -> tuple[Any, bool, list[tuple[float, float]]]:
    """Decodes frames from all over a film.

    Returns:
      (the first frame, whether any is marked as fields, `fields.mixed` of neighbors that differ).
    """
    first, marked, pairs = None, False, []
    for window in range(WINDOWS):
        with opened(path) as container:
            with contextlib.suppress(FFmpegError):  # not all containers can
                if window:
                    container.seek(round(seconds * window / WINDOWS * 1e6))
            before, count = None, 0
            for image in itertools.islice(_decoded(Reading(container)), WINDOW):
                first, count = first or image, count + 1
                if image.height > TALLEST_INTERLACED:
                    return first, False, []
                marked |= image.interlaced_frame
                plain = image if _has_luma(image, 8) else image.reformat(format="gray")
                gray = fields.sampled(plane(plain, 0))
                if before is not None and (pair := fields.mixed(before, gray)):
                    pairs.append(pair)
                before = gray
        if count < WINDOW:
            break
    return first, marked, pairs


def _color(frame: Any) -> tuple[int, int, int, int]:
    """Returns what a film declares of its samples; what it does not, by the customs of players."""
    plain = frame.format.name.startswith(("yuvj", "gray", "ya")) or frame.format.is_rgb
    full = frame.color_range == FULL or (plain and frame.color_range == 0)
    matrix = frame.colorspace if frame.colorspace in MATRICES else 1 if frame.height > 576 else 6
    return FULL if full else 1, matrix, frame.color_primaries, frame.color_trc


# --- frames ---------------------------------------------------------------------------------------


def frames(path: str | os.PathLike[str], info: VideoInfo, first: int = 0) -> Iterator[Frame]:
    """Decodes a film, some frames in memory at a time.

    Args:
      path: A film.
      info: What `inspect` tells of it; `start` and `end` in it are kept to.
      first: Number of the first frame wanted; those before are decoded and dropped, since seeking
        is not exact to the frame in all containers.
    """
    ends = np.inf if info.end is None else (info.end - info.start) / info.time_base
    wanted = (f for f in _from_start(path, info) if f.time >= 0 or not info.start)
    return itertools.islice(itertools.takewhile(lambda f: f.time < ends, wanted), first, None)


def _from_start(path: str | os.PathLike[str], info: VideoInfo) -> Iterator[Frame]:
    """Yields frames from `start` or somewhat earlier on."""
    with opened(path) as container:
        if info.start and len(info.offsets) == 1:
            with contextlib.suppress(FFmpegError):
                container.seek(round((-info.offsets[0] - BEFORE) * 1e6))
                source = _whole(Reading(container, info.offsets), info)
                head = next(source, None)
                if head is not None and head.time <= 0:
                    yield from itertools.chain([head], source)
                    return
    with opened(path) as container:
        yield from _whole(Reading(container, info.offsets), info)


def _whole(reading: Reading, info: VideoInfo) -> Iterator[Frame]:
    """Yields whole upright frames, of one size and format whatever the film changes to."""
    for image in _filtered(_decoded(reading), info.filters or ("null",)):
        time = round(image.pts * image.time_base / info.time_base)
        image.color_range = info.color[0]
        plain = image.reformat(format=info.form, dst_color_range=info.color[0])
        yield Frame(time, plain, plane(image if _has_luma(image, info.depth) else plain, 0))


def _has_luma(image: Any, depth: int) -> bool:
    """Returns whether a frame's first plane is its luma, in samples of so many bits."""
    form = image.format
    deep = form.components[0].bits == depth and not form.is_big_endian
    return deep and form.name.startswith(PLANAR)


def _filtered(images: Iterator[Any], filters: tuple[str, ...]) -> Iterator[Any]:
    """Sends frames through FFmpeg's filters, named as on its command line."""
    if (first := next(images, None)) is None:
        return
    size = {"width": first.width, "height": first.height, "format": first.format}
    graph = av.filter.Graph()
    named = [graph.add(*name.split("=", 1)) for name in (*filters, "buffersink")]
    graph.link_nodes(graph.add_buffer(**size, time_base=first.time_base), *named).configure()
    for image in itertools.chain([first], images, [None]):
        graph.vpush(image and image.reformat(**(size | {"format": first.format.name})))
        with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):  # wants more; ends
            while True:
                yield graph.vpull()


def _decoded(reading: Reading) -> Iterator[Any]:
    """Yields frames as they are decoded, with times that rise."""
    last = None
    for packet in reading.packets():
        if packet.stream is not reading.picture:
            continue
        with contextlib.suppress(FFmpegError):  # a damaged packet; the next ones may be whole
            for image in reading.picture.codec_context.decode(packet if packet.size else None):
                time = image.dts if image.pts is None else image.pts  # AVI has no other
                if last is not None and (time is None or time <= last):
                    time = last + (1 if time is not None else max(1, image.duration))
                image.pts = last = time or 0
                image.time_base = reading.picture.time_base
                yield image


def plane(image: Any, number: int) -> np.ndarray:
    """Returns a view of one plane of a planar frame: [h, w] uint8 or uint16."""
    one = image.planes[number]
    kind = np.uint8 if image.format.components[number].bits == 8 else np.uint16
    return np.frombuffer(one, kind).reshape(one.height, -1)[:, : one.width]
