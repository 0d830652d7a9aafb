"""Encodes frames, and joins them to the sound and all else of a film, by FFmpeg's libraries."""

from __future__ import annotations

import contextlib
import heapq
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType

from residual_encoder.imaging import video_io
from residual_encoder.imaging.video_io import FULL, MATRICES, Frame, VideoInfo

SUFFIX = ".nut"  # of segments: FFmpeg's own container, whose times are exact in any time base
# Frames are encoded in order, without such as show later ones, so that each has its packet. The
# number of threads is fixed, since x264's bytes depend on it. CRF 18 is "visually lossless or
# nearly so": trac.ffmpeg.org/wiki/Encode/H.264; the others are about as good. Of x264's presets
# "faster" needs half the time of "medium" for the same PSNR and size.
X264 = ("libx264", {"preset": "faster", "crf": "18", "bf": "0", "threads": "4"})
# With AVX-512 x264's tree of macroblocks reads memory that it has not written: the same frames now
# and then give other bytes.
AVX512 = 13  # CV_CPU_AVX_512F of opencv2/core/cvdef.h
if cv2.checkHardwareSupport(AVX512):
    X264[1]["x264-params"] = "asm=avx2"
LARGE = 8e6  # bytes of a frame above which x264 holds fewer of them
VP9 = ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4", "lag-in-frames": "0", "threads": "4"})
AV1 = ("libsvtav1", {"crf": "24", "preset": "9", "svtav1-params": "pred-struct=1:lp=4"})
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# FFmpeg would write them into an MP4, but few programs can play that.
NOT_IN_MP4 = ("pcm_", "vorbis", "truehd")
HIDDEN = 0.1  # seconds of sound before a film's begin that are kept where there is no edit list
COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
OF_THE_FILE = frozenset("major_brand minor_version compatible_brands encoder duration".split())


def encoder(suffix: str, info: VideoInfo) -> tuple[str, dict[str, str]]:
    """Returns the codec of a container's picture and its options; a WebM holds no H.264."""
    if suffix == ".webm":
        return VP9 if info.depth == 8 else AV1
    if info.bytes <= LARGE:
        return X264
    return X264[0], X264[1] | {"rc-lookahead": "5", "threads": "2"}  # 1 % larger


# --- pixels ---------------------------------------------------------------------------------------


def gray(luma: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Returns luma at full range: [H, W] uint8, or uint16 for 10 bits, white at its maximum."""
    unit, top = 1 << info.depth - 8, (1 << info.depth) - 1
    low, high = (0, top) if info.color[0] == FULL else (16 * unit, 235 * unit)
    peak = 255 if info.depth == 8 else 65535
    scaled = np.clip((np.arange(top + 1) - low) * (peak / (high - low)), 0, peak)
    return np.rint(scaled).astype(np.uint8 if peak == 255 else np.uint16)[luma]


def halved(full: np.ndarray, info: VideoInfo) -> np.ndarray:
    """Returns gray at the size of the film's chroma."""
    size = (info.width, info.height) if "444" in info.form else (info.width // 2, info.height // 2)
    return cv2.resize(full, size, interpolation=cv2.INTER_AREA)


def painted(frame: Frame, info: VideoInfo, rgb: np.ndarray | None) -> Any:
    """Returns the film's frame with its own luma and the chroma of RGB.

    Args:
      frame: A frame of the film.
      info: The film.
      rgb: [h, w, 3] uint8 or uint16 at the size of `halved`; None is gray.
    """
    image = av.VideoFrame(info.width, info.height, info.form)
    video_io.plane(image, 0)[:] = frame.luma
    middle = 1 << info.depth - 1
    span = (2 * middle - 1) if info.color[0] == FULL else 224 * middle / 128
    for number, chroma in enumerate((None, None) if rgb is None else _chroma(rgb, info, span), 1):
        video_io.plane(image, number)[:] = middle if chroma is None else chroma
    return image


def _chroma(rgb: np.ndarray, info: VideoInfo, span: float) -> Sequence[Any]:
    """Returns the two planes of chroma, whose samples cover `span`."""
    red, blue = MATRICES[info.color[1]]
    luma = np.array([red, 1 - red - blue, blue])
    rows = np.stack([(np.eye(3)[2] - luma) / (1 - blue), (np.eye(3)[0] - luma) / (1 - red)]) / 2
    rows = np.column_stack([rows * span / np.iinfo(rgb.dtype).max, [1 << info.depth - 1] * 2])
    return cv2.split(cv2.transform(rgb, rows))


def side_by_side(left: Any, right: Any) -> Any:
    """Returns a frame of twice the width."""
    image = av.VideoFrame(2 * left.width, left.height, left.format.name)
    for number in range(3):
        both = [video_io.plane(side, number) for side in (left, right)]
        video_io.plane(image, number)[:] = np.hstack(both)
    return image


# --- encoding -------------------------------------------------------------------------------------


@contextlib.contextmanager
def segment(
    path: Path, info: VideoInfo, codec: tuple[str, dict[str, str]], width: int
) -> Iterator[Callable[[int, Any], None]]:
    """Yields a function of (time in ticks, frame); the file is whole on exit.

    Raises:
      OSError: the file cannot be written.
    """
    with _named(path), av.open(f"file:{path.resolve()}", "w", format="nut") as container:
        stream: Any = container.add_stream(codec[0], rate=info.rate, options=codec[1])
        context, times = stream.codec_context, list[int]()
        context.width, context.height, context.pix_fmt = width, info.height, info.form
        context.color_range, context.colorspace = info.color[:2]
        context.color_primaries, context.color_trc = info.color[2:]
        context.sample_aspect_ratio = info.aspect
        context.time_base, context.thread_type = 1 / info.rate, "FRAME"  # slices are larger
        stream.time_base = info.time_base

        def write(time: int, image: Any) -> None:
            image.pts, image.time_base = len(times), context.time_base
            image.pict_type = PictureType.NONE  # a frame that is kept has the source's
            times.append(time)
            mux(context.encode(image))

        def mux(packets: Iterable[Any]) -> None:
            for packet in packets:
                packet.pts = packet.dts = times[packet.pts]
                packet.time_base, packet.stream = info.time_base, stream
                container.mux(packet)

        yield write
        mux(context.encode(None))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Makes an error of FFmpeg's an OSError that names the file."""
    try:
        yield
    except FFmpegError as error:
        raise OSError(error.errno, f"{path} cannot be written: {error.strerror}") from error


# --- joining --------------------------------------------------------------------------------------


def holding(source: Path, suffix: str) -> tuple[str, tuple[str, ...]]:
    """Finds a container that holds all streams of a film as they are, and its new picture.

    Returns:
      (`suffix`, or that of Matroska, which holds most; a note where it is another).
    """
    with video_io.opened(source) as container:
        with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as empty:
            known = empty.supported_codecs
        lacking = {_name(s) for s in container.streams if not _holds(suffix, known, s)}
    if not lacking or suffix == ".mkv":
        return suffix, ()
    lacks = ", ".join(sorted(lacking))
    return ".mkv", (f"written as Matroska, since {suffix[1:].upper()} holds no {lacks}",)


def _name(stream: Any) -> str:
    return stream.codec_context.codec.canonical_name if stream.codec_context else stream.type


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & video_io.NO_PICTURE)


def _holds(suffix: str, known: set[str], stream: Any) -> bool:
    """Returns whether a container holds a stream; what is in none anyway counts as held."""
    if stream.type == "data" or (stream.type == "video" and not _is_cover(stream)):
        return True
    if stream.type == "attachment" or _is_cover(stream):
        return suffix == ".mkv" or (_is_cover(stream) and suffix != ".webm")
    if suffix == ".mp4" and _name(stream).startswith(NOT_IN_MP4):
        return False
    return bool(stream.codec_context) and stream.codec_context.codec.name in known


def join(
    segments: list[Path], source: Path, info: VideoInfo, target: Path
) -> tuple[bool, tuple[str, ...]]:
    """Writes segments as one film with the sound, subtitles, chapters, cover and tags of `source`.

    What is copied stays as it is, bit by bit. Sound that Matroska does not take becomes FLAC.

    Args:
      segments: Files by `segment`, at least one.
      source: The film that they are of.
      info: What is known of it.
      target: A file whose container is known by its suffix.

    Returns:
      (whether there is sound, notes on what is not as it was).

    Raises:
      OSError: a file cannot be read or written.
    """
    suffix = target.suffix.lower()
    options = {"fflags": "+bitexact"}  # no random identifier in the file
    with contextlib.ExitStack() as stack:
        stack.enter_context(_named(target))
        film = stack.enter_context(video_io.opened(source))
        if FORMATS[suffix] in ("mp4", "mov"):  # browsers play while they load; phones' own tags
            own = any(key.startswith("com.") for key in film.metadata)
            options["movflags"] = "+faststart" + "+use_metadata_tags" * own
        first = stack.enter_context(av.open(f"file:{segments[0].resolve()}"))
        url, form = f"file:{target.resolve()}", FORMATS[suffix]
        out: Any = stack.enter_context(
            av.open(url, "w", format=form, options=options, metadata_errors="surrogateescape")
        )
        reading = video_io.Reading(film, info.offsets)
        copies = _Copies(out, suffix, source)
        for stream in film.streams:
            copies.add(stream, first.streams.video[0] if stream is reading.picture else stream)
        out.metadata.update({k: v for k, v in film.metadata.items() if k not in OF_THE_FILE})
        out.set_chapters(list(_chapters(film.chapters(), info)))
        pictures = _pictures(segments, info, copies.streams[reading.picture.index])
        for packet in heapq.merge(pictures, copies.packets(reading, info), key=_moment):
            out.mux(packet)
        return bool(out.streams.audio), tuple(copies.notes)


def _moment(packet: Any) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return float((time or 0) * packet.time_base)


def _pictures(segments: list[Path], info: VideoInfo, stream: Any) -> Iterator[Any]:
    """Yields the packets of all segments, each as long as the next one is later."""
    before = None
    for path in segments:
        with av.open(f"file:{path.resolve()}") as container:
            packet: Any
            for packet in container.demux():
                if not packet.size:
                    continue
                packet.pts = packet.dts = round(packet.pts * packet.time_base / info.time_base)
                packet.time_base, packet.stream = info.time_base, stream
                if before is not None:
                    before.duration = packet.pts - before.pts
                    yield before
                before = packet
    if before is not None:
        before.duration = max(1, round(1 / info.rate / info.time_base))
        yield before


def _chapters(chapters: list[Any], info: VideoInfo) -> Iterator[dict[str, Any]]:
    """Yields chapters by the new film's clock, those that are in it."""
    for chapter in chapters:
        shift = round(info.offsets[0] / chapter["time_base"])
        start, end = (chapter[name] + shift for name in ("start", "end"))
        last = np.inf if info.end is None else (info.end - info.start) / chapter["time_base"]
        if end > 0 and start < last:
            yield chapter | {"start": max(0, start), "end": int(min(end, last))}


class _Copies:
    """Copies the streams of a film that are not its picture."""

    def __init__(self, out: Any, suffix: str, source: Path) -> None:
        self.out, self.suffix, self.source = out, suffix, source
        self.streams: dict[int, Any] = {}  # number in the source -> new stream
        self.notes: list[str] = []
        self.known = out.supported_codecs

    def add(self, stream: Any, template: Any) -> None:
        """Adds a stream like `template`, or leaves it out with a note."""
        if template is not stream:
            new = self.out.add_stream_from_template(template, opaque=True)
        elif _is_cover(stream) and self.suffix == ".mkv":
            name, kind = COVERS.get(_name(stream), ("cover", "application/octet-stream"))
            with video_io.opened(self.source) as film:
                cover = bytes(next(film.demux(film.streams[stream.index])))
            self.out.add_attachment(name, kind, cover)
            return
        elif stream.type not in ("video", "data") and _holds(self.suffix, self.known, stream):
            new = self.out.add_stream_from_template(stream, opaque=True)
        elif _is_cover(stream) and self.suffix != ".webm":
            new = self.out.add_stream_from_template(stream, opaque=True)
        elif _name(stream) == "mov_text":
            new = self.out.add_mux_stream("subrip")
        elif stream.type == "audio" and stream.codec_context:
            new = self.out.add_stream("flac", rate=stream.codec_context.sample_rate)
            new.codec_context.layout = stream.codec_context.layout
            self.notes.append(f"its sound became FLAC, since Matroska holds no {_name(stream)}")
        else:
            if stream.type != "data":
                self.notes.append(f"left out: a stream of {stream.type}, {_name(stream)}")
            return
        new.disposition = stream.disposition
        new.metadata.update({k: v for k, v in stream.metadata.items() if k not in OF_THE_FILE})
        self.streams[stream.index] = new

    def packets(self, reading: video_io.Reading, info: VideoInfo) -> Iterator[Any]:
        """Yields the new packets of all streams but the picture."""
        for packet in reading.packets():
            new = self.streams.get(packet.stream_index)
            if new is None or packet.stream is reading.picture or self._is_outside(packet, info):
                continue
            if new.codec_context and new.codec_context.is_encoder:
                with contextlib.suppress(FFmpegError):  # a damaged packet
                    yield from _encoded(new, packet.decode())
            else:
                yield _renewed(packet, new)
        for new in self.streams.values():
            if new.codec_context and new.codec_context.is_encoder:
                yield from _encoded(new, [None])

    def _is_outside(self, packet: Any, info: VideoInfo) -> bool:
        """Returns whether a packet is not of the part that is wanted."""
        begin = _moment(packet)
        last = float((packet.duration or 0) * packet.time_base) + begin
        if info.start or info.end is not None:
            return begin < 0 or begin >= (np.inf if info.end is None else info.end - info.start)
        # An edit list hides what an encoder needed to begin with; Matroska has none.
        return packet.is_discard and last < -HIDDEN and self.suffix not in (".mp4", ".mov")


def _encoded(stream: Any, frames: Iterable[Any]) -> Iterator[Any]:
    for frame in frames:
        for packet in stream.codec_context.encode(frame):
            packet.stream = stream
            yield packet


def _renewed(packet: Any, stream: Any) -> Any:
    """Returns a packet for a new stream; a text of MP4 loses its length and styles for SubRip."""
    if stream.codec_context is None and packet.stream.type == "subtitle":
        data = bytes(packet)
        text = av.Packet(data[2 : 2 + int.from_bytes(data[:2], "big")])
        text.pts, text.dts, text.duration = packet.pts, packet.dts, packet.duration
        text.time_base, packet = packet.time_base, text
    packet.stream = stream
    return packet
