"""The choice of colors is fixed in what is exported, and smoothing is part of it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.export import float16_weights, litert
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import CARD, load_network
from residual_encoder.models import weights as weights_files
from residual_encoder.models.vividness import ColorChoice

CHOICE = ColorChoice(1.0, temperature=0.8)  # so the prior correction is 0.3


def run_tool(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "export.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    return np.random.default_rng(1).integers(80, 160, (40, 50), np.uint8)


@pytest.fixture(scope="module")
def exported(distribution_weights: Path) -> Path:
    folder = distribution_weights.parent / "saved"
    done = run_tool(f"--model={distribution_weights}", f"--output={folder}", "--vividness=1",
                    "--temperature=0.8")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_saved_model_has_the_colors_of_the_flags(exported, distribution_weights, gray) -> None:
    network = json.loads((exported / CARD).read_text())["recipe"]["network"]
    assert (network["temperature"], network["prior_correction"]) == (0.8, 0.3)
    assert network["smoothing"] == 1
    fixed, plain = (
        Colorizer(exported).colorize(gray),
        Colorizer(distribution_weights).colorize(gray),
    )
    wanted = Colorizer(distribution_weights, vividness=1, temperature=0.8).colorize(gray)
    assert np.abs(fixed.astype(int) - wanted).max() <= 1
    assert np.abs(fixed.astype(int) - plain).max() > 3


@pytest.mark.parametrize("name", ["vividness", "temperature", "prior_correction"])
def test_saved_model_takes_no_other_choice(exported, name) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be set.*fixed at export.*export.py"):
        Colorizer(exported, **{name: 0.5})


def test_saved_model_takes_none_for_one_call(exported, gray) -> None:
    fixed = Colorizer(exported)
    assert not fixed.has_distribution
    with pytest.raises(ValueError, match="fixed at export"):
        fixed.colorize(gray, vividness=0.5)


def test_export_without_a_distribution_names_saturation(soft_weights, tmp_path) -> None:
    for form in ("savedmodel", "litert", "weights"):
        output = tmp_path / {"litert": "a.tflite", "weights": "a.weights.h5"}.get(form, "a")
        flags = f"--model={soft_weights}", f"--output={output}", f"--format={form}"
        done = run_tool(*flags, "--vividness=0.5")
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and "--saturation" in line
    assert not list(tmp_path.iterdir())


def test_weights_file_has_the_choice_in_its_recipe(distribution_weights, tmp_path) -> None:
    plain, changed = tmp_path / "plain.weights.h5", tmp_path / "changed.weights.h5"
    float16_weights.release(distribution_weights, plain)
    float16_weights.release(distribution_weights, changed, colors=CHOICE)
    assert weights_files.read_recipe(plain) == weights_files.read_recipe(distribution_weights)
    recipes = [Colorizer(path).recipe for path in (plain, changed)]
    network = CHOICE.applied(recipes[0].network)
    assert recipes[1] == dataclasses.replace(recipes[0], network=network)
    ours, theirs = (weights_files.read_arrays(path)[0] for path in (plain, changed))
    assert all(np.array_equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_litert_smooths_and_chooses_as_the_network(distribution_weights, tmp_path) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    pytest.importorskip("litert_quantizer", reason="LiteRT's quantizer is not installed")
    path = tmp_path / "a.tflite"
    config = litert.LitertConfig(str(distribution_weights), str(path), colors=CHOICE)
    litert.export_litert(config)  # which compares it with the network
    gray = np.random.default_rng(2).random((1, 48, 80, 1), np.float32)  # free sizes
    chosen, plain = (
        load_network(distribution_weights, colors).network(gray)
        for colors in (CHOICE, ColorChoice())
    )
    found = litert.runner(path.read_bytes())(gray)
    np.testing.assert_allclose(found, chosen, atol=litert.FLOAT16_TOLERANCE)
    assert np.abs(found - plain).max() > 3 * litert.FLOAT16_TOLERANCE
