"""Memory of films: it does not grow with their length, and what is encoded was written before."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import os
import subprocess
import sys
import textwrap
import weakref

import pytest
from helpers.film_fixtures import PATHS, clip  # noqa: F401
from helpers.films import PROGRAM, FakeColorizer

from residual_encoder.imaging import video_io
from residual_encoder.inference import video_chroma
from residual_encoder.inference.video import VideoConfig, colorize_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to check films with")


@pytest.mark.parametrize(("held", "batch_size", "most"), [(1e9, 3, 13), (40e3, 8, 7), (1, 8, 7)])
def test_memory_does_not_grow_with_length(held, batch_size, most, clip, tmp_path, monkeypatch):
    alive = [0, 0]  # now, most

    def gone():
        alive[0] -= 1

    def counted(path, info, first=0):
        for frame in frames(path, info, first):
            alive[0] += 1
            alive[1] = max(alive)
            weakref.finalize(frame.luma, gone)
            yield frame
            del frame

    frames = video_io.frames
    monkeypatch.setattr(video_io, "frames", counted)
    monkeypatch.setattr(video_chroma, "HELD", held)  # a frame has 28,800 bytes
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"), batch_size=batch_size)
    colorize_video(FakeColorizer(), config)
    assert alive[0] == 0
    # A batch, as many waiting before and after it; four in hand: read, passed on, joined, the last.
    assert alive[1] <= most


def test_the_encoder_reads_no_memory_that_it_has_not_written(tmp_path):
    code = textwrap.dedent(
        """
        import sys
        sys.path[:0] = sys.argv[2:]
        from pathlib import Path
        from helpers.films import film_frames
        from residual_encoder.imaging import ffmpeg, video_io
        rate = video_io.Fraction(24)
        info = video_io.VideoInfo(200, 150, rate, 12, rate / rate, 1 / rate)
        with ffmpeg.segment(Path(sys.argv[1]), info, ffmpeg.encoder(".mp4", info), 200) as write:
            for time, gray in enumerate(film_frames(12, 1, (200, 150))):
                frame = video_io.Frame(time, None, gray)
                write(time, ffmpeg.painted(frame, info, None))
        """
    )
    made = []
    for filling in ("1", "2"):  # bytes that glibc fills new memory with
        path = tmp_path / f"{filling}.nut"
        command = [sys.executable, "-c", code, str(path), *map(str, PATHS)]
        subprocess.run(command, check=True, env=os.environ | {"MALLOC_PERTURB_": filling})
        made.append(path.read_bytes())
    assert made[0] == made[1]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc to read memory from")
def test_a_large_film_is_encoded_in_half_a_gigabyte(tmp_path):
    code = textwrap.dedent(
        """
        import sys
        sys.path[:0] = sys.argv[2:]
        from pathlib import Path
        import numpy as np
        from residual_encoder.imaging import ffmpeg, video_io
        rate = video_io.Fraction(25)
        info = video_io.VideoInfo(3840, 2160, rate, 30, rate / rate, 1 / rate)
        codec = ffmpeg.encoder(".mp4", info)
        luma = np.random.default_rng(0).integers(90, 130, (2190, 3870), np.uint8)
        with ffmpeg.segment(Path(sys.argv[1]), info, codec, info.width) as write:
            for time in range(30):
                gray = luma[time : time + 2160, time : time + 3840]
                write(time, ffmpeg.painted(video_io.Frame(time, None, gray), info, None))
        peak = next(x for x in open("/proc/self/status") if x.startswith("VmHWM"))
        print(int(peak.split()[1]) // 1024)  # not ru_maxrss, in which the parent's counts
        """
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.nut"), *map(str, PATHS)]
    assert int(subprocess.check_output(command)) < 550
