"""Animations: frames as Pillow shows them, and files that Pillow reads back."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residual_encoder.imaging import animated_png, animations, image_io
from residual_encoder.imaging.animations import Writer

TIMES = [40, 50, 60, 70]


def gray(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (np.sin((x + 3 * number) / 5) * 60 + np.cos(y / 7) * 60 + 128).astype(np.uint8)


def with_hole(number: int) -> np.ndarray:
    """[H, W, 4] with a column that is transparent, and one that is half so."""
    alpha = np.full((24, 32), 255, np.uint8)
    alpha[:, number : number + 5], alpha[:, 20] = 0, 128
    return np.dstack([gray(number)] * 3 + [alpha])


def save(path: Path, frames: list[Image.Image], **options: object) -> Path:
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


def shown(path: Path) -> list[np.ndarray]:
    """The frames [H, W, 4] as Pillow composes them."""
    with Image.open(path) as image:
        composed = []
        for number in range(image.n_frames):
            image.seek(number)
            composed.append(np.asarray(image.convert("RGBA")))
    return composed


def rgba(picture: image_io.Picture) -> np.ndarray:
    alpha = picture.alpha
    if alpha is None:
        alpha = np.full(picture.pixels.shape[:2], 255, np.uint8)
    return np.dstack([picture.rgb, alpha])


def check_frames(path: Path, loop: int, within: int = 0) -> None:
    """Frames, durations and plays are those that Pillow tells."""
    animation = animations.inspect(path)
    assert animation is not None and animation.loop == loop
    found, wanted = list(animations.frames(animation)), shown(path)
    assert animation.count == len(found) == len(wanted)
    assert [frame.duration * 1000 for frame in found] == TIMES[: len(found)]
    for frame, composed in zip(found, wanted, strict=True):
        pixels, seen = rgba(frame.picture).astype(int), composed[..., 3:] > 0
        assert np.abs(pixels[..., 3] - composed[..., 3]).max() <= within
        assert (np.abs(pixels[..., :3] - composed[..., :3]) * seen).max() <= within


# --- reading --------------------------------------------------------------------------------------


def test_gif_with_one_palette(tmp_path: Path) -> None:
    frames = [Image.fromarray(gray(number)) for number in range(4)]
    check_frames(save(tmp_path / "a.gif", frames, duration=TIMES, loop=3), 3)


def test_gif_with_local_palettes(tmp_path: Path) -> None:
    """Colors of their own in each frame, of which no palette holds all."""
    frames = []
    for number in range(4):
        picture = Image.fromarray((gray(number) // 4).astype(np.uint8), "P")
        picture.putpalette(np.random.default_rng(number).integers(0, 256, 768, np.uint8).tobytes())
        frames.append(picture)
    check_frames(save(tmp_path / "a.gif", frames, duration=TIMES, loop=0), 0)


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gif_disposal_and_transparency(tmp_path: Path, disposal: int) -> None:
    frames = []
    for number in range(4):
        indices = (gray(number) // 2 + 1).astype(np.uint8)
        indices[number * 4 : number * 4 + 6] = 0
        picture = Image.fromarray(indices, "P")
        picture.putpalette(bytes(value for value in range(256) for _ in range(3)))
        frames.append(picture)
    path = save(
        tmp_path / "a.gif", frames, duration=TIMES, transparency=0, disposal=disposal, loop=1
    )
    check_frames(path, 1)
    animation = animations.inspect(path)
    assert animation is not None and animation.alpha


def test_a_gif_without_a_number_of_plays_plays_once(tmp_path: Path) -> None:
    frames = [Image.fromarray(gray(number)) for number in range(2)]
    check_frames(save(tmp_path / "a.gif", frames, duration=TIMES[:2]), 1)


@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_animated_png(tmp_path: Path, blend: int, disposal: int) -> None:
    """Pillow writes the parts that change only, so frames have places of their own."""
    frames = []
    for number in range(4):
        pixels = np.zeros((24, 32, 4), np.uint8)
        pixels[4 : 12 + number, 5 : 20 - number] = with_hole(number)[
            4 : 12 + number, 5 : 20 - number
        ]
        frames.append(Image.fromarray(pixels))
    path = save(tmp_path / "a.png", frames, duration=TIMES, loop=2, blend=blend, disposal=disposal)
    check_frames(path, 2, within=1)  # drawn over another, colors are rounded


def test_animated_png_with_a_palette(tmp_path: Path) -> None:
    frames = [Image.fromarray((gray(number) // 32).astype(np.uint8), "P") for number in range(3)]
    for frame in frames:
        frame.putpalette(bytes(range(0, 240, 10)))
    path = save(tmp_path / "a.png", frames, duration=TIMES[:3], loop=0)
    check_frames(path, 0)


def test_animated_png_of_16_bits_stays_so(tmp_path: Path) -> None:
    deep = [(gray(number).astype(np.uint16) * 257) ^ 0x0F for number in range(3)]
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        joiner = animated_png.PngJoiner(file, 0)
        for pixels in deep:
            joiner.add(image_io.encode(pixels, ".png"), Fraction(1, 8))
        joiner.finish()
    animation = animations.inspect(path)
    assert animation is not None and not animation.alpha
    for frame, pixels in zip(animations.frames(animation), deep, strict=True):
        assert frame.picture.depth == 16 and frame.duration == Fraction(1, 8)
        np.testing.assert_array_equal(frame.picture.pixels, pixels)


def test_the_still_picture_of_a_png_is_none_of_its_frames(tmp_path: Path) -> None:
    frames = [Image.fromarray(gray(number)) for number in range(3)]
    path = save(tmp_path / "a.png", frames, duration=TIMES[:2], default_image=True)
    animation = animations.inspect(path)
    assert animation is not None and animation.still and animation.count == 3
    found = list(animations.frames(animation))
    assert [frame.duration for frame in found] == [None, Fraction(1, 25), Fraction(1, 20)]
    for number, frame in enumerate(found):
        np.testing.assert_array_equal(rgba(frame.picture)[..., 0], gray(number))


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_with_alpha(tmp_path: Path, lossless: bool) -> None:
    frames = [Image.fromarray(with_hole(number)) for number in range(4)]
    path = save(tmp_path / "a.webp", frames, duration=TIMES, loop=5, lossless=lossless)
    check_frames(path, 5)


@pytest.mark.skipif("AVIF" not in Image.registered_extensions().values(), reason="no AVIF here")
def test_avif(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.stack([gray(number)] * 3, -1)) for number in range(4)]
    path = save(tmp_path / "a.avif", frames, duration=TIMES)
    animation = animations.inspect(path)
    assert animation is not None
    found = list(animations.frames(animation))
    for frame, composed in zip(found, shown(path), strict=True):
        np.testing.assert_array_equal(rgba(frame.picture), composed)
    assert [frame.duration * 1000 for frame in found] == TIMES


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_one_frame_is_no_animation(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", [Image.fromarray(gray(0))])
    assert animations.inspect(path) is None
    Image.fromarray(gray(0)).save(path)
    assert animations.inspect(path) is None


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_frames_come_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    frames = [Image.fromarray(with_hole(number)) for number in range(2)]
    path = save(
        tmp_path / f"a{suffix}", frames, exif=exif.tobytes(), lossless=True, duration=TIMES[:2]
    )
    animation = animations.inspect(path)
    assert animation is not None
    methods = (None, None, 0, 3, 1, 5, 4, 6, 2)  # Pillow's, by EXIF's number
    for frame, before in zip(animations.frames(animation), shown(path), strict=True):
        turned = Image.fromarray(before).transpose(methods[orientation])
        np.testing.assert_array_equal(rgba(frame.picture), np.asarray(turned))


def test_half_over_half_is_three_quarters(tmp_path: Path) -> None:
    """By PNG's own formula; Pillow mixes the two alphas instead."""
    path = tmp_path / "a.png"
    below, above = (np.full((8, 8, 4), (shade, shade, shade, 128), np.uint8) for shade in (0, 200))
    stream = io.BytesIO()
    joiner = animated_png.PngJoiner(stream, 0)
    for pixels in (below, above):
        joiner.add(image_io.encode(pixels, ".png"), Fraction(1))
    joiner.finish()
    data = bytearray(stream.getvalue())
    second = data.rindex(b"fcTL")
    data[second + 29] = animated_png.OVER
    data[second + 30 : second + 34] = struct.pack(">I", zlib.crc32(data[second : second + 30]))
    path.write_bytes(data)
    animation = animations.inspect(path)
    assert animation is not None
    *_, last = animations.frames(animation)
    assert last.picture.alpha is not None and np.all(last.picture.alpha == 192)
    assert np.all(np.abs(last.picture.pixels.astype(int) - round(200 * 128 / 191.7)) <= 1)


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_random_damage_gives_frames_or_a_reason(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(with_hole(number)) for number in range(3)]
    path = save(tmp_path / f"a{suffix}", frames, duration=TIMES[:3])
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(100):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(256)
        path.write_bytes(data[: random.integers(8, len(data) + 1)])
        try:
            animation = animations.inspect(path)
            if animation is not None:
                list(animations.frames(animation))
        except ValueError as error:
            assert str(error).startswith(str(path))


def test_a_truncated_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(gray(number)) for number in range(3)]
    path = save(tmp_path / "a.png", frames, duration=TIMES[:3])
    path.write_bytes(path.read_bytes()[:-40])
    animation = animations.inspect(path)
    assert animation is not None
    with pytest.raises(ValueError, match="truncated"):
        list(animations.frames(animation))


def test_too_large_by_the_header(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    control = struct.pack(">IIIIIHHBB", 0, 60_000, 60_000, 0, 0, 1, 10, 0, 0)
    parts = [(b"IHDR", head), (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", control)]
    parts += [(b"IDAT", zlib.compress(b"")), (b"fcTL", control), (b"IEND", b"")]
    data = animated_png.START + b"".join(animated_png.chunk(*part) for part in parts)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.png has 60000 x 60000 pixels a frame"):
        animations.inspect(tmp_path / "a.png")


def test_a_large_canvas_of_a_webp_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    frames = [Image.fromarray(gray(number)) for number in range(2)]
    path = save(tmp_path / "a.webp", frames)
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xfe\x3f\0\xfe\x3f\0"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="has 16383 x 16383 pixels a frame"):
        animations.inspect(path)


def test_a_frame_beyond_the_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", [Image.fromarray(gray(number)) for number in range(2)])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"fcTL") + 8
    data[at : at + 8] = struct.pack(">II", 10_000, 10_000)
    data[at + 22 : at + 26] = struct.pack(">I", zlib.crc32(data[at - 8 : at + 22]))
    path.write_bytes(data)
    animation = animations.inspect(path)
    assert animation is not None
    with pytest.raises(ValueError, match="a frame is larger than the picture"):
        list(animations.frames(animation))


def gif_with_a_frame_outside(path: Path, left: int) -> None:
    """The last of three frames, each of which replaces all pixels, is moved right and down."""
    frames = [Image.fromarray(shades) for shades in (gray(0), 255 - gray(0), gray(0))]
    save(path, frames, duration=TIMES[:3])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x2c\0\0\0\0")  # the last image descriptor
    struct.pack_into("<HH", data, at + 1, left, left)
    path.write_bytes(data)


def test_what_lies_outside_of_a_gif_is_not_shown(tmp_path: Path) -> None:
    gif_with_a_frame_outside(tmp_path / "a.gif", 10)
    animation = animations.inspect(tmp_path / "a.gif")
    assert animation is not None
    *_, last = animations.frames(animation)
    assert last.picture.pixels.shape[:2] == (24, 32)
    np.testing.assert_array_equal(rgba(last.picture)[10:, 10:, 0], gray(0)[:14, :22])


def test_a_frame_far_outside_does_not_fill_the_memory(tmp_path: Path) -> None:
    gif_with_a_frame_outside(tmp_path / "a.gif", 9000)
    with pytest.raises(ValueError, match=r"has 9032 x 9024 pixels a frame; at most 50 megapixels"):
        animations.inspect(tmp_path / "a.gif")


def test_a_large_gif_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.gif", [Image.fromarray(gray(number)) for number in range(2)])
    monkeypatch.setattr(image_io, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="a.gif has 32 x 24 pixels a frame"):
        animations.inspect(path)


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("alpha", [False, True])
def test_written_animations_are_read_by_others(tmp_path: Path, suffix: str, alpha: bool) -> None:
    frames = [with_hole(number)[..., : 4 if alpha else 3] for number in range(4)]
    source = save(
        tmp_path / "a.webp", [Image.fromarray(frame) for frame in frames], duration=TIMES, loop=7
    )
    animation = animations.inspect(source)
    assert animation is not None and animation.alpha == alpha
    target = tmp_path / f"b{suffix}"
    with Writer(target, animation) as writer:
        for pixels, time in zip(frames, TIMES, strict=True):
            writer.add(pixels, image_io.NOTHING, Fraction(time, 1000))
        writer.finish()
    with Image.open(target) as image:
        assert image.n_frames == 4 and image.info["loop"] == 7
        assert image.mode == ("RGBA" if alpha else "RGB")
        for number, pixels in enumerate(frames):
            image.seek(number)
            image.load()
            assert image.info["duration"] == TIMES[number]
            written, seen = np.asarray(image).astype(int), pixels[..., -1:] > 0
            limit = 0 if suffix == ".png" else 40  # WebP at quality 95
            assert (np.abs(written - pixels) * seen).max() <= limit
            assert (written[..., 3] == pixels[..., 3]).all() if alpha else True


def test_long_and_odd_durations(tmp_path: Path) -> None:
    """A delay is two numbers of 16 bits in PNG."""
    times = [Fraction(1001, 30_000), Fraction(600), Fraction(700_001, 10_000), Fraction(0)]
    stream = io.BytesIO()
    joiner = animated_png.PngJoiner(stream, 0)
    for time in times:
        joiner.add(image_io.encode(gray(0), ".png"), time)
    joiner.finish()
    found = [frame.duration for frame in animated_png.frames(stream.getvalue())]
    assert found[:2] == times[:2] and found[3] == 0
    assert found[2] is not None and abs(found[2] - times[2]) < Fraction(1, 1000)


def test_frames_of_another_size_are_refused() -> None:
    joiner = animated_png.PngJoiner(io.BytesIO(), 0)
    joiner.add(image_io.encode(gray(0), ".png"), Fraction(1))
    with pytest.raises(ValueError, match="several sizes"):
        joiner.add(image_io.encode(gray(0, 25, 32), ".png"), Fraction(1))
