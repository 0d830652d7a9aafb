"""Files of several pictures, and what becomes of them in a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from residual_encoder.inference.batch import BatchConfig, BatchSummary, colorize_files

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TIMES = [40, 50, 60, 70, 80]


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


def collection(path: Path) -> Path:
    """A HEIC of three pictures; the second, of 64 x 48 pixels, is the main one."""
    package = pytest.importorskip("pillow_heif")
    made = package.from_bytes("L", (32, 32), bytes(32 * 32))
    made.add_frombytes("L", (64, 48), gray().tobytes())
    made.add_frombytes("L", (16, 16), bytes(16 * 16))
    path.parent.mkdir(exist_ok=True)
    made.save(path, quality=-1, primary_index=1)
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
