"""Animations are colored frame by frame and come out animated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.batches import load_once  # noqa: F401
from helpers.several import TIMES, color, gray, luma, save, shown, with_hole
from PIL import Image

from residual_encoder.inference import temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, saturation=0.3)  # no color is so strong that gray is cut off


# --- animations -----------------------------------------------------------------------------------


def check_animation(source: Path, target: Path, loop: int, lossless: bool = True) -> None:
    """Gray, alpha, durations and plays of the target are those of the source; it is in color."""
    with Image.open(target) as image:
        assert image.info["loop"] == loop
    before, after = list(shown(source)), list(shown(target))
    assert len(before) == len(after) > 1
    for (old, time), (new, new_time) in zip(before, after, strict=True):
        assert time == new_time
        np.testing.assert_array_equal(new[..., 3], old[..., 3])
        seen = old[..., 3] > 0
        assert np.abs(luma(new) - luma(old))[seen].max() <= (2 if lossless else 12)
        assert np.ptp(new[..., :3], axis=-1)[seen].mean() > 0.2  # not gray


def test_gif(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    source = save(tmp_path / "a.gif", [gray(number) for number in range(5)], loop=3)
    summary, rows = color(tmp_path, source)
    assert summary == (1, {}, 0) and rows["a.gif"]["frames"] == 5
    check_animation(source, tmp_path / "out" / "a.gif.png", 3)
    assert "a.gif: 5 frames, written as an animated PNG" in capfd.readouterr().err


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_gif_with_local_palettes_and_disposal(tmp_path: Path, disposal: int) -> None:
    frames = []
    for number in range(4):
        indices = gray(number) // 2 + 1
        indices[number * 8 : number * 8 + 9] = 0
        picture = Image.fromarray(indices.astype(np.uint8), "P")
        shades = np.roll(np.arange(256), number)  # other palettes, the same kind of picture
        picture.putpalette(np.repeat(shades, 3).astype(np.uint8).tobytes())
        frames.append(picture)
    source = tmp_path / "a.gif"
    frames[0].save(
        source, save_all=True, append_images=frames[1:], duration=TIMES[:4], transparency=0,
        disposal=disposal, loop=0,
    )  # fmt: skip
    color(tmp_path, source)
    check_animation(source, tmp_path / "out" / "a.gif.png", 0)


def test_apng_with_alpha(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", [with_hole(number) for number in range(5)], loop=2)
    color(tmp_path, source)
    check_animation(source, tmp_path / "out" / "a.png", 2)


@pytest.mark.parametrize("blend", [0, 1])
def test_apng_of_parts(tmp_path: Path, blend: int) -> None:
    frames = []
    for number in range(4):
        pixels = np.zeros((48, 64, 4), np.uint8)
        pixels[4 : 30 + number, 5 : 40 - number] = with_hole(number, 255)[
            4 : 30 + number, 5 : 40 - number
        ]
        frames.append(pixels)
    source = save(tmp_path / "a.png", frames, blend=blend, disposal=1, loop=0)
    color(tmp_path, source)
    before, after = list(shown(source)), list(shown(tmp_path / "out" / "a.png"))
    for (old, time), (new, new_time) in zip(before, after, strict=True):
        assert time == new_time
        assert np.abs(new[..., 3].astype(int) - old[..., 3]).max() <= 1
        assert np.abs(luma(new) - luma(old))[old[..., 3] > 0].max() <= 3


def test_apng_keeps_its_still_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    """Programs that show no animation show it; it is colored by itself."""
    frames = [gray(number, 48, 64) for number in (40, 1, 2)]
    source = save(tmp_path / "a.png", frames, default_image=True, duration=TIMES[:2])
    color(tmp_path, source)
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.default_image and image.n_frames == 3
        np.testing.assert_array_equal(np.asarray(image), colorizer.colorize(frames[0]))
        image.seek(1)  # the film begins anew
        np.testing.assert_array_equal(np.asarray(image), colorizer.colorize(frames[1]))


def test_the_still_picture_that_webp_has_not_is_told(tmp_path: Path) -> None:
    frames = [gray(number) for number in range(3)]
    source = save(tmp_path / "a.png", frames, default_image=True, duration=TIMES[:2])
    summary, rows = color(tmp_path, source, format="webp")
    assert summary.not_colored == rows["a.png"]["not_colored"] == 1
    assert "the still picture" in rows["a.png"]["notes"][0]
    assert [time for _, time in shown(tmp_path / "out" / "a.webp")] == TIMES[:2]


def test_webp_with_alpha(tmp_path: Path) -> None:
    source = save(
        tmp_path / "a.webp", [with_hole(number) for number in range(5)], loop=4, lossless=True
    )
    color(tmp_path, source)
    check_animation(source, tmp_path / "out" / "a.webp", 4, lossless=False)


def test_between_formats(tmp_path: Path) -> None:
    source = save(tmp_path / "a.gif", [gray(number) for number in range(5)], loop=6)
    color(tmp_path, source, format="webp")
    check_animation(source, tmp_path / "out" / "a.webp", 6, lossless=False)
    source = save(tmp_path / "b.webp", [with_hole(n) for n in range(5)], loop=0, lossless=True)
    color(tmp_path, source, format="png")
    check_animation(source, tmp_path / "out" / "b.png", 0)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_one_frame_is_an_ordinary_picture(
    tmp_path: Path, suffix: str, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    source = save(tmp_path / f"a{suffix}", [gray()], lossless=True)
    summary, rows = color(tmp_path, source)
    assert summary.colored == 1 and rows[source.name]["frames"] is None
    name = "a.gif.png" if suffix == ".gif" else source.name
    with Image.open(tmp_path / "out" / name) as image:
        assert getattr(image, "n_frames", 1) == 1
        if suffix != ".webp":
            np.testing.assert_array_equal(np.asarray(image), colorizer.colorize(gray()))
    assert not capfd.readouterr().err


def test_frames_are_colored_as_those_of_a_film(tmp_path: Path, colorizer: Colorizer) -> None:
    """With grain of its own in every frame, colors flicker less than frame by frame."""
    random = np.random.default_rng(0)
    frames = [
        np.clip(gray() + random.normal(0, 8, (48, 64)), 0, 255).astype(np.uint8) for _ in range(12)
    ]
    source = save(tmp_path / "a.png", frames, duration=40)
    color(tmp_path, source)
    written = [pixels[..., :3] for pixels, _ in shown(tmp_path / "out" / "a.png")]
    state = None
    for pixels, frame in zip(written, frames, strict=True):
        small = colorizer.network_input(frame)
        chroma = colorizer.predict(small[None])[0]
        if state is None:
            state = temporal_smoothing.start(small, chroma)
        else:
            state, _ = temporal_smoothing.update(state, small, chroma)
        wanted = colorizer.merge(frame, state.smooth, small)
        assert np.abs(pixels.astype(int) - wanted).max() <= 1  # batches round otherwise

    def flicker(colored: list[np.ndarray]) -> float:
        tints = [pixels - pixels.mean(axis=-1, keepdims=True) for pixels in colored]
        return float(
            np.mean([np.abs(b - a).mean() for a, b in zip(tints, tints[1:], strict=False)])
        )

    assert flicker(written) < 0.7 * flicker([colorizer.colorize(frame) for frame in frames])


def test_compare_is_animated_too(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", [gray(number) for number in range(5)])
    color(tmp_path, source, compare=True)
    pairs, colored = (list(shown(tmp_path / "out" / name)) for name in ("a_compare.png", "a.png"))
    for number, ((pair, _), (frame, _)) in enumerate(zip(pairs, colored, strict=True)):
        np.testing.assert_array_equal(pair[:, 64:], frame)
        np.testing.assert_array_equal(pair[:, :64, 0], gray(number))


def test_a_broken_animation_is_one_line(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", [gray(number) for number in range(3)])
    source.write_bytes(source.read_bytes()[:-60])
    summary, _ = color(tmp_path, source)
    assert "truncated" in summary.failed[source] and len(summary.failed[source].splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []
