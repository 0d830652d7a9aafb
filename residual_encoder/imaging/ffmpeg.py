"""Encodes frames as H.264, with the sound of the film they came from, by the program ffmpeg."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from residual_encoder.imaging.video_io import VideoInfo

CRF = "18"  # "visually lossless or nearly so": trac.ffmpeg.org/wiki/Encode/H.264
QUIET = ("-hide_banner", "-loglevel", "error", "-y")
# A bare H.264 stream without B frames needs no times of its own: segments join byte by byte.
H264 = ("-c:v", "libx264", "-preset", "medium", "-crf", CRF, "-bf", "0", "-f", "h264")
# ITU-T H.264 table E-3 to E-5, code 1: stored in the stream, since players else guess by size.
BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
SOUND = (  # tried in this order: as it is; as AAC where the container does not take it; not at all
    (("-map", "1:a", "-c:a", "copy"), ""),
    (("-map", "1:a", "-c:a", "aac"), "the sound was encoded anew as AAC to fit the container"),
    ((), "the sound could not be copied"),
)


def find() -> str | None:
    """Finds the path of an ffmpeg that encodes H.264; None where there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    listed = subprocess.run(
        [program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False
    )
    return program if " libx264 " in listed.stdout else None


class H264Encoder:
    """Encodes H.264 by ffmpeg's libx264, with the film's sound and tags."""

    name = "h264"
    suffix = ".h264"

    def __init__(self, program: str) -> None:
        """Takes the path of ffmpeg, from `find`."""
        self.program = program

    @contextlib.contextmanager
    def segment(self, path: Path, info: VideoInfo) -> Iterator[Callable[[np.ndarray], object]]:
        """Yields a function of an RGB frame [H, W, 3] uint8; the file is whole on exit.

        Sides that are not even are kept by not halving the chroma (4:4:4), which few browsers play.

        Raises:
          OSError: ffmpeg fails, as on a full disk.
        """
        even = info.width % 2 == 0 and info.height % 2 == 0
        aspect = f"{info.aspect.numerator}/{info.aspect.denominator}"
        command = (
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{info.width}x{info.height}"),
            *("-framerate", str(info.rate), "-i", "pipe:0", "-sws_flags", "accurate_rnd"),
            *("-vf", f"scale=out_color_matrix=bt709:out_range=tv,setsar={aspect}"),
            *("-pix_fmt", "yuv420p" if even else "yuv444p", *BT709, *H264, str(path.resolve())),
        )
        with self._fed(command) as pipe:
            yield lambda frame: pipe.write(np.ascontiguousarray(frame).data)

    def join(
        self, segments: Iterable[Path], source: Path, target: Path, info: VideoInfo, rate: Fraction
    ) -> tuple[bool, tuple[str, ...]]:
        """Writes the segments as one film with the sound, chapters and tags of `source`.

        Returns:
          (whether there is sound, notes for the reader).

        Raises:
          OSError: ffmpeg fails.
        """
        paths = list(segments)
        ways = SOUND if self._has_sound(source) else ((((), ""),))
        for number, (sound, note) in enumerate(ways, start=1):
            try:
                self._mux(paths, source, target, rate, sound)
            except OSError:
                if number == len(ways):
                    raise
            else:
                return bool(sound), (note,) if note else ()
        raise OSError(f"ffmpeg cannot write {target}")

    def _mux(
        self, paths: list[Path], source: Path, target: Path, rate: Fraction, sound: tuple[str, ...]
    ) -> None:
        command = (
            # -r, since by -framerate alone each frame's time is rounded, and the sum drifts
            *("-r", str(rate), "-f", "h264", "-i", "pipe:0", "-i", _url(source)),
            *("-map", "0:v", *sound, "-c:v", "copy"),
            *("-bsf:v", f"h264_metadata=tick_rate={2 * rate}"),  # of fields: ITU-T H.264 E.2.1
            *("-map_metadata", "1", "-map_chapters", "1"),
            # times in whole ticks; browsers play while they load; no random identifier in the file
            *("-video_track_timescale", str(_clock(rate))),
            *("-movflags", "+faststart", "-fflags", "+bitexact", str(target.resolve())),
        )
        with self._fed(command) as pipe:
            for path in paths:
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, pipe)

    def _has_sound(self, source: Path) -> bool:
        """Returns whether a stream of sound can be found."""
        nothing = ("-map", "0:a", "-c", "copy", "-t", "0", "-f", "null", "-")
        command = [self.program, *QUIET, "-nostdin", "-i", _url(source), *nothing]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @contextlib.contextmanager
    def _fed(self, command: tuple[str, ...]) -> Iterator[IO[bytes]]:
        """Runs ffmpeg and yields its standard input; waits for it, or ends it after an error."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [self.program, *QUIET, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            try:
                with contextlib.suppress(BrokenPipeError):  # its end is looked into below
                    yield _stdin(process)
                    _stdin(process).close()
                code = process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            if code or not _stdin(process).closed:
                log.seek(0)
                words = " ".join(log.read().decode(errors="replace").split())
                raise OSError(f"ffmpeg failed ({code}): {words[-300:]}")


def _stdin(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise OSError("ffmpeg was started without a pipe")
    return process.stdin


def _clock(rate: Fraction) -> int:
    """Ticks a second of an MP4, such that a frame is a whole number of them, each some 10 us."""
    return rate.numerator * max(1, 10**5 // rate.numerator)


def _url(path: Path) -> str:
    """Returns a name that ffmpeg takes for a file whatever it holds, such as a colon."""
    return f"file:{path.resolve()}"
