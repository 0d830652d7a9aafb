"""Files of several pictures: every page and frame is colored, or a line tells which are not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import ROOT
from PIL import Image, ImageCms

from residual_encoder.imaging import animations, heif, image_io, tiff_pages
from residual_encoder.inference import batch, pages, temporal_smoothing
from residual_encoder.inference.batch import BatchConfig, BatchSummary, colorize_files
from residual_encoder.inference.colorizer import Colorizer

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TIMES = [40, 50, 60, 70, 80]


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, saturation=0.3)  # no color is so strong that gray is cut off


@pytest.fixture(autouse=True)
def _load_once(colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "configured", lambda _: colorizer)


def gray(number: int = 0, height: int = 48, width: int = 64, dtype: type = np.uint8) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    shades = (np.sin((x + 3 * number) / 9) * 35 + np.cos(y / 7) * 25 + 128).astype(np.uint8)
    return shades if dtype is np.uint8 else shades.astype(np.uint16) * 257


def with_hole(number: int, half: int = 128) -> np.ndarray:
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:, number * 5 : number * 5 + 9], alpha[:9] = 0, half
    return np.dstack([gray(number)] * 3 + [alpha])


def save(path: Path, frames: list[np.ndarray], **options: object) -> Path:
    """Saves an animation with Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [Image.fromarray(frame) for frame in frames]
    options = {"duration": TIMES[: len(frames)], **options}
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def document(path: Path) -> Path:
    """A BigTIFF of three pages of several depths and sizes, a SubIFD and a reduced picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(gray(0), description="recto", resolution=(300, 300), metadata=None)
        file.write(
            gray(1, 30, 40, np.uint16), description="verso", resolution=(600, 600), subifds=1,
            metadata=None,
        )  # fmt: skip
        file.write(gray(1, 15, 20, np.uint16), subfiletype=1, metadata=None)
        file.write(gray(0, 24, 32), subfiletype=1, metadata=None)
        file.write(
            gray(2, 20, 31), description="a note", resolution=(1200, 1200), tile=(16, 16),
            compression="zlib", metadata=None,
        )  # fmt: skip
    return path


def color(tmp_path: Path, *inputs: Path, **options: object) -> tuple[BatchSummary, dict]:
    """Colors into out/; returns the summary and the report's rows by the names of the inputs."""
    report = tmp_path / "report.jsonl"
    summary = colorize_files(
        BatchConfig(
            tuple(map(str, inputs)),
            str(tmp_path / "out"),
            report=str(report),
            **options,  # type: ignore[arg-type]
        )
    )
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    report.unlink()
    return summary, {Path(row["file"]).name: row for row in rows}


def luma(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., :3].astype(float) @ [0.299, 0.587, 0.114]


def shown(path: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Frames [H, W, 4] and their durations, by Pillow."""
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            image.load()
            yield np.asarray(image.convert("RGBA")), image.info["duration"]


# --- pages of a TIFF ------------------------------------------------------------------------------


def test_all_pages_are_colored(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    summary, rows = color(tmp_path, document(tmp_path / "in" / "letter.tif"))
    assert summary == (1, {}, 0) and summary.not_colored == 0
    assert (rows["letter.tif"]["pages"], rows["letter.tif"]["error"]) == (3, None)
    assert (rows["letter.tif"]["height"], rows["letter.tif"]["width"]) == (48, 64)
    wanted = [gray(0), gray(1, 30, 40, np.uint16), gray(2, 20, 31)]
    with tifffile.TiffFile(tmp_path / "out" / "letter.tif") as file:
        assert [page.description for page in file.pages] == ["recto", "verso", "a note"]
        for page, shades, dpi in zip(file.pages, wanted, (300, 600, 1200), strict=True):
            pixels = page.asarray()
            assert pixels.dtype == shades.dtype and page.photometric == 2
            np.testing.assert_array_equal(pixels, colorizer.colorize(shades))
            step = 1 if shades.dtype == np.uint8 else 257
            assert np.abs(luma(pixels) - shades).max() <= 2 * step
            assert page.tags["XResolution"].value == page.tags["YResolution"].value == (dpi, 1)
            assert page.tags["ResolutionUnit"].value == 2
            assert not page.is_reduced and not page.subifds
    (line,) = capfd.readouterr().err.splitlines()
    assert (
        "letter.tif: left out, since it is no page: 1 SubIFD, 1 reduced-resolution picture" in line
    )
    assert rows["letter.tif"]["notes"] == [line.split("letter.tif: ")[1]]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["letter.tif"]


def test_pages_with_alpha_and_turned_pages(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tiff"
    with tifffile.TiffWriter(path) as file:
        file.write(with_hole(1), photometric="rgb", extrasamples=["unassalpha"], metadata=None)
        file.write(gray(2), extratags=[(274, 3, 1, 6, True)], resolution=(600, 300), metadata=None)
    color(tmp_path, path)
    with Image.open(tmp_path / "out" / "a.tiff") as after:
        assert after.n_frames == 2
        np.testing.assert_array_equal(np.asarray(after)[..., 3], with_hole(1)[..., 3])
        after.seek(1)
        np.testing.assert_array_equal(np.asarray(after), colorizer.colorize(np.rot90(gray(2), -1)))
        assert after.info["dpi"] == (300, 600)


def test_profile_exif_and_the_mark_of_every_page(tmp_path: Path) -> None:
    """Each page has its own; all are marked as made by an algorithm."""
    singles = []
    for number, artist in enumerate(("Ansel", "Dorothea")):
        exif = Image.Exif()
        exif[315], exif[0x8769] = artist, {0x9003: f"193{number}:05:01 12:00:00"}
        singles.append(tmp_path / f"{number}.tif")
        Image.fromarray(np.dstack([gray(number)] * 3)).save(
            singles[-1], exif=exif.tobytes(), icc_profile=PROFILE, dpi=(300 + number, 300 + number)
        )
    path = tmp_path / "a.tif"
    with path.open("wb") as file:
        joiner = tiff_pages.Joiner(file, 2, 0)
        for single in singles:
            joiner.add(single, single, tiff_pages.inspect(single).pages[0])
    color(tmp_path, path)
    with Image.open(tmp_path / "out" / "a.tif") as after:
        for number, artist in enumerate(("Ansel", "Dorothea")):
            after.seek(number)
            exif = after.getexif()
            assert exif[315] == artist
            assert exif.get_ifd(0x8769)[0x9003] == f"193{number}:05:01 12:00:00"
            assert after.info["icc_profile"] == PROFILE
            assert round(after.info["dpi"][0]) == 300 + number
            assert b"trainedAlgorithmic" in after.tag_v2[700] or "residual" in exif[305].lower()


def test_metadata_of_animations_go_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[315] = "Ansel"
    for name in ("a.png", "b.webp"):
        source = save(
            tmp_path / name, [np.dstack([gray(number)] * 3) for number in range(3)],
            exif=exif.tobytes(), icc_profile=PROFILE,
        )  # fmt: skip
        color(tmp_path, source)
        with Image.open(tmp_path / "out" / name) as after:
            assert after.n_frames == 3
            assert after.getexif()[315] == "Ansel"
            assert after.info["icc_profile"] == PROFILE
            assert "residual" in after.getexif()[305].lower()


def test_big_endian_pages_of_one_bit_and_in_color(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tif"
    rgb = np.dstack([gray(0), gray(1), gray(2)])
    with tifffile.TiffWriter(path, byteorder=">") as file:
        file.write(gray() > 128, photometric="minisblack", metadata=None)
        file.write(rgb, photometric="rgb", metadata=None)
        file.write(gray(dtype=np.uint16), metadata=None)
    summary, rows = color(tmp_path, path)
    assert summary.colored == 1 and rows["a.tif"]["pages"] == 3
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        one_bit = np.where(gray() > 128, 255, 0).astype(np.uint8)
        for page, shades in zip(file.pages, (one_bit, rgb, gray(dtype=np.uint16)), strict=True):
            np.testing.assert_array_equal(page.asarray(), colorizer.colorize(shades))


@pytest.mark.parametrize("bit", [False, True])
def test_a_pyramid_is_one_picture(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture, bit: bool
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for level in range(3):
            shades = gray(0, 192 >> level, 256 >> level)
            kind = int(bit and level > 0)
            file.write(shades, tile=(32, 32), subfiletype=kind, metadata=None)
    summary, rows = color(tmp_path, path)
    assert summary.colored == 1 and rows["a.tif"]["pages"] == 1
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert len(file.pages) == 1
        np.testing.assert_array_equal(
            file.pages[0].asarray(), colorizer.colorize(gray(0, 192, 256))
        )
    what = "reduced-resolution pictures" if bit else "pyramid levels"
    assert f"left out, since it is no page: 2 {what}" in capfd.readouterr().err


def test_a_thumbnail_before_the_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(0, 12, 16), subfiletype=1, metadata=None)
        file.write(gray(0), metadata=None)
    color(tmp_path, path)
    written = tifffile.imread(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(written, colorizer.colorize(gray(0)))


def test_one_page_is_an_ordinary_picture(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", gray(), metadata=None)
    assert pages.inspect(tmp_path / "a.tif") is None
    _, rows = color(tmp_path, tmp_path / "a.tif")
    assert rows["a.tif"]["pages"] is None and not rows["a.tif"]["notes"]
    assert not capfd.readouterr().err


def test_a_bad_page_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(), metadata=None)
        file.write(gray().astype(np.float32), metadata=None)
    summary, rows = color(tmp_path, path)
    assert "a.tif has a page 2 that has float32 samples" in summary.failed[path]
    assert rows["a.tif"]["output"] is None
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_holds_one_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read_so_far, most = tmp_path / "a.tif", list[weakref.ref](), 0
    with tifffile.TiffWriter(path) as file:
        for number in range(6):
            file.write(gray(number), metadata=None)
    read = image_io.read

    class Tracked(np.ndarray):
        """Can be found while it is held."""

    def tracked(name: Path, max_pixels: int | None = None) -> image_io.Picture:
        nonlocal most
        picture = read(name, max_pixels)
        pixels = picture.pixels.view(Tracked)
        read_so_far.append(weakref.ref(pixels))
        most = max(most, sum(pixels() is not None for pixels in read_so_far))
        return image_io.Picture(pixels, picture.alpha, picture.metadata)

    monkeypatch.setattr(image_io, "read", tracked)
    color(tmp_path, path)
    assert most == 1


def test_an_interrupted_run_leaves_nothing_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(n) for n in range(3)])
    original, calls = batch.colorize_to_files, []

    def stopping(*arguments: object) -> list[str]:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "colorize_to_files", stopping)
    with pytest.raises(KeyboardInterrupt):
        color(tmp_path, folder)
    (tmp_path / "report.jsonl").unlink()
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.setattr(batch, "colorize_to_files", original)
    (tmp_path / "out" / "b.gif.png").write_bytes(b"was there")
    summary, _ = color(tmp_path, folder, skip_existing=True)
    assert summary == (1, {}, 1)
    assert (tmp_path / "out" / "b.gif.png").read_bytes() == b"was there"
    assert color(tmp_path, folder, skip_existing=True)[0] == (0, {}, 2)
    assert len(color(tmp_path, folder)[0].failed) == 2  # neither is replaced without overwrite
    assert color(tmp_path, folder, overwrite=True)[0] == (2, {}, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "b.gif.png"]


def test_pages_that_are_to_be_kept(tmp_path: Path, colorizer: Colorizer) -> None:
    """Such as those in color already: they go along; a file of nothing else is not written."""
    rgb, path, target = (
        np.dstack([gray(0), gray(1), gray(2)]),
        tmp_path / "a.tif",
        tmp_path / "b.tif",
    )
    with tifffile.TiffWriter(path) as file:
        file.write(rgb, photometric="rgb", metadata=None)
        file.write(gray(dtype=np.uint16), metadata=None)

    def color_one(picture: image_io.Picture, part: Path, parts: list[Path]) -> list[str]:
        batch.colorize_to_files(colorizer, picture, part, parts)
        return []

    several = pages.inspect(path)
    assert several is not None
    done = pages.colorize_pages(
        colorizer, several, target, [target], color_one, keep=lambda picture: picture.has_color
    )
    assert done.colored == 2 and done.notes == ("page 1: left as it is",)
    with tifffile.TiffFile(target) as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), rgb)
        np.testing.assert_array_equal(
            file.pages[1].asarray(), colorizer.colorize(gray(dtype=np.uint16))
        )
    target.unlink()
    gif = save(tmp_path / "c.gif", [gray(number) for number in range(3)])
    for source in (path, gif):
        several = pages.inspect(source)
        assert several is not None
        done = pages.colorize_pages(
            colorizer, several, target, [target], color_one, keep=lambda _: True
        )
        assert done.colored == 0 and not target.exists()


def test_compare_has_all_pages_too(tmp_path: Path, colorizer: Colorizer) -> None:
    color(tmp_path, document(tmp_path / "a.tif"), compare=True)
    with tifffile.TiffFile(tmp_path / "out" / "a_compare.tif") as file:
        assert [page.shape[:2] for page in file.pages] == [(48, 128), (30, 80), (20, 62)]
        np.testing.assert_array_equal(
            file.pages[2].asarray()[:, 31:], colorizer.colorize(gray(2, 20, 31))
        )


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


# --- what a format has no place for ---------------------------------------------------------------


def test_what_jpeg_cannot_hold_is_told_and_counted(
    tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(number) for number in range(5)])
    save(folder / "c.png", [gray(number) for number in range(2)])
    summary, rows = color(tmp_path, folder, format="jpeg")
    assert summary == (3, {}, 0) and summary.not_colored == 2 + 4 + 1
    assert [rows[name]["not_colored"] for name in ("a.tif", "b.gif", "c.png")] == [2, 4, 1]
    assert (rows["a.tif"]["pages"], rows["b.gif"]["frames"]) == (1, 1)
    errors = capfd.readouterr().err
    assert "a.tif: pages 2 to 3 were not colored: JPEG holds a single picture" in errors
    assert "b.gif: frames 2 to 5 were not colored: JPEG holds" in errors
    assert "c.png: frame 2 was not colored: JPEG holds" in errors
    assert "--format=tiff keeps all" in errors and "--format=png or webp keeps all" in errors
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        np.testing.assert_allclose(
            image_io.read(tmp_path / "out" / name).pixels, colorizer.colorize(gray()), atol=12
        )


def test_an_animation_into_tiff_and_pages_into_png(tmp_path: Path) -> None:
    gif = save(tmp_path / "a.gif", [gray(number) for number in range(3)])
    assert color(tmp_path, gif, format="tiff")[1]["a.gif"]["not_colored"] == 2
    assert (
        color(tmp_path, document(tmp_path / "b.tif"), format="png")[1]["b.tif"]["not_colored"] == 2
    )


# --- pipes, Python, the archive -------------------------------------------------------------------


def test_the_command_as_a_filter(tmp_path: Path, soft_weights: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for sides in ((48, 64), (30, 40), (20, 31)):
            file.write(gray(0, *sides), metadata=None)
    data = (tmp_path / "a.tif").read_bytes()
    command = [sys.executable, str(ROOT / "tools" / "colorize.py"), "-", "--output=-"]
    done = subprocess.run([*command, f"--model={soft_weights}"], input=data, capture_output=True)
    assert done.returncode == 0
    with tifffile.TiffFile(io.BytesIO(done.stdout)) as file:
        assert [page.shape for page in file.pages] == [(48, 64, 3), (30, 40, 3), (20, 31, 3)]


def test_the_command_counts(tmp_path: Path, soft_weights: Path) -> None:
    save(tmp_path / "in" / "a.gif", [gray(number) for number in range(5)])
    command = [sys.executable, str(ROOT / "tools" / "colorize.py"), str(tmp_path / "in")]
    options = [f"--output={tmp_path / 'out'}", "--format=jpeg", f"--model={soft_weights}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0
    assert "1 colored, 0 failed" in done.stdout and "4 pages or frames not colored" in done.stdout


def test_colorize_file_colors_all(tmp_path: Path, colorizer: Colorizer) -> None:
    source, target = document(tmp_path / "a.tif"), tmp_path / "b.tif"
    with pytest.warns(UserWarning, match="1 SubIFD"):
        colorizer.colorize_file(source, target, saturation=0)
    with tifffile.TiffFile(target) as file:
        assert len(file.pages) == 3
        assert all(np.ptp(page.asarray(), axis=-1).max() == 0 for page in file.pages)
    gif, target = (
        save(tmp_path / "c.gif", [gray(number) for number in range(3)]),
        tmp_path / "d.webp",
    )
    with pytest.warns(UserWarning, match="3 frames, written as an animated WebP"):
        colorizer.colorize_file(gif, target, saturation=0)
    for pixels, _ in shown(target):
        assert np.ptp(pixels[..., :3], axis=-1).max() <= 2
    with pytest.warns(UserWarning, match="frames 2 to 3 were not colored"):
        colorizer.colorize_file(gif, tmp_path / "e.jpg")


def test_the_archive_writes_the_same(tmp_path: Path, colorizer: Colorizer) -> None:
    from residual_encoder.apps.archive import worker
    from residual_encoder.apps.archive.tasks import Task

    folder = tmp_path / "in"
    document(folder / "a.tif"), save(folder / "b.gif", [gray(number) for number in range(5)])
    color(tmp_path, folder)
    for name, facts in (("a.tif", {"pages": 3}), ("b.gif.png", {"frames": 5})):
        source = folder / name.removesuffix(".png")
        target = tmp_path / "archive" / name
        row = json.loads(worker.color(colorizer, Task(str(source), str(target), name=str(source))))
        assert row["output"] == str(target) and facts.items() <= row.items()
        assert target.read_bytes() == (tmp_path / "out" / name).read_bytes()
        assert row["notes"]


# --- names and kinds ------------------------------------------------------------------------------


def test_pictures_are_known_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(gray()).save(folder / "photo.jpg")
    (folder / "photo.jpg").rename(folder / "photo.jfif")
    Image.fromarray(gray()).save(folder / "scan.tif")
    (folder / "scan.tif").rename(folder / "scan0001")
    save(folder / "moving.gif", [gray(number) for number in range(3)])
    (folder / "moving.gif").rename(folder / "moving")
    (folder / "README").write_text("no picture")
    (folder / "Makefile").write_text("all:\n")
    summary, rows = color(tmp_path, folder)
    assert summary == (3, {}, 0)
    assert sorted(rows) == ["moving", "photo.jfif", "scan0001"]
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "moving.png", "photo.jfif.jpg", "scan0001.tiff"
    ]  # fmt: skip
    formats = [Image.open(path).format for path in sorted(out.iterdir())]
    assert formats == ["PNG", "JPEG", "TIFF"]
    assert len(list(shown(out / "moving.png"))) == 3


def test_heic_is_read(tmp_path: Path, colorizer: Colorizer, capfd: pytest.CaptureFixture) -> None:
    package = pytest.importorskip("pillow_heif")
    (tmp_path / "in").mkdir()
    picture = package.from_bytes("L", (64, 48), gray().tobytes())
    picture.save(tmp_path / "in" / "photo.HEIC", quality=-1)
    summary, rows = color(tmp_path, tmp_path / "in")
    assert summary == (1, {}, 0) and "HEIC" in rows["photo.HEIC"]["notes"][0]
    written = image_io.read(tmp_path / "out" / "photo.HEIC.png").pixels
    np.testing.assert_array_equal(written, colorizer.colorize(gray()))
    assert "photo.HEIC: HEIC is read only" in capfd.readouterr().err


def test_without_the_package_heic_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(heif, "available", lambda: False)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.heic", "b.HEIC", "c.heif"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ValueError, match=r"3 HEIC files cannot be read here: pip install"):
        color(tmp_path, folder)
    Image.fromarray(gray()).save(folder / "d.png")
    (folder / "e.png").write_bytes(b"broken")
    summary, rows = color(tmp_path, folder)
    assert (summary.colored, len(summary.failed), len(summary.left_out)) == (1, 1, 3)
    assert all("pip install pillow-heif" in rows[name]["left_out"] for name in ("a.heic", "c.heif"))
    assert capfd.readouterr().err.startswith("3 HEIC files cannot be read here: pip install")
    named, rows = color(tmp_path, folder / "a.heic")  # it was asked for: that is a failure
    assert len(named.failed) == 1 and "pip install" in rows["a.heic"]["error"]


def test_other_kinds_are_left_out_with_a_line_and_a_row(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "raw.nef", gray(), metadata=None)  # begins like a TIFF
    for name in ("a.psd", "b.psd", "c.jxl"):
        (folder / name).write_bytes(b"...")
    Image.fromarray(gray()).save(folder / "d.png")
    summary, rows = color(tmp_path, folder)
    assert summary == (1, {}, 0) and len(summary.left_out) == 4
    assert sorted(name for name, row in rows.items() if row["left_out"]) == [
        "a.psd", "b.psd", "c.jxl", "raw.nef"
    ]  # fmt: skip
    assert "cannot be read" in capfd.readouterr().err


def test_animations_and_documents_are_told_apart(tmp_path: Path) -> None:
    gif = save(tmp_path / "a.gif", [gray(number) for number in range(3)])
    assert isinstance(pages.inspect(gif), animations.Animation)
    assert isinstance(pages.inspect(document(tmp_path / "b.tif")), pages.Document)
    for data in (b"", b"II*\0", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0\xff\xff\xff\xff"):
        (tmp_path / "c").write_bytes(data)
        try:
            assert pages.inspect(tmp_path / "c") is None
        except ValueError as error:
            assert str(tmp_path / "c") in str(error)
