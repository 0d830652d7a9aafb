"""Trains on rendered scenes, evaluates, exports and colors in minutes, with one report page.

The page also has photographs as the shipped weights color them.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder import models
from residual_encoder.data import sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import html_report, image_grids, plots, tables
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.evaluation.html_report import Figure, Section
from residual_encoder.export.saved_model import export_saved_model
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import diagram
from residual_encoder.recipes import RECIPES, Recipe
from residual_encoder.training.run import TrainConfig
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics
from residual_encoder.utils import files

# VGG16's weights are not in the package, so the quick start trains a trunk from scratch, with batch
# norm. Sizes and steps are what two CPU cores do in about three minutes.
RECIPE = dataclasses.replace(
    RECIPES["modern"],
    name="tour",  # in the workdirs of earlier versions, which are resumed
    trunk_batch_norm=True,
    batch_size=16,
    steps=300,
    warmup_steps=30,
    image_size=64,
    min_crop=0.8,
)
SCENES = DataConfig("synthetic", synthetic_size=2000)

# Run in a process of its own that knows TensorFlow and not this package.
COLOR_FILES = """
import sys, pathlib
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
for source, target in zip(sys.argv[2::2], sys.argv[3::2]):
    picture = tf.constant([pathlib.Path(source).read_bytes()])
    colored = model.signatures["colorize_bytes"](image_bytes=picture)["png_bytes"]
    pathlib.Path(target).write_bytes(colored.numpy()[0])
"""


@dataclass(frozen=True)
class QuickstartConfig:
    """Describes where the results go and how long it trains.

    Attributes:
      workdir: Folder for everything it makes; run again, it resumes.
      steps: Training steps; None is the number of `RECIPE`.
    """

    workdir: str
    steps: int | None = None


def quickstart(config: QuickstartConfig) -> Path | None:
    """Trains, evaluates, exports and colors.

    Returns:
      The page, `report.html` in the workdir; None where a signal stopped the training.

    Raises:
      OSError: the workdir cannot be written.
      ValueError: the workdir belongs to another run.
    """
    folder = Path(config.workdir)
    recipe = dataclasses.replace(RECIPE, steps=config.steps or RECIPE.steps)
    training = TrainConfig(
        recipe,
        SCENES,
        str(folder / "training"),
        vgg16_weights="none",
        eval_every=0,
        checkpoint_every=max(1, recipe.steps // 3),
        log_every=max(1, recipe.steps // 30),
    )
    print(f"1/5 Training on rendered scenes, {recipe.steps} steps", file=sys.stderr)
    if train(training).interrupted:
        return None
    print("2/5 Evaluating on scenes it has not seen", file=sys.stderr)
    evaluation = _evaluated(training)
    print("3/5 Exporting a SavedModel and checking it", file=sys.stderr)
    saved_model = folder / "saved_model"
    if not saved_model.exists():
        export_saved_model(training.workdir, saved_model)
    print("4/5 Coloring with it in a fresh process", file=sys.stderr)
    pictures = dict(_color_with(saved_model, folder))
    print("5/5 Coloring photographs with the shipped weights", file=sys.stderr)
    shipped = dict(_color_with_shipped(folder / "shipped"))
    page = folder / "report.html"
    files.write_text(page, _page(recipe, training, evaluation, pictures, shipped))
    return page


def _evaluated(training: TrainConfig) -> dict[str, Any]:
    """Writes and returns the report on held-out scenes."""
    return evaluate_model(
        EvaluateConfig(
            SCENES,
            str(Path(training.workdir) / "evaluation.json"),
            image_size=training.recipe.image_size,
            overwrite=True,
        ),
        Colorizer(training.workdir, engine="tensorflow"),
    )


def _color_with(saved_model: Path, folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Colors the gray pictures in a process of its own; yields names and strips."""
    originals = {**dict(sample_images.rendered()), **dict(sample_images.photographs())}
    places = {}
    for name, rgb in originals.items():
        source, target = folder / "gray" / f"{name}.png", folder / "color" / f"{name}.png"
        for place in (source, target):
            place.parent.mkdir(parents=True, exist_ok=True)
        image_io.write(source, sample_images.luma_u8(rgb))
        places[name] = source, target
    _color_alone(saved_model, [str(place) for pair in places.values() for place in pair])
    for name, (source, target) in places.items():
        yield (
            name,
            image_grids.strip(
                image_io.read(source).rgb, image_io.read(target).rgb, originals[name]
            ),
        )


def _color_alone(saved_model: Path, places: list[str]) -> None:
    """Runs `COLOR_FILES` on sources and targets in turns.

    Raises:
      ValueError: it fails; the message has the last line of its errors.
    """
    done = subprocess.run(
        [sys.executable, "-c", COLOR_FILES, str(saved_model), *places],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(
            f"Coloring with {saved_model} in a process of its own failed: {reason}. Remove that "
            "folder to export it anew."
        )


def _color_with_shipped(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Colors scikit-image's photographs as tools/colorize.py does; yields names and strips."""
    colorizer = Colorizer(engine="tensorflow")  # which is loaded already
    folder.mkdir(exist_ok=True)
    for name, rgb in sample_images.photographs():
        gray = sample_images.luma_u8(rgb)
        output = colorizer.colorize(gray)
        image_io.write(folder / f"{name}.png", output)
        yield name, image_grids.strip(gray, output, rgb)


# --- the page -------------------------------------------------------------------------------------


def _page(
    recipe: Recipe,
    training: TrainConfig,
    evaluation: dict[str, Any],
    pictures: dict[str, np.ndarray],
    shipped: dict[str, np.ndarray],
) -> str:
    last = Path(training.workdir) / "samples" / f"{recipe.steps}.jpg"
    return html_report.html(
        "Residual encoder: quick start",
        [
            Section(
                "What ran",
                [
                    f"A residual encoder trained from scratch for {recipe.steps} steps of "
                    f"{recipe.batch_size} rendered scenes at {recipe.image_size} pixels, on this "
                    "machine. It has seen no photograph: the page shows that every part works, "
                    "not how well the method colors.",
                ],
                figures=[_network(recipe)],
            ),
            Section("Training", figures=[*_curve(training), _strips(last)]),
            Section(
                "Against gray, on scenes it has not seen",
                ["The mean of each metric with its 95 % bootstrap interval."],
                tables.metrics_table(
                    {
                        "this model": evaluation,
                        "gray": evaluation["baselines"]["gray"],
                        "true chroma": evaluation["baselines"]["oracle"],
                    }
                ),
            ),
            Section(
                "Colored by the SavedModel in a fresh process",
                ["gray | output | truth. Rendered scenes first, then scikit-image's photographs."],
                figures=[Figure(strip, name) for name, strip in pictures.items()],
            ),
            Section(
                "Photographs, by the shipped weights",
                [
                    "gray | output | truth. These weights were trained on photographs; "
                    "residual_encoder/pretrained/README.md describes how, and what to expect.",
                ],
                figures=[Figure(strip, name) for name, strip in shipped.items()],
            ),
        ],
    )


def _network(recipe: Recipe) -> Figure:
    model = models.build_recipe(recipe)
    drawing = diagram.network_figure(model)
    return Figure(drawing, "The network, drawn from the model")


def _curve(training: TrainConfig) -> list[Figure]:
    rows = read_metrics(training.workdir)
    return [Figure(plots.curve({"loss": rows}), "Training loss by step")]


def _strips(path: Path) -> Figure:
    return Figure(image_io.read(path).rgb, "gray | output | truth at the last step")
