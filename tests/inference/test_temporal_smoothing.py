"""Steady color: chroma moves with what moves, flicker is halved, no color crosses a cut."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import cv2
import numpy as np
import pytest
from helpers.film_fixtures import clip  # noqa: F401
from helpers.films import PROGRAM, FakeColorizer, film_frames, read, run_ffmpeg

from residual_encoder.imaging import optical_flow
from residual_encoder.inference import temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.video import VideoConfig, colorize_video

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no ffmpeg on the PATH to check films with")


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
