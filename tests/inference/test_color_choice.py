"""Vividness in a Colorizer and on the command line, with an untrained network of classes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder.apps.archive import tasks, worker
from residual_encoder.data import sample_images
from residual_encoder.evaluation import metrics
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import load_network, shipped_weights
from residual_encoder.models import any_size, factory, vividness
from residual_encoder.models.vividness import ColorChoice

NUMBERS = ("vividness", "temperature", "prior_correction")


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    x = np.linspace(0, 255, 70)
    return np.rint((x[:, None] + x[None, :50]) / 2).astype(np.uint8)


@pytest.fixture(scope="module")
def colorizer(distribution_weights: Path) -> Colorizer:
    return Colorizer(distribution_weights, precision="float32")


# --- the library ----------------------------------------------------------------------------------


def test_the_default_is_the_recipes_own(colorizer, distribution_weights, gray) -> None:
    """Two steps give what the network as built gives."""
    assert colorizer.has_distribution
    small = colorizer.network_input(gray)[None]
    network = any_size.with_margin(
        load_network(distribution_weights).network, colorizer.recipe.margin
    )
    np.testing.assert_allclose(colorizer.predict(small), network(small), atol=1e-5)


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_changes_the_recipe_and_the_picture(
    colorizer, distribution_weights, gray, name
) -> None:
    changed = Colorizer(distribution_weights, **{name: 0.9})
    wanted = ColorChoice(**{name: 0.9}).applied(colorizer.recipe.network)
    assert changed.recipe == dataclasses.replace(colorizer.recipe, network=wanted)
    assert changed.recipe != colorizer.recipe
    assert np.any(changed.colorize(gray) != colorizer.colorize(gray))


def test_vividness_raises_the_colorfulness_of_a_photograph() -> None:
    """With the shipped weights, at every step of a fourth."""
    colorizer = Colorizer()
    truth = dict(sample_images.photographs())["coffee"]
    gray = sample_images.luma_u8(truth)
    outputs = [colorizer.colorize(gray, vividness=v)[None] for v in (0, 0.25, 0.5, 0.75, 1)]
    found = [metrics.measure(output, truth[None])["colorfulness"][0] for output in outputs]
    assert found == sorted(found) and found[-1] > 1.2 * found[0], found


def test_one_call_equals_a_colorizer_of_that_vividness(
    colorizer, distribution_weights, gray, tmp_path
) -> None:
    other = Colorizer(distribution_weights, vividness=0.7, precision="float32")
    before = colorizer.colorize(gray)
    np.testing.assert_array_equal(colorizer.colorize(gray, vividness=0.7), other.colorize(gray))
    np.testing.assert_array_equal(colorizer.colorize(gray), before)
    image_io.write(tmp_path / "a.png", gray)
    colorizer.colorize_file(tmp_path / "a.png", tmp_path / "b.png", vividness=0.7)
    np.testing.assert_array_equal(image_io.read(tmp_path / "b.png").rgb, other.colorize(gray))


def test_chroma_at_any_size_follows_too(colorizer, distribution_weights, gray) -> None:
    x = gray[None, ..., None] / np.float32(255)
    other = Colorizer(distribution_weights, vividness=1, precision="float32")
    assert np.abs(other.chroma(x) - colorizer.chroma(x)).max() > 1 / 255


def test_logits_are_kept_and_colors_chosen_without_the_network(
    colorizer, gray, monkeypatch
) -> None:
    small = colorizer.network_input(gray)[None]
    logits = colorizer.predict_logits(small)
    margin = colorizer.recipe.margin
    height, width = small.shape[1:3]
    assert logits.shape == (1, (height + 2 * margin) // 4, (width + 2 * margin) // 4, 261)
    wanted = colorizer.predict(small)
    monkeypatch.setattr(colorizer.engine, "logits", None)
    np.testing.assert_array_equal(colorizer.choose_colors(logits), wanted)
    half = colorizer.choose_colors(logits.astype(np.float16), 0.0)
    np.testing.assert_allclose(half, colorizer.choose_colors(logits, 0.0), atol=1e-3)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NUMBERS)
def test_a_recipe_without_a_distribution_names_saturation(soft_weights, name) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be set.*--saturation"):
        Colorizer(soft_weights, **{name: 0.5})


def test_one_call_of_such_a_recipe_too(soft_weights, gray) -> None:
    plain = Colorizer(soft_weights)
    assert not plain.has_distribution
    with pytest.raises(ValueError, match="no distribution to choose colors from.*--saturation"):
        plain.colorize(gray, vividness=0.5)
    with pytest.raises(ValueError, match="no distribution"):
        plain.choose_colors(np.zeros((1, 2, 2, 261), np.float32))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"vividness": 1.5}, "vividness must be 0 to 1. Received 1.5"),
        ({"temperature": 0.0}, "temperature must be 0.01 or more"),
        ({"temperature": 1e-40}, "temperature must be 0.01 or more.*Received 1e-40"),
        ({"prior_correction": -0.1}, "prior_correction must be 0 to 1"),
    ],
)
def test_numbers_out_of_range(distribution_weights, numbers, message) -> None:
    with pytest.raises(ValueError, match=message):
        Colorizer(distribution_weights, **numbers)


# --- what was shipped before ----------------------------------------------------------------------


def test_shipped_weights_color_as_they_would_without_the_choice() -> None:
    """The network's form for inference in one graph, then merged; byte for byte."""
    gray = sample_images.luma_u8(next(iter(sample_images.photographs()))[1])
    shipped = Colorizer(precision="float32")
    loaded = load_network(shipped_weights())
    network = factory.for_inference(loaded.network, loaded.recipe.network)
    network = any_size.with_margin(network, loaded.recipe.margin)
    spec = [tf.TensorSpec([None, None, None, 1], tf.float32)]
    small = shipped.network_input(gray)
    chroma = tf.function(network, spec, autograph=False)(small[None])[0].numpy()
    wanted = shipped.merge(gray, chroma, small)
    difference = np.abs(shipped.colorize(gray).astype(int) - wanted)
    assert difference.max() <= shipped.has_distribution  # two graphs may round a half either way


# --- the command line -----------------------------------------------------------------------------


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, f"tools/{tool}.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_flags_of_colorize(distribution_weights, gray, tmp_path) -> None:
    image_io.write(tmp_path / "a.png", gray)
    flags = "--vividness=1", "--temperature=0.9", "--prior_correction=0.2"
    source, model = tmp_path / "a.png", f"--model={distribution_weights}"
    done = run("colorize", source, f"--output={tmp_path / 'out'}", model, *flags)
    assert done.returncode == 0, done.stderr
    wanted = Colorizer(distribution_weights, temperature=0.9, prior_correction=0.2)
    np.testing.assert_array_equal(
        image_io.read(tmp_path / "out" / "a.png").rgb, wanted.colorize(gray)
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_flags_of_colorize_without_a_distribution(soft_weights, gray, tmp_path, name) -> None:
    image_io.write(tmp_path / "a.png", gray)
    arguments = tmp_path / "a.png", f"--output={tmp_path / 'out'}", f"--model={soft_weights}"
    done = run("colorize", *arguments, f"--{name}=0.5")
    loading, line = done.stderr.splitlines()
    assert loading.startswith("Loading")
    assert done.returncode == 1 and f"{name} cannot be set" in line and "--saturation" in line
    assert not (tmp_path / "out" / "a.png").exists()


def test_report_of_evaluate_has_the_setting(distribution_weights, tmp_path) -> None:
    output = tmp_path / "report.json"
    done = run("evaluate", "--data=synthetic", "--limit=1", "--image_size=32", "--vividness=0.5",
               f"--output={output}", f"--model={distribution_weights}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = json.loads(output.read_text())["model"]
    point = vividness.point(0.5)
    assert (model["temperature"], model["prior_correction"]) == pytest.approx(point[1:])


@pytest.mark.parametrize("tool", ["demo", "evaluate", "sample_sheet"])
def test_flags_of_other_tools_without_a_distribution(soft_weights, tmp_path, tool) -> None:
    output = tmp_path / "out.png"
    flags = {"demo": ["--port=0"], "evaluate": ["--data=synthetic", f"--output={output}"],
             "sample_sheet": [f"--output={output}"]}  # fmt: skip
    done = run(tool, f"--model={soft_weights}", "--vividness=0.5", *flags[tool])
    assert done.returncode == 1
    assert "vividness cannot be set" in done.stderr.splitlines()[-1]
    assert not output.exists()


def test_workers_of_an_archive_take_the_numbers(distribution_weights) -> None:
    numbers = {"vividness": 0.5, "temperature": 0.7}
    config = tasks.CollectionConfig(("a",), "b", model=str(distribution_weights), **numbers)
    wanted = ColorChoice(**numbers).applied(load_network(distribution_weights).recipe.network)
    assert worker.load(config).recipe.network == wanted


@pytest.mark.parametrize(
    "value", ["--vividness=1.1", "--prior_correction=-1", "--temperature=1e-40"]
)
def test_flags_out_of_range_are_one_line(tmp_path, value) -> None:
    done = run("colorize_archive", "a", f"--output={tmp_path}", value)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and value.split("=")[0].strip("-") in line
