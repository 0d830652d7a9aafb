"""What films hold besides even frames and sound: other streams, other clocks, fields, color."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import subprocess

import numpy as np
import pytest
from helpers.film_fixtures import MOVING, X264, color, gray_source, lavfi, mixed, packets, plain  # noqa: F401
from helpers.films import PROGRAM, decoded, probe, run_ffmpeg, times, whole_probe

from residual_encoder.imaging import video_io

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to make films with")
MPEG2 = "-c:v mpeg2video -q:v 2".split()
SRT = "1\n00:00:00,200 --> 00:00:00,700\nGood evening\n\n2\n00:00:00,900 --> 00:00:01,000\nBye\n"


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


@pytest.mark.parametrize("rate", [2, 12])
def test_reordered_frames_of_a_slow_film_are_no_new_clock(rate, tmp_path):
    """Matroska gives the first ones no time to decode at, and the time to show them falls."""
    source, target = tmp_path / "slow.mkv", tmp_path / "b.mkv"
    slow = lavfi(gray_source(rate=rate, seconds=12 / rate))
    run_ffmpeg(*slow, *"-c:v libx264 -bf 3 -b_strategy 0".split(), source)
    summary = color(source, target)
    assert summary.notes == () and summary.frames == 12
    np.testing.assert_allclose(times(target), np.arange(12) / rate, atol=0.0011)


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
