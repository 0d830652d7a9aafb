"""Films: sound and tags are kept, color is steady, cuts are found, stopped runs resume."""

import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from fractions import Fraction

import cv2
import numpy as np
import pytest
from conftest import ROOT
from helpers.films import (
    LUMA,
    PROGRAM,
    RATE,
    FakeColorizer,
    decoded,
    film_frames,
    probe,
    read,
    run_ffmpeg,
    times,
    write_film,
)

from residual_encoder.imaging import film_names, optical_flow, video_io
from residual_encoder.inference import (
    output_paths,
    temporal_smoothing,
    video,
    video_chroma,
    video_progress,
)
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.video import VideoConfig, colorize_video
from residual_encoder.models import vividness
from residual_encoder.recipes import RECIPES

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to check films with")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """36 frames, cuts at 12 and 24."""
    return write_film(tmp_path_factory.mktemp("clip") / "clip.mp4", film_frames(36))


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


# --- motion ---------------------------------------------------------------------------------------


def field(values):
    """[32, 32, 2] chroma, the same everywhere."""
    return np.broadcast_to(np.float32(values), (32, 32, 2)).copy()


def texture(rng, size=96):
    """[size, size, 1] smooth gray in 0.1..0.9."""
    gray = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 3)
    return cv2.normalize(gray, None, 0.1, 0.9, cv2.NORM_MINMAX)[..., None]


def test_a_still_picture_gets_the_running_mean():
    gray = texture(np.random.default_rng(0), 32)
    moment = temporal_smoothing.start(gray, field([0.4, 0.5]))
    moment, change = temporal_smoothing.update(moment, gray, field([0.6, 0.5]))
    np.testing.assert_allclose(moment.smooth[16, 16], [0.5, 0.5], atol=1e-5)  # (0.4 + 0.6) / 2
    assert change == (False, pytest.approx(0.1), pytest.approx(0.05))  # mean of both channels
    moment, change = temporal_smoothing.update(moment, gray, field([0.4, 0.5]))
    np.testing.assert_allclose(moment.smooth[16, 16], [1.4 / 3, 0.5], atol=1e-5)
    for _ in range(100):
        moment, _ = temporal_smoothing.update(moment, gray, field([0.9, 0.5]))
    np.testing.assert_allclose(moment.smooth[16, 16], [0.9, 0.5], atol=1e-4)  # nothing sticks
    assert moment.held.max() == temporal_smoothing.MEMORY


def test_chroma_goes_with_what_moves(rng):
    whole, colors = texture(rng, 112), rng.uniform(size=(112, 112, 2)).astype(np.float32)
    colors = cv2.normalize(cv2.GaussianBlur(colors, (0, 0), 4), None, 0, 1, cv2.NORM_MINMAX)
    before = temporal_smoothing.start(whole[8:104, 8:104], colors[8:104, 8:104])
    now, change = temporal_smoothing.update(
        before, whole[8:104, 11:107], np.full((96, 96, 2), 0.5, np.float32)
    )
    wanted = (colors[8:104, 11:107] + 0.5) / 2
    inner = (slice(10, 86), slice(10, 86))
    np.testing.assert_allclose(now.smooth[inner], wanted[inner], atol=0.005)
    stayed = (colors[8:104, 8:104] + 0.5) / 2
    assert np.abs(stayed[inner] - wanted[inner]).max() > 0.03  # not moving would have shown


def test_what_comes_into_view_begins_with_its_own_chroma(rng):
    whole = texture(rng, 112)
    before = temporal_smoothing.start(whole[8:104, 8:104], np.full((96, 96, 2), 0.2, np.float32))
    now, _ = temporal_smoothing.update(
        before, whole[8:104, 13:109], np.full((96, 96, 2), 0.8, np.float32)
    )
    np.testing.assert_allclose(now.smooth[20:76, 92:], 0.8, atol=1e-6)
    np.testing.assert_allclose(now.smooth[20:76, 20:76], 0.5, atol=0.02)
    assert now.held[40, 95] == 1


def test_exposure_is_no_cut_and_a_new_scene_is(rng):
    gray, other = texture(rng), texture(rng)
    before = temporal_smoothing.start(gray, rng.uniform(size=(96, 96, 2)).astype(np.float32))
    chroma = rng.uniform(size=(96, 96, 2)).astype(np.float32)
    assert not temporal_smoothing.update(before, 0.8 * gray + 0.05, chroma)[1].cut
    now, change = temporal_smoothing.update(before, other, chroma)
    assert change == (True, 0, 0)
    np.testing.assert_array_equal(now.smooth, chroma)


def test_flow_needs_a_picture():
    tiny = np.zeros((8, 40), np.float32)
    np.testing.assert_array_equal(optical_flow.flow(tiny, tiny), np.zeros((8, 40, 2)))


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


# --- steady color ---------------------------------------------------------------------------------


def test_flicker_is_halved_and_no_color_crosses_a_cut(clip, tmp_path):
    steady, plain = FakeColorizer(), FakeColorizer()
    made = colorize_video(steady, VideoConfig(str(clip), str(tmp_path / "steady.mp4")))
    raw = colorize_video(plain, VideoConfig(str(clip), str(tmp_path / "raw.mp4"), smoothing=False))
    assert raw.flicker == raw.flicker_without == made.flicker_without
    assert made.flicker < made.flicker_without / 2
    assert made.scene_cuts == (12, 24)
    for first in (0, *made.scene_cuts):
        np.testing.assert_array_equal(steady.merged[first], plain.merged[first])
        assert np.abs(steady.merged[first + 1] - plain.merged[first + 1]).max() > 0.002
    # The same in the films themselves, by the pan that is known: one pixel a frame.
    assert written_flicker(tmp_path / "steady.mp4") < written_flicker(tmp_path / "raw.mp4") / 2


def written_flicker(path):
    """Mean change of a film's UV along a pan of one pixel a frame, cuts at every 12th left out."""
    uv = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2YUV)[..., 1:] for f in read(path)]).astype(float)
    uv = np.stack([cv2.blur(frame, (9, 9)) for frame in uv])
    changes = np.abs(uv[1:, :, :-1] - uv[:-1, :, 1:]).mean(axis=(1, 2, 3))
    return np.delete(changes, [11, 23]).mean()


def test_with_a_network(clip, soft_weights, tmp_path):
    colorizer = Colorizer(soft_weights, size=32)
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"), batch_size=5)
    summary = colorize_video(colorizer, config)
    assert summary.frames == len(read(config.target)) == 36
    assert 0 < summary.flicker < summary.flicker_without / 2
    assert summary.scene_cuts == (12, 24)


@pytest.mark.slow
def test_grain_does_not_make_color_swim(tmp_path):
    colorizer, flicker = Colorizer(size=104), {}
    for noise in (0.0, 0.05):
        source, target = tmp_path / f"{noise}.mkv", tmp_path / f"colored {noise}.mkv"
        frames = b"".join(f.tobytes() for f in film_frames(48, 2, noise=noise, exposure=0))
        raw = tmp_path / "frames.raw"
        raw.write_bytes(frames)
        picture = "-f rawvideo -pix_fmt gray -s 160x120 -r 24".split()
        run_ffmpeg(*picture, "-i", raw, "-c:v", "ffv1", source)
        flicker[noise] = colorize_video(colorizer, VideoConfig(str(source), str(target))).flicker
    assert 0 < flicker[0.05] <= 1.5 * flicker[0.0]


# --- resuming after a stop ------------------------------------------------------------------------


def test_a_stopped_run_resumes_to_the_same_file(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 10)
    config = VideoConfig(str(clip), str(tmp_path / "colored.mp4"), batch_size=4)
    whole = VideoConfig(str(clip), str(tmp_path / "whole.mp4"), batch_size=4)
    wanted = colorize_video(FakeColorizer(), whole)
    for _ in range(2):  # a second stop before anything new is finished costs nothing
        with pytest.raises(KeyboardInterrupt):
            colorize_video(FakeColorizer(dies_at=7), config)
    with pytest.raises(KeyboardInterrupt):
        colorize_video(FakeColorizer(dies_at=13), config)
    assert not (tmp_path / "colored.mp4").exists()
    colorizer = FakeColorizer()
    made = colorize_video(colorizer, config)
    assert dataclasses.replace(made, output=wanted.output) == wanted
    assert (colorizer.predicted, len(colorizer.merged)) == (
        26,
        26,
    )  # the first segment was not redone
    assert (tmp_path / "colored.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"colored.mp4", "whole.mp4"}


@pytest.mark.parametrize("changed", ["source", "size", "smoothing", "vividness", "damage"])
def test_what_is_finished_counts_for_the_same_job_only(changed, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "SEGMENT", 10)
    source = tmp_path / "clip.mp4"
    source.write_bytes(clip.read_bytes())
    config = VideoConfig(str(source), str(tmp_path / "colored.mp4"))
    monkeypatch.setattr(FakeColorizer, "recipe", RECIPES["modern_distribution"])
    with pytest.raises(KeyboardInterrupt):
        colorize_video(FakeColorizer(dies_at=25), config)
    colorizer = FakeColorizer(size=56 if changed == "size" else 48)
    if changed == "vividness":
        network = vividness.ColorChoice(0.5).applied(colorizer.recipe.network)
        colorizer.recipe = dataclasses.replace(colorizer.recipe, network=network)
    if changed == "source":
        os.utime(source, (1, 1))
    if changed == "damage":
        (tmp_path / ".colored.mp4.parts" / video_progress.STATE).write_bytes(b"PK\3\4 half a file")
    if changed == "smoothing":
        config = VideoConfig(str(source), str(tmp_path / "colored.mp4"), smoothing=False)
    colorize_video(colorizer, config)
    assert colorizer.predicted == 36


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


def test_what_is_counted_is_small():
    ledger = video_progress.VideoProgress()
    for number in range(1000):
        change = temporal_smoothing.FrameChange(False, 0.2, 0.1)
        ledger.add(number, change if number else None)
    assert (ledger.frames, ledger.pairs, ledger.cuts) == (1000, 999, [])
    assert ledger.flicker == pytest.approx(99.9)
    assert (ledger.begins, ledger.ends) == (0, 999)


@pytest.mark.slow
def test_ten_seconds_killed_and_resumed(soft_weights, tmp_path):
    source = write_film(tmp_path / "film.mp4", film_frames(240))
    sounding = tmp_path / "sounding.mp4"
    tone = ("-f", "lavfi", "-t", "10", "-i", "sine=440")
    run_ffmpeg("-i", source, *tone, "-c:v", "copy", "-c:a", "aac", sounding)
    code = textwrap.dedent(
        """
        import sys
        from residual_encoder.inference import video
        from residual_encoder.inference.colorizer import Colorizer
        video.SEGMENT = 24
        model, source, target = sys.argv[1:]
        print(video.colorize_video(Colorizer(model, size=32), video.VideoConfig(source, target)))
        """
    )
    start = [sys.executable, "-c", code, str(soft_weights), str(sounding)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    whole = subprocess.check_output([*start, str(tmp_path / "whole.mp4")], env=environment)
    target = tmp_path / "colored.mp4"
    process = subprocess.Popen([*start, str(target)], env=environment)
    finished = tmp_path / ".colored.mp4.parts" / "000002.nut"
    deadline = time.monotonic() + 120
    while not finished.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not target.exists()
    again = subprocess.check_output([*start, str(target)], env=environment)
    assert again.replace(b"colored.mp4", b"whole.mp4") == whole
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    streams, _ = probe(target)
    assert streams["video"]["nb_read_frames"] == "240"
    assert Fraction(streams["video"]["avg_frame_rate"]) == RATE
    assert streams["audio"]["codec_name"] == "aac"
    said = re.search(r"flicker=([\d.e-]+), flicker_without=([\d.e-]+)", again.decode())
    assert float(said[1]) < float(said[2]) / 2
    assert "scene_cuts=(80, 160)" in again.decode()


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
