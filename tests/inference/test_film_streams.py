"""What films hold beside even frames and sound: other streams, other clocks, fields, color."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT
from helpers.films import PROGRAM, FakeColorizer, decoded, probe, run_ffmpeg, times, whole_probe

from residual_encoder.imaging import video_io
from residual_encoder.inference import video
from residual_encoder.inference.video import VideoConfig, colorize_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to make films with")
X264 = "-c:v libx264 -preset veryfast -crf 12 -pix_fmt yuv420p".split()
PATHS = ROOT, ROOT / "tests"
SRT = "1\n00:00:00,200 --> 00:00:00,700\nGood evening\n\n2\n00:00:00,900 --> 00:00:01,000\nBye\n"


def lavfi(*sources):
    return [part for source in sources for part in ("-f", "lavfi", "-i", source)]


def gray_source(size="96x64", rate=25, seconds=1.2):
    return f"testsrc2=s={size}:r={rate}:d={seconds},format=gray"


def color(source, target, **settings):
    return colorize_video(FakeColorizer(), VideoConfig(str(source), str(target), **settings))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """30 frames with sound, a keyframe at each tenth."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    sound = "sine=440:d=1.2"
    run_ffmpeg(*lavfi(gray_source(), sound), *X264, "-g", 10, "-c:a", "aac", path)
    return path


def packets(path, kind="a"):
    """MD5 of a stream's packets without their times."""
    command = [PROGRAM, "-v", "error", "-i", str(path), "-map", f"0:{kind}", "-c", "copy"]
    return subprocess.check_output([*command, "-f", "streamhash", "-hash", "md5", "-"])


# --- subtitles, chapters, covers, tags ------------------------------------------------------------


@pytest.fixture(scope="module")
def rich(plain, tmp_path_factory):
    """The film with two subtitles, a chapter, tags and a cover, as Matroska and as MP4."""
    folder = tmp_path_factory.mktemp("rich")
    (folder / "a.srt").write_text(SRT)
    (folder / "tags").write_text(
        ";FFMETADATA1\ntitle=A film\ncomment=of old\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=200\nEND=800\ntitle=One\n"
    )
    run_ffmpeg(*lavfi("color=red:s=32x32"), "-frames:v", 1, folder / "cover.jpg")
    inputs = [
        "-i",
        plain,
        "-i",
        folder / "a.srt",
        "-i",
        folder / "tags",
        "-i",
        folder / "cover.jpg",
    ]
    maps = "-map 0:v -map 0:a -map 1:s -map_metadata 2 -map_chapters 2 -c copy".split()
    language = ["-metadata:s:s:0", "language=ger", "-metadata:s:a:0", "language=eng"]
    attached = ["-attach", folder / "cover.jpg", "-metadata:s:t", "mimetype=image/jpeg"]
    run_ffmpeg(*inputs[:6], *maps, *language, *attached, folder / "rich.mkv")
    covered = "-map 3:v -c:s mov_text -disposition:v:1 attached_pic".split()
    run_ffmpeg(*inputs, *maps, *covered, *language, folder / "rich.mp4")
    return folder


def texts(path, late=0):
    command = [PROGRAM, "-v", "error", "-itsoffset", str(-late), "-i", str(path), "-map", "0:s"]
    command += ["-f", "srt", "-"]
    return subprocess.check_output(command).decode().replace("\r", "")


@pytest.mark.parametrize(
    ("source", "target"), [("rich.mkv", "b.mkv"), ("rich.mp4", "b.mp4"), ("rich.mp4", "b.mkv")]
)
def test_everything_else_comes_along(source, target, rich, tmp_path):
    summary = color(rich / source, tmp_path / target)
    assert summary.notes == () and summary.output == str(tmp_path / target)
    before, after = whole_probe(rich / source), whole_probe(tmp_path / target)
    late = times(tmp_path / target)[0] - times(rich / source)[0]  # Matroska has no times below 0
    assert 0 <= late < 0.025 and (not late or target[-3:] != source[-3:])
    assert texts(tmp_path / target, late) == texts(rich / source)
    assert "Good evening" in texts(tmp_path / target)
    (was,), (now,) = before["chapters"], after["chapters"]
    for name in ("start_time", "end_time"):
        assert float(now[name]) == pytest.approx(float(was[name]) + late, abs=0.025)
    assert now["tags"]["title"] == "One"
    tags = {name.lower(): value for name, value in after["format"]["tags"].items()}
    assert tags["title"] == "A film" and tags["comment"] == "of old"
    covers = [s for s in after["streams"] if s["disposition"]["attached_pic"]]
    assert [(s["codec_name"], s["width"]) for s in covers] == [("mjpeg", 32)]
    languages = {
        s["codec_type"]: s["tags"].get("language") for s in after["streams"] if "tags" in s
    }
    assert (languages["subtitle"], languages["audio"]) == ("ger", "eng")
    assert packets(tmp_path / target) == packets(rich / source)
    pictures = [packets(path, "v:1") for path in (tmp_path / target, rich / source)]
    assert pictures[0] == pictures[1]


def test_subtitles_that_do_not_fit_make_it_matroska(rich, tmp_path):
    summary = color(rich / "rich.mkv", tmp_path / "b.mp4")
    assert summary.output == str(tmp_path / "b.mp4.mkv")
    assert summary.notes == ("written as Matroska, since MP4 holds no subrip",)
    assert packets(summary.output, "s") == packets(rich / "rich.mkv", "s")


def test_two_tracks_of_sound_and_which_is_default(plain, tmp_path):
    source = tmp_path / "two.mkv"
    maps = "-map 0 -map 1 -c:v copy -c:a:0 copy -c:a:1 flac -disposition:a:1 default".split()
    run_ffmpeg("-i", plain, *lavfi("sine=880:d=1.2"), *maps, "-disposition:a:0", 0, source)
    color(source, tmp_path / "b.mkv")
    sounds = [s for s in whole_probe(tmp_path / "b.mkv")["streams"] if s["codec_type"] == "audio"]
    assert [s["codec_name"] for s in sounds] == ["aac", "flac"]
    assert [s["disposition"]["default"] for s in sounds] == [0, 1]
    assert packets(tmp_path / "b.mkv", "a:1") == packets(source, "a:1")


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [("-i", "", "-ss", "0.5"), ("-ss", "0.5", "-i", "")])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_cut_copy_stays_in_step(cut, suffix, plain, tmp_path):
    source, target = tmp_path / f"cut{suffix}", tmp_path / f"b{suffix}"
    run_ffmpeg(*(part or plain for part in cut), "-c", "copy", source)
    summary = color(source, target)
    assert summary.notes == () and summary.frames == len(times(source))
    for kind in ("video", "audio"):
        was, now = (float(probe(path)[0][kind]["start_time"]) for path in (source, target))
        assert now == pytest.approx(was, abs=0.0011)
    np.testing.assert_allclose(times(target), times(source), atol=0.0011)
    assert packets(target) == packets(source)


@pytest.mark.parametrize(
    ("suffix", "codecs"),
    [(".ts", [*X264, "-c:a", "aac"]), (".vob", "-c:v mpeg2video -q:v 2 -c:a ac3 -f vob".split())],
)
def test_parts_joined_by_cat_run_on(suffix, codecs, tmp_path):
    sources = lavfi(gray_source(seconds=1), "sine=440:d=1")
    run_ffmpeg(*sources, *codecs, tmp_path / f"one{suffix}")
    part = (tmp_path / f"one{suffix}").read_bytes()
    joined = tmp_path / f"three{suffix}"
    joined.write_bytes(part * 3)
    summary = color(joined, tmp_path / "b.mp4")
    assert summary.notes == ("its clock starts anew 2 times: the parts are joined",)
    shown = times(tmp_path / "b.mp4")
    assert len(shown) == summary.frames == 75 and 2.95 < shown[-1] - shown[0] < 3.1
    assert np.diff(shown).min() > 0.039 and np.diff(shown).max() < 0.13
    streams = probe(tmp_path / "b.mp4")[0]
    ends = [float(streams[kind]["duration"]) for kind in ("video", "audio")]
    assert abs(ends[0] - ends[1]) < 0.15


def test_a_part_of_a_film(plain, tmp_path):
    summary = color(plain, tmp_path / "b.mp4", start=0.32, end=0.8)
    assert summary.frames == 12
    own, part = decoded(plain, "gray").astype(int), decoded(tmp_path / "b.mp4", "gray")
    assert np.abs(part - own[8:20]).mean() < 2
    streams = whole_probe(tmp_path / "b.mp4")["streams"]
    assert all(float(s["duration"]) == pytest.approx(0.48, abs=0.03) for s in streams)
    assert float(probe(tmp_path / "b.mp4")[0]["audio"]["start_time"]) < 0.03
    with pytest.raises(ValueError, match="no frame between"):
        color(plain, tmp_path / "c.mp4", start=99)


# --- fields, rotation, depth ----------------------------------------------------------------------

MOVING = "mandelbrot=s=320x240:r={}:end_pts=40,format=gray,format=yuv420p"
MPEG2 = "-c:v mpeg2video -q:v 2".split()


@pytest.mark.parametrize("flags", [[], ["-flags", "+ilme+ildct"]])
def test_whole_frames_are_left_alone_whatever_is_said_of_them(flags, tmp_path):
    source = tmp_path / "a.mpg"
    told = ",setfield=tff" if flags else ""
    run_ffmpeg(*lavfi(MOVING.format(25) + told), "-t", 1, *MPEG2, *flags, source)
    assert video_io.inspect(source).filters == ()


def test_telecined_film_gets_its_frames_back(tmp_path):
    source, whole = tmp_path / "a.mpg", tmp_path / "whole.mkv"
    film = MOVING.format("24000/1001")
    run_ffmpeg(*lavfi(film), "-t", 1, "-c:v", "ffv1", whole)
    telecined = ["-vf", "telecine", *MPEG2, "-flags", "+ilme+ildct"]
    run_ffmpeg("-i", whole, *telecined, source)
    summary = color(source, tmp_path / "b.mp4")
    assert summary.notes == ("telecined: each frame got its own fields back",)
    np.testing.assert_allclose(np.diff(times(tmp_path / "b.mp4")), 1001 / 30000, atol=1e-4)
    own, made = decoded(whole, "gray").astype(int), decoded(tmp_path / "b.mp4", "gray")
    assert len(made) == summary.frames == len(times(source))
    for frame in made[2:-2]:  # each is a frame of the film, and no mixture of two
        assert min(np.abs(frame - other).mean() for other in own) < 2


def test_a_film_left_on_its_side_in_ten_bits(tmp_path):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    ten = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=none:crf=8"]
    ramp = "nullsrc=s=96x64:r=25,format=gray10,geq=lum='200+4*X+2*Y'"
    run_ffmpeg(*lavfi(ramp), "-t", 0.4, *ten, tmp_path / "c.mp4")
    run_ffmpeg("-i", tmp_path / "c.mp4", "-c", "copy", "-metadata:s:v", "rotate=90", source)
    color(source, target)
    stream = probe(target)[0]["video"]
    assert (stream["width"], stream["height"], stream["pix_fmt"]) == (64, 96, "yuv420p10le")
    before, after = decoded(source, "gray10le").astype(int), decoded(target, "gray10le")
    assert np.abs(before - after).mean() < 4  # of 1023
    assert len(np.unique(after[0])) > 260  # more than eight bits hold


# --- shots in color -------------------------------------------------------------------------------


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


def test_shots_in_color_are_left_as_they_are(mixed, tmp_path):
    summary = color(mixed, tmp_path / "b.mp4", color_inputs="skip")
    assert (summary.frames, summary.kept, summary.scene_cuts) == (60, 20, (20, 40))
    assert summary.notes == ("20 of 60 frames are in color and left as they are",)
    before, after = (decoded(path, "rgb24").astype(int) for path in (mixed, tmp_path / "b.mp4"))
    difference = np.abs(before - after).mean(axis=(1, 2, 3))
    assert difference[20:40].max() < 4 < 6 < difference[:20].min()
    assert difference[41:].min() > 6
    anew = color(mixed, tmp_path / "c.mp4", color_inputs="recolor")
    assert anew.kept == 0 and not anew.notes


def test_of_a_film_in_color_nothing_is_written(tmp_path):
    run_ffmpeg(*lavfi("testsrc2=s=160x120:r=25:d=1"), *X264, tmp_path / "a.mp4")
    summary = color(tmp_path / "a.mp4", tmp_path / "b.mp4", color_inputs="skip")
    assert summary.output is None and summary.frames == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_gray_next_to_colored(plain, tmp_path):
    color(plain, tmp_path / "b.mp4", compare=True)
    pair, alone = decoded(tmp_path / "b_compare.mp4", "rgb24"), decoded(tmp_path / "b.mp4", "rgb24")
    assert pair.shape == (30, 64, 192, 3)
    assert np.ptp(pair[:, :, :90].astype(int), axis=-1).max() < 12  # but for the encoder
    assert np.abs(pair[:, :, 96:].astype(int) - alone).mean() < 3
    assert packets(tmp_path / "b_compare.mp4") == packets(plain)


# --- stops, full disks ----------------------------------------------------------------------------


@pytest.mark.slow
def test_stopped_at_ten_moments_the_file_is_the_same(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 9)
    settings = {"color_inputs": "skip", "compare": True, "batch_size": 4}
    color(mixed, tmp_path / "whole.mp4", **settings)
    target = tmp_path / "b.mp4"
    for moment in np.random.default_rng(0).integers(1, 16, 10):
        stopped = FakeColorizer(dies_at=moment)
        try:
            colorize_video(
                stopped, VideoConfig(str(mixed), str(target), overwrite=True, **settings)
            )
            target.unlink()  # the work of the stops before was enough
        except KeyboardInterrupt:
            assert not target.exists()
    color(mixed, target, **settings, overwrite=True)  # the other film may be there
    for name in ("{}.mp4", "{}_compare.mp4"):
        made, whole = (tmp_path / name.format(stem) for stem in ("b", "whole"))
        assert made.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_killed_at_ten_moments_the_file_is_the_same(mixed, tmp_path):
    code = textwrap.dedent(
        """
        import os, signal, sys, time
        sys.path[:0] = sys.argv[3:]
        import numpy
        from helpers.films import FakeColorizer
        from residual_encoder.inference import video
        class Slow(FakeColorizer):
            def merge(self, *inputs):
                time.sleep(0.05)
                return super().merge(*inputs)
        video.SEGMENT = 7
        def begin(target):  # in a process of its own, which has no threads yet
            if not (child := os.fork()):
                config = video.VideoConfig(sys.argv[1], target, compare=True, color_inputs="skip")
                video.colorize_video(Slow(), config)
                os._exit(0)
            return child
        assert os.waitpid(begin(os.path.join(sys.argv[2], "whole.mp4")), 0)[1] == 0
        target = os.path.join(sys.argv[2], "b.mp4")
        for delay in numpy.random.default_rng(1).uniform(0, 2, 10):
            if not os.path.exists(target):
                child = begin(target)
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if not os.path.exists(target):
            assert os.waitpid(begin(target), 0)[1] == 0
        """
    )
    command = [sys.executable, "-c", code, str(mixed), str(tmp_path), *map(str, PATHS)]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("{}.mp4", "{}_compare.mp4"):
        made, whole = (tmp_path / name.format(stem) for stem in ("b", "whole"))
        assert made.read_bytes() == whole.read_bytes()


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


def test_on_a_full_disk_what_was_there_stays(plain, tmp_path):
    target = tmp_path / "b.mp4"
    target.write_bytes(b"mine")
    code = textwrap.dedent(
        """
        import resource, sys
        sys.path[:0] = sys.argv[4:]
        from helpers.films import FakeColorizer
        from residual_encoder.inference.video import VideoConfig, colorize_video
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        colorize_video(FakeColorizer(), VideoConfig(sys.argv[1], sys.argv[2], overwrite=True))
        """
    )
    for limit in (3000, 30000):  # while encoding, while joining
        command = [
            sys.executable,
            "-c",
            code,
            str(plain),
            str(target),
            str(limit),
            *map(str, PATHS),
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 1
        assert f"Cannot write {target}" in done.stderr or "Cannot write" in done.stderr
        assert "File too large" in done.stderr.splitlines()[-1]
        assert target.read_bytes() == b"mine"
