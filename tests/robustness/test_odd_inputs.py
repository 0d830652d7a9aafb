"""A folder of odd inputs, colored in one go: each becomes the right picture or a clear line.

What is written is read back by Pillow, tifffile and TensorFlow, which the library does not read
pictures with.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from conftest import ROOT
from helpers.pictures import chunk, saved, tiff
from PIL import Image, ImageOps

from residual_encoder.imaging import image_io
from residual_encoder.inference import batch
from residual_encoder.inference.colorizer import Colorizer

HEIGHT, WIDTH = 24, 40


class Case(NamedTuple):
    """An input and its expected outcome."""

    data: bytes
    error: str | None = None  # a part of the message; None is a picture
    output: str | None = None  # where it has another name
    tolerance: float = 1.01  # of 255, or of 65535 for 16 bits: rounding
    depth: int = 8


def soft(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    """Smooth mid-gray waves: soft colors clip nothing, JPEG keeps them."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    channels = [120 + 30 * np.sin(x / 6 + k) + 20 * np.cos(y / 5 - k) for k in range(4)]
    waves = np.stack(channels[: shape[2]] if len(shape) == 3 else channels[:1], -1)
    waves = waves.reshape(shape) * (257 if dtype == np.uint16 else 1)
    return np.rint(waves).astype(dtype)


def png16(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG, which Pillow does not write in color."""
    if pixels.ndim == 3 and pixels.shape[2] == 2:
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
        head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 4, 0, 0, 0)
        parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    return tf.io.encode_png(pixels if pixels.ndim == 3 else pixels[..., None]).numpy()


def palette(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(soft(HEIGHT, WIDTH, 3)).quantize(16).save(buffer, form, **options)
    return buffer.getvalue()


def turned(orientation: int, form: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[274], exif[0x010E] = orientation, "Grandmother"
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    return saved(soft(HEIGHT, WIDTH, 3), form, exif=exif, **options)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a large picture."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def cases() -> dict[str, Case]:
    gray, rgb, rgba = soft(HEIGHT, WIDTH), soft(HEIGHT, WIDTH, 3), soft(HEIGHT, WIDTH, 4)
    deep = {channels: soft(HEIGHT, WIDTH, channels, dtype=np.uint16) for channels in (2, 3, 4)}
    gray16 = soft(HEIGHT, WIDTH, dtype=np.uint16)
    flat = np.full((HEIGHT, WIDTH, 3), (150, 110, 90), np.uint8)
    clean = {"quality": 100}
    return {
        "gray.png": Case(saved(gray, "PNG")),
        "gray alpha.png": Case(saved(rgba, "PNG", "LA")),
        "one bit.png": Case(saved(gray > 120, "PNG"), tolerance=255),  # black and white clip
        "palette.png": Case(palette("PNG")),
        "palette transparent.png": Case(palette("PNG", transparency=3)),
        "rgb.png": Case(saved(rgb, "PNG")),
        "rgba.png": Case(saved(rgba, "PNG")),
        "gray16.png": Case(png16(gray16), depth=16, tolerance=1.6),
        "gray alpha16.png": Case(png16(deep[2]), depth=16, tolerance=1.6),
        "rgb16.png": Case(png16(deep[3]), depth=16, tolerance=1.6),
        "rgba16.png": Case(png16(deep[4]), depth=16, tolerance=1.6),
        "gray.jpg": Case(saved(gray, "JPEG", **clean), tolerance=4),
        "rgb.jpeg": Case(saved(rgb, "JPEG", **clean), tolerance=4),
        "progressive.JPG": Case(saved(rgb, "JPEG", progressive=True, **clean), tolerance=4),
        "cmyk.jpg": Case(saved(flat, "JPEG", "CMYK", **clean), tolerance=6),
        "gray.webp": Case(saved(gray, "WEBP", lossless=True), tolerance=6),
        "rgba.webp": Case(saved(rgba, "WEBP", lossless=True, exact=True), tolerance=6),
        "gray.bmp": Case(saved(gray, "BMP")),
        "rgb.bmp": Case(saved(rgb, "BMP")),
        "palette.bmp": Case(palette("BMP")),
        "gray.tif": Case(tiff(gray, photometric="minisblack")),
        "gray inverted.tif": Case(tiff(255 - gray, photometric="miniswhite")),
        "gray16.tif": Case(tiff(gray16, photometric="minisblack"), depth=16, tolerance=1.6),
        "rgb16.tiff": Case(tiff(deep[3], photometric="rgb"), depth=16, tolerance=1.6),
        "rgba16.tiff": Case(
            tiff(deep[4], photometric="rgb", extrasamples=["unassalpha"]), depth=16, tolerance=1.6
        ),
        "lzw.tif": Case(saved(rgb, "TIFF", compression="tiff_lzw")),
        "cmyk.tif": Case(saved(flat, "TIFF", "CMYK"), tolerance=6),
        "still.gif": Case(palette("GIF"), output="still.gif.png"),
        "plain.pgm": Case(saved(gray, "PPM"), output="plain.pgm.png"),
        "one pixel.png": Case(saved(gray[:1, :1], "PNG")),
        "1 x 5000.png": Case(saved(soft(5000, 1), "PNG")),
        "5000 x 1.png": Case(saved(soft(1, 5000), "PNG")),
        **{f"turned {k}.jpg": Case(turned(k), tolerance=4) for k in range(1, 9)},
        "turned.png": Case(turned(6, "PNG")),
        "turned.webp": Case(turned(8, "WEBP"), tolerance=20),  # Pillow's is lossy
        "turned.tif": Case(
            tiff(gray, photometric="minisblack", extratags=[(274, "H", 1, 6, True)])
        ),
        "Großmutter, 1923 (日本) 'x'.png": Case(saved(gray, "PNG")),
        "-dash.png": Case(saved(gray, "PNG")),
        "really a png.jpg": Case(saved(rgb, "PNG"), tolerance=4),
        "really a png with alpha.jpg": Case(saved(rgba, "PNG"), "JPEG holds no alpha"),
        "really 16 bits.jpg": Case(png16(gray16), "JPEG holds 8 bits a channel, the picture has"),
        "truncated.jpg": Case(saved(rgb, "JPEG")[:-40], "is a truncated JPEG"),
        "header only.jpg": Case(saved(rgb, "JPEG")[:20], "is a truncated JPEG"),
        "truncated.tif": Case(tiff(rgb, photometric="rgb")[:900], "damaged or truncated"),
        "zero bytes.png": Case(b"", "is empty; a picture file was wanted"),
        "text.png": Case(b"Dear reader", "is no picture: it is text"),
        "document.jpg": Case(b"%PDF-1.7", "is a PDF document|it is a PDF document"),
        "film.jpg": Case(b"\0\0\0\x18ftypisom\0\0\0\0", "HEIC or video file"),
        "zeros.bmp": Case(b"\0" * 5000, "is no picture that can be read"),
        "bomb.png": Case(bomb(60_000, 60_000), "has 60000 x 60000 pixels, 3600 megapixels"),
        "small bomb.png": Case(bomb(12_000, 8_000), "damaged or truncated"),
        "float.tif": Case(tiff(np.zeros((4, 4), np.float32)), "float32 samples"),
    }


CASES = cases()


class Run(NamedTuple):
    """The folder, its outputs, and the messages."""

    source: Path
    output: Path
    summary: batch.BatchSummary
    untouched: bool


def fingerprints(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, soft_weights: Path) -> Run:
    folder = tmp_path_factory.mktemp("odd")
    source, output, away = folder / "in", folder / "out", folder / "away"
    source.mkdir(), away.mkdir()
    for name, case in CASES.items():
        (source / name).write_bytes(case.data)
    (away / "target.png").write_bytes(CASES["gray.png"].data)
    (source / "link.png").symlink_to(away / "target.png")
    (source / "dangling.png").symlink_to(away / "absent.png")
    (source / "folder.png").mkdir()
    (source / "folder.png" / "inside.png").write_bytes(CASES["gray.png"].data)
    os.mkfifo(source / "pipe.png")
    before = fingerprints(folder)
    config = batch.BatchConfig((str(source),), str(output), model=str(soft_weights))
    summary = batch.colorize_files(config)
    after = fingerprints(folder)
    return Run(source, output, summary, before.items() <= after.items())


# --- independent readers --------------------------------------------------------------------------


def read_back(data: bytes, deep: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """(RGB [H, W, 3], alpha or None) of an upright picture, by other libraries."""
    if deep and data.startswith(b"\x89PNG"):
        pixels = tf.io.decode_png(data, dtype=tf.uint16).numpy()
    elif deep:
        pixels = tifffile.imread(io.BytesIO(data))
    else:
        picture: Any = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        has_alpha = "A" in picture.getbands() or "transparency" in picture.info
        pixels = np.asarray(picture.convert("RGBA" if has_alpha else "RGB"))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    alpha = pixels[..., -1] if pixels.shape[2] in (2, 4) else None
    color = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, -1)
    return color, alpha


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.error])
def test_becomes_the_right_picture(name: str, run: Run) -> None:
    case, deep = CASES[name], CASES[name].depth == 16
    written = (run.output / (case.output or name)).read_bytes()
    rgb, alpha = read_back(written, deep)
    truth, truth_alpha = read_back(case.data, deep)
    assert rgb.dtype == truth.dtype == (np.uint16 if deep else np.uint8)
    assert rgb.shape == truth.shape  # upright
    luma = rgb.astype(np.float64) @ [0.299, 0.587, 0.114]
    gray = truth.astype(np.float64).mean(-1)  # the recipe's
    np.testing.assert_allclose(luma, gray, atol=case.tolerance)
    assert np.ptp(rgb.astype(int), axis=-1).max() > (1285 if deep else 5)  # there is color
    if truth_alpha is None:
        assert alpha is None
    else:
        np.testing.assert_array_equal(alpha, truth_alpha)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.error])
def test_becomes_a_clear_line(name: str, run: Run) -> None:
    reason = run.summary.failed[run.source / name]
    assert "\n" not in reason and name in reason
    with pytest.raises(AssertionError, match=CASES[name].error or ""):
        raise AssertionError(reason)
    assert not (run.output / name).exists()


def test_nothing_is_lost_or_left_over(run: Run) -> None:
    assert len(CASES) >= 30 and run.untouched
    wanted = {case.output or name for name, case in CASES.items() if not case.error}
    wanted |= {"link.png", "folder.png/inside.png"}
    found = {str(path.relative_to(run.output)) for path in run.output.rglob("*") if path.is_file()}
    assert found == wanted  # no temporary file either
    assert run.summary.colored == len(wanted)
    bad = {name for name, case in CASES.items() if case.error} | {"dangling.png", "pipe.png"}
    assert {path.name for path in run.summary.failed} == bad


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_exif_goes_along(orientation: int, run: Run) -> None:
    with Image.open(run.output / f"turned {orientation}.jpg") as picture:
        size = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
        assert picture.size == size
        assert picture.getexif()[274] == 1
        assert picture.getexif()[0x010E] == "Grandmother"


def test_what_is_no_file_is_named(run: Run) -> None:
    failed = {path.name: reason for path, reason in run.summary.failed.items()}
    assert "dangling.png" in failed["dangling.png"] and "No such file" in failed["dangling.png"]
    assert "pipe.png is no file" in failed["pipe.png"]


@pytest.fixture
def closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that cannot be listed, also for root."""
    folder, scandir = tmp_path / "in" / "closed", os.scandir
    folder.mkdir(parents=True)

    def guarded(path: Any) -> Any:
        if os.fspath(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    return folder


def test_a_folder_without_permission_is_a_line(
    closed_folder: Path, soft_weights: Path, tmp_path: Path
) -> None:
    (closed_folder.parent / "a.png").write_bytes(CASES["gray.png"].data)
    config = batch.BatchConfig(
        (str(closed_folder.parent),), str(tmp_path / "out"), model=str(soft_weights)
    )
    summary = batch.colorize_files(config)
    assert summary.colored == 1
    assert summary.failed == {closed_folder: f"{closed_folder}: Permission denied"}


@pytest.mark.parametrize("blocked", ["read", "write"])
def test_a_file_without_permission_is_a_line(
    blocked: str, soft_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable = getattr(Path, f"{blocked}_bytes")

    def guarded(path: Path, *arguments: Any) -> Any:
        if path.suffix == ".png":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *arguments)

    monkeypatch.setattr(Path, f"{blocked}_bytes", guarded)
    for name in ("a.png", "b.bmp"):
        with open(tmp_path / name, "wb") as file:
            file.write(CASES["gray.png"].data)
    inputs = (str(tmp_path / "a.png"), str(tmp_path / "b.bmp"))
    config = batch.BatchConfig(inputs, str(tmp_path / "out"), model=str(soft_weights))
    summary = batch.colorize_files(config)
    assert summary.colored == 1 and "Permission denied" in summary.failed[tmp_path / "a.png"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.bmp"]


# --- very large -----------------------------------------------------------------------------------

MEASURE = """
import resource, sys
import numpy as np
from residual_encoder.inference.colorizer import Colorizer
colorizer = Colorizer(sys.argv[1])
colorizer.colorize(np.zeros((90, 120), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
colorizer.colorize_file(sys.argv[2], sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint8, ".jpg"), (np.uint16, ".tif")])
def test_100_megapixels_stay_within_the_stated_memory(
    dtype: type, suffix: str, soft_weights: Path, tmp_path: Path
) -> None:
    """12,000 x 8,000 in a process of its own, beyond what the network itself takes."""
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    image_io.write(source, soft(8000, 12000, dtype=dtype))
    command = [sys.executable, "-c", MEASURE, str(soft_weights), str(source), str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kibibytes = int(done.stdout)
    per_pixel = image_io.BYTES_PER_PIXEL * np.dtype(dtype).itemsize
    assert kibibytes * 1024 < 96e6 * per_pixel
    with Image.open(target) if suffix == ".jpg" else tifffile.TiffFile(target) as written:
        size = written.size[::-1] if suffix == ".jpg" else written.pages[0].shape[:2]
    assert tuple(size) == (8000, 12000)


def test_full_size_differs_from_the_networks_size_by_enlargement_only(soft_weights: Path) -> None:
    """Gray aside, a large picture shrunk again has the chroma that the network predicted."""
    colorizer = Colorizer(soft_weights)
    gray = np.kron(soft(HEIGHT, WIDTH), np.ones((32, 32), np.uint8))
    small = colorizer.network_input(gray)
    said = colorizer.predict(small[None])[0]
    rgb = colorizer.colorize(gray) / np.float32(255)
    large = colorizer.recipe.space.chroma(rgb).numpy()
    shrunk = tf.image.resize(large, said.shape[:2], antialias=True).numpy()
    assert np.abs(shrunk - said)[1:-1, 1:-1].mean() < 0.5 / 255
