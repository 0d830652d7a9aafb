"""Films: frames, sound and tags are kept; files that are no film are named."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import pathlib
import subprocess
from fractions import Fraction

import cv2
import numpy as np
import pytest
from helpers.film_fixtures import clip  # noqa: F401
from helpers.films import (
    LUMA,
    PROGRAM,
    RATE,
    FakeColorizer,
    decoded,
    probe,
    read,
    run_ffmpeg,
    times,
)

from residual_encoder.imaging import film_names, video_io
from residual_encoder.inference import output_paths
from residual_encoder.inference.video import VideoConfig, colorize_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to check films with")


@pytest.fixture(scope="module")
def sounding(clip, tmp_path_factory):
    """The clip with a tone, two tags and a chapter."""
    folder = tmp_path_factory.mktemp("sounding")
    tags = folder / "tags.txt"
    tags.write_text(
        ";FFMETADATA1\ntitle=A film\n[CHAPTER]\nTIMEBASE=1/24\nSTART=0\nEND=12\ntitle=One\n"
    )
    path = folder / "sounding.mp4"
    tone = ("-f", "lavfi", "-t", "1.5", "-i", "sine=440")
    kept = ("-map", "0:v", "-map", "1:a", "-map_metadata", "2", "-map_chapters", "2")
    run_ffmpeg("-i", clip, *tone, "-i", tags, *kept, "-c:v", "copy", "-c:a", "aac", path)
    return path


# --- what is kept ---------------------------------------------------------------------------------


def test_count_rate_size_and_gray_are_kept(clip, tmp_path):
    target = tmp_path / "out" / "colored.mp4"
    target.parent.mkdir()
    summary = colorize_video(FakeColorizer(), VideoConfig(str(clip), str(target)))
    before, after = read(clip), read(target)
    assert before.shape == after.shape == (36, 120, 160, 3)
    assert video_io.inspect(target).rate == video_io.inspect(clip).rate == RATE
    assert (summary.frames, summary.seconds, summary.scene_cuts) == (36, 1.5, (12, 24))
    gray = [decoded(path, "gray").astype(int) for path in (clip, target)]
    assert np.abs(gray[0] - gray[1]).mean() < 2  # of 255, most of it grain
    assert np.abs(after @ LUMA - before @ LUMA).mean() < 2.5  # with the rounding of three channels
    assert np.ptp(after.astype(int), axis=-1).mean() > 10  # in color
    assert [path.name for path in target.parent.iterdir()] == ["colored.mp4"]  # nothing left behind


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_tags_and_chapters_are_kept(suffix, sounding, tmp_path):
    target = tmp_path / f"colored{suffix}"
    summary = colorize_video(FakeColorizer(), VideoConfig(str(sounding), str(target)))
    assert summary.sound and not summary.notes
    streams, tags = probe(target)
    assert streams["video"]["codec_name"] == "h264" and streams["video"]["pix_fmt"] == "yuv420p"
    assert streams["video"]["nb_read_frames"] == "36"
    assert Fraction(streams["video"]["avg_frame_rate"]) == RATE
    assert streams["audio"]["codec_name"] == "aac"
    count = int(probe(sounding)[0]["audio"]["nb_read_frames"])
    run_up = suffix == ".mkv"  # which has no edit list to hide the encoder's
    assert int(streams["audio"]["nb_read_frames"]) - count in ((0, 1) if run_up else (0,))
    assert "A film" in tags.values() or "A film" in {tags.get("title"), tags.get("TITLE")}
    chapters = ["ffprobe", "-v", "error", "-show_chapters", str(target)]
    assert b"title=One" in subprocess.check_output(chapters)


def test_sound_that_does_not_fit_makes_it_matroska(sounding, tmp_path):
    source, target = tmp_path / "pcm.mkv", tmp_path / "colored.mp4"
    run_ffmpeg("-i", sounding, "-c:v", "copy", "-c:a", "pcm_s16le", source)
    summary = colorize_video(FakeColorizer(), VideoConfig(str(source), str(target)))
    assert summary.sound
    assert summary.notes == ("written as Matroska, since MP4 holds no pcm_s16le",)
    assert summary.output == str(tmp_path / "colored.mp4.mkv") and not target.exists()
    assert probe(summary.output)[0]["audio"]["codec_name"] == "pcm_s16le"


def test_a_rotated_film_comes_out_upright(clip, tmp_path):
    source, target = tmp_path / "rotated.mp4", tmp_path / "colored.mp4"
    run_ffmpeg("-i", clip, "-c", "copy", "-metadata:s:v", "rotate=90", source)
    assert "side_data_list" in probe(source)[0]["video"]
    colorize_video(FakeColorizer(), VideoConfig(str(source), str(target)))
    streams, _ = probe(target)
    assert (streams["video"]["width"], streams["video"]["height"]) == (120, 160)
    assert "side_data_list" not in streams["video"]
    picture = tmp_path / "upright.png"
    run_ffmpeg("-i", source, "-frames:v", 1, picture)
    upright = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE).astype(float)
    assert np.abs(decoded(target, "gray")[0] - upright).mean() < 3


def test_odd_sides_and_wide_pixels_are_kept(tmp_path):
    source, target = tmp_path / "odd.mkv", tmp_path / "colored.mp4"
    picture = ("-f", "lavfi", "-t", "0.2", "-i", "testsrc=s=121x91:r=30000/1001")
    run_ffmpeg(*picture, "-vf", "format=gray,setsar=16/15", "-c:v", "ffv1", source)
    colorize_video(FakeColorizer(), VideoConfig(str(source), str(target)))
    stream = probe(target)[0]["video"]
    assert (stream["width"], stream["height"]) == (121, 91)
    assert stream["sample_aspect_ratio"] == "16:15"
    np.testing.assert_allclose(times(target), times(source), atol=1e-5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_uneven_times_are_kept(suffix, clip, tmp_path):
    source, target = tmp_path / "uneven.mkv", tmp_path / f"colored{suffix}"
    slower = "setpts=if(lt(N\\,18)\\,N/24/TB\\,(18/24+(N-18)/12)/TB)"  # 18 at 24, then 18 at 12
    run_ffmpeg("-i", clip, "-vf", slower, "-fps_mode", "vfr", "-enc_time_base", "1/1000", source)
    summary = colorize_video(FakeColorizer(), VideoConfig(str(source), str(target)))
    assert summary.frames == 36 and not summary.notes
    np.testing.assert_allclose(times(target), times(source), atol=0.0011)
    assert summary.seconds == pytest.approx(18 / 24 + 17 / 12 + 1 / 16, abs=0.03)


def test_names_may_hold_anything(clip, tmp_path):
    source = tmp_path / "été: a b%03d.mp4"
    source.write_bytes(clip.read_bytes())
    target = tmp_path / "-gefärbt: %d.mp4"
    assert colorize_video(FakeColorizer(), VideoConfig(str(source), str(target))).frames == 36
    assert len(read(target)) == 36


# --- files that are no film -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"no film at all\n" * 99, "is no film"), (None, "No such file")],
)
def test_what_is_no_film_is_one_line(data, words, tmp_path):
    source = tmp_path / "film.mp4"
    if data is not None:
        source.write_bytes(data)
    with pytest.raises((ValueError, OSError), match=words) as error:
        colorize_video(FakeColorizer(), VideoConfig(str(source), str(tmp_path / "colored.mp4")))
    assert str(source) in str(error.value) and "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"film.mp4"}


def test_a_film_cut_off_before_its_index_is_one_line(clip, tmp_path, capfd):
    source = tmp_path / "cut.mp4"
    source.write_bytes(clip.read_bytes()[:-2000])  # MP4 by OpenCV has its index at the end
    with pytest.raises(ValueError, match="damaged or truncated"):
        colorize_video(FakeColorizer(), VideoConfig(str(source), str(tmp_path / "colored.mp4")))
    assert capfd.readouterr().err == ""


def test_of_a_truncated_film_what_can_be_read_is_colored(clip, tmp_path):
    whole, source = tmp_path / "whole.avi", tmp_path / "cut.avi"
    run_ffmpeg("-i", clip, "-c:v", "mjpeg", "-q:v", 2, whole)
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    summary = colorize_video(
        FakeColorizer(), VideoConfig(str(source), str(tmp_path / "colored.mp4"))
    )
    assert 5 < summary.frames < 30
    assert len(summary.notes) == 1 and summary.notes[0].startswith("damaged or truncated: ")
    assert len(read(tmp_path / "colored.mp4")) == summary.frames


def test_nothing_is_overwritten(clip, tmp_path):
    target = tmp_path / "colored.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="--overwrite"):
        colorize_video(FakeColorizer(), VideoConfig(str(clip), str(target)))
    with pytest.raises(KeyboardInterrupt):
        colorize_video(
            FakeColorizer(dies_at=3), VideoConfig(str(clip), str(target), overwrite=True)
        )
    assert target.read_bytes() == b"mine"
    colorize_video(FakeColorizer(), VideoConfig(str(clip), str(target), overwrite=True))
    assert len(read(target)) == 36
    with pytest.raises(ValueError, match="onto itself"):
        VideoConfig(str(clip), str(clip), overwrite=True)


@pytest.mark.parametrize("change", [{"target": "film.avi"}, {"batch_size": 0}, {"end": 0.0}])
def test_wrong_settings_are_named(change):
    with pytest.raises(ValueError, match="avi|batch_size|end"):
        VideoConfig(**{"source": "a.mp4", "target": "b.mp4"} | change)


def test_target_names():
    assert str(output_paths.video_output_name("a/b.MP4")) == "a/b.MP4"
    assert str(output_paths.video_output_name("a/b.webm")) == "a/b.webm"
    assert str(output_paths.video_output_name("a/b.avi")) == "a/b.avi.mp4"
    for target, other in (("b.avi.mp4", "b.avi.mkv"), ("c.mp4", "c.mp4.mkv")):
        made = output_paths.matroska_name(pathlib.Path("b.avi"), pathlib.Path("a", target))
        assert made == pathlib.Path("a", other)
    assert film_names.WRITABLE <= film_names.READABLE


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"start": float("nan")}, "start must be seconds from 0 up. Received nan"),
        ({"start": float("inf")}, "start must be seconds from 0 up. Received inf"),
        ({"start": -1.0}, "start must be seconds from 0 up"),
        ({"end": float("nan")}, "end must be after start. Received 0.0 and nan"),
        ({"end": float("inf")}, "end must be after start"),
        ({"start": 2.0, "end": 2.0}, "end must be after start. Received 2.0 and 2.0"),
    ],
)
def test_times_that_are_none(times, message):
    with pytest.raises(ValueError, match=message):
        VideoConfig("a.mp4", "b.mp4", **times)
