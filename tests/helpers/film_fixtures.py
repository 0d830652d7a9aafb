"""Films that several tests color, as fixtures, and what ffmpeg is told for them."""

import subprocess

import pytest
from conftest import ROOT

from helpers.films import PROGRAM, FakeColorizer, film_frames, run_ffmpeg, write_film
from residual_encoder.inference.video import VideoConfig, colorize_video

X264 = "-c:v libx264 -preset veryfast -crf 12 -pix_fmt yuv420p".split()
PATHS = ROOT, ROOT / "tests"
MOVING = "mandelbrot=s=320x240:r={}:end_pts=40,format=gray,format=yuv420p"


def lavfi(*sources):
    return [part for source in sources for part in ("-f", "lavfi", "-i", source)]


def gray_source(size="96x64", rate=25, seconds=1.2):
    return f"testsrc2=s={size}:r={rate}:d={seconds},format=gray"


def color(source, target, **settings):
    return colorize_video(FakeColorizer(), VideoConfig(str(source), str(target), **settings))


def packets(path, kind="a"):
    """MD5 of a stream's packets without their times."""
    command = [PROGRAM, "-v", "error", "-i", str(path), "-map", f"0:{kind}", "-c", "copy"]
    return subprocess.check_output([*command, "-f", "streamhash", "-hash", "md5", "-"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """30 frames with sound, a keyframe at each tenth."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    sound = "sine=440:d=1.2"
    run_ffmpeg(*lavfi(gray_source(), sound), *X264, "-g", 10, "-c:a", "aac", path)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A shot in gray, one in color, one in gray; 20 frames each."""
    path = tmp_path_factory.mktemp("mixed") / "mixed.mp4"
    shots = [f"{MOVING.format(25)}", "testsrc2=s=320x240:r=25", MOVING.format(25) + ",negate"]
    joined = ";".join(
        f"[{n}:v]trim=end_frame=20,setpts=PTS-STARTPTS,{form}format=yuv420p[v{n}]"
        for n, form in enumerate(["", "", "format=gray,"])
    )
    graph = joined + ";[v0][v1][v2]concat=n=3[v]"
    run_ffmpeg(*lavfi(*shots), "-filter_complex", graph, "-map", "[v]", *X264, path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """36 frames, cuts at 12 and 24."""
    return write_film(tmp_path_factory.mktemp("clip") / "clip.mp4", film_frames(36))
