"""tools/reproduce.py and its library: runs made once, restarts, the report."""

import contextlib
import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.data.configs import DataConfig
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.recipes import RECIPES
from residual_encoder.reproduction import (
    comparison_sheets,
    decisions,
    experiments,
    runner,
    step_memory,
)
from residual_encoder.reproduction.claims import CLAIMS
from residual_encoder.reproduction.experiments import BASE, BUDGETS, CODE, HYPERCOLUMN_CODE, Run
from residual_encoder.reproduction.reproduce import ReproduceConfig, reproduce
from residual_encoder.reproduction.runner import Place
from residual_encoder.training import trainer
from residual_encoder.training.run import Diverged
from residual_encoder.training.workdir import read_metrics

SCENES = DataConfig("synthetic", synthetic_size=24)
# Networks without a trunk: a few seconds a run.
TINY = dataclasses.replace(
    BUDGETS["smoke"],
    name="tiny",
    systems=("cnn1", "cnn3"),
    options=(),
    cnns=("cnn1",),
    memory_size=0,
    decisive=True,
)


# --- the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_every_run_is_planned_once_and_fits_its_network(budget):
    runs = experiments.plan(budget, SCENES)
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        assert run.recipe.image_size % run.recipe.multiple == 0
        assert run.recipe.warmup_steps <= run.recipe.steps / 10


def test_small_compares_every_recipe_and_three_seeds():
    runs = {run.name: run for run in experiments.plan(BUDGETS["small"], SCENES)}
    assert set(RECIPES) <= set(runs)
    for name in (BASE, CODE, HYPERCOLUMN_CODE, *map(experiments.changed, experiments.OPTIONS)):
        assert [runs[experiments.seeded(name, seed)].seed for seed in range(3)] == [0, 1, 2]
    compared = [runs[name] for name in RECIPES]
    assert {run.images for run in compared} == {2400}
    assert len([name for name in runs if "development" in name]) == 6 * 3


def test_full_is_the_article():
    runs = {run.name: run for run in experiments.plan(BUDGETS["full"], SCENES)}
    assert runs[BASE].recipe == RECIPES[BASE]  # 156,000 steps of 6 at 224
    few = runs[experiments.developed("cnn6", 1e-3)]
    assert (few.recipe.steps, few.recipe.batch_size, few.recipe.image_size) == (1250, 32, 400)
    assert few.data.train_limit == 200


def test_a_change_is_the_only_change():
    runs = {run.name: run.recipe for run in experiments.plan(BUDGETS["full"], SCENES)}
    for name, field, value in (
        ("plain_loss", "loss", "euclidean"),
        ("elu", "network", dataclasses.replace(RECIPES[BASE].network, activation="elu")),
    ):
        same = dataclasses.replace(RECIPES[BASE], name=experiments.changed(name), **{field: value})
        assert runs[experiments.changed(name)] == same


def test_pix2pix_gets_the_levels_that_a_small_picture_has():
    small = experiments.scaled(RECIPES["pix2pix"], BUDGETS["small"])
    assert len(small.network.widths) == int(math.log2(64))
    assert experiments.is_fitted(small)
    assert not experiments.is_fitted(experiments.scaled(RECIPES["pix2pix"], BUDGETS["full"]))


# --- runs, restarts -------------------------------------------------------------------------------


def stop_after(monkeypatch, steps):
    """As if a signal came after so many steps, over all runs."""
    asked = iter(range(1_000_000))

    @contextlib.contextmanager
    def until():
        yield lambda: next(asked) >= steps

    monkeypatch.setattr(trainer, "_until_signal", until)


@pytest.fixture
def trained(monkeypatch):
    """The workdirs that training was called for, in order."""
    called = []

    def train(config):
        called.append(config.workdir.rsplit("/", 1)[-1])
        return trainer.train(config)

    monkeypatch.setattr(runner, "train", train)
    return called


CNN1, CNN3, FEW = "cnn1", "cnn3", "cnn1-development-rate0.001"


def _logged_steps(workdir):
    return [row["step"] for row in read_metrics(workdir) if "loss" in row]


@pytest.mark.slow
def test_killed_between_and_inside_runs_it_trains_nothing_twice(tmp_path, monkeypatch, trained):
    config = ReproduceConfig(SCENES, str(tmp_path), TINY, "none")
    with monkeypatch.context() as patch:
        stop_after(patch, 4 + 2)  # the four steps of cnn1, two of cnn3
        stopped = reproduce(config)
    assert stopped.unfinished == [CNN3, FEW]
    assert "Not finished: cnn3" in stopped.page.read_text()
    assert trained == [CNN1, CNN3]
    assert _logged_steps(tmp_path / "runs" / CNN3) == [1, 2]

    weights = tmp_path / "runs" / CNN1 / "checkpoints" / "best.weights.h5"
    before = weights.stat().st_mtime_ns
    done = reproduce(config)
    assert done.unfinished == []
    assert trained == [CNN1, CNN3, CNN3, FEW]
    assert weights.stat().st_mtime_ns == before
    assert _logged_steps(tmp_path / "runs" / CNN3) == [1, 2, 3, 4]

    reproduce(config)  # all is there: only the report is written
    assert trained == [CNN1, CNN3, CNN3, FEW]
    _check_report(tmp_path)
    with pytest.raises(ValueError, match="run of other settings"):
        reproduce(dataclasses.replace(config, budget=dataclasses.replace(TINY, images=8)))


def _check_report(folder):
    page = (folder / "report.html").read_text()
    rows = json.loads((folder / "report.json").read_text())
    assert [row["name"] for row in rows["claims"]] == [claim.name for claim in CLAIMS]
    for row in rows["claims"]:
        assert row["verdict"] in ("held", "did not hold", "not decidable at this budget")
        assert row["figures"] and row["experiment"] and row["source"] and row["rule"]
    assert [row["name"] for row in rows["systems"]] == [CNN1, CNN3]
    assert rows["systems"][0]["trainable"] == 67_458
    assert rows["systems"][0]["auc"]["mean"] > 0
    for text in ("gray: lightness", "true chroma: lightness, lab", "67,458", "GFLOP"):
        assert text in page
    assert 'src="http' not in page
    for name in (comparison_sheets.VALIDATION, comparison_sheets.SHOWCASE):
        assert (
            image_io.read(folder / name).rgb.shape[1] > 4 * comparison_sheets.SIDE
        )  # gray, two nets, truth


def test_a_finished_run_left_what_claims_need(tmp_path):
    run = next(r for r in experiments.plan(TINY, SCENES) if r.name == FEW)
    place = Place(tmp_path, TINY, "none")
    result = runner.finish(run, place)
    assert len(result.photographs["square"]) == TINY.photographs
    assert len(result.training_loss) == TINY.cnn_photographs
    # Mean of the photographs' own squares is the evaluation's pooled one.
    square = result.values("square").mean()
    assert 10 * np.log10(255**2 / square) == pytest.approx(result.mean("psnr_pooled"), abs=1e-3)
    ab = np.sqrt(result.values("ab_square").mean())
    assert ab == pytest.approx(result.mean("rmse_ab"), abs=1e-3)
    assert not list((tmp_path / FEW / "checkpoints").glob("step-*"))
    assert (tmp_path / FEW / "checkpoints" / "best.weights.h5").is_file()


def test_a_run_that_diverges_is_a_result(tmp_path, monkeypatch):
    run = next(r for r in experiments.plan(TINY, SCENES) if r.name == CNN1)

    def diverge(config):
        trainer.train(config)
        raise Diverged("The loss is nan by step 4")

    monkeypatch.setattr(runner, "train", diverge)
    place = Place(tmp_path, TINY, "none")
    assert runner.finish(run, place).failure == "The loss is nan by step 4"
    monkeypatch.setattr(runner, "train", None)  # is not called again
    assert runner.finish(run, place).failure == "The loss is nan by step 4"


def test_a_network_that_predicts_nan_is_a_result(tmp_path, monkeypatch):
    run = next(r for r in experiments.plan(TINY, SCENES) if r.name == CNN1)
    chroma = Colorizer.chroma
    monkeypatch.setattr(Colorizer, "chroma", lambda self, gray: chroma(self, gray) * np.nan)
    result = runner.finish(run, Place(tmp_path, TINY, "none"))
    assert result.failure == "cnn1 predicts chroma that is not finite"
    assert result.about["trainable"] == 67_458


def test_a_run_measured_on_its_way_is_compared_by_its_last_weights(tmp_path):
    """Training keeps the best ones, which were chosen on the photographs of the comparison."""
    recipe = experiments.scaled(RECIPES["cnn1"], TINY)
    run = Run("watched", recipe, SCENES, evaluations=2)
    result = runner.finish(run, Place(tmp_path, TINY, "none"))
    assert result.evaluation["model"]["name"] == runner.LAST
    steps, _ = decisions.watched(result)
    assert steps.tolist() == [2, 4]


# --- memory ---------------------------------------------------------------------------------------


def test_memory_of_a_step_grows_with_the_batch():
    one, eight = (step_memory.step_memory(RECIPES["cnn1"], batch, 128, 2048) for batch in (1, 8))
    adam = 3 * 67_458 + 256  # weights and two moments; moving averages and counters are a few
    assert one.weights == pytest.approx(adam * 4 / step_memory.MIB, rel=0.01)
    # At the least the activations of the first level and their gradients: 32 channels of 64 x 64.
    assert eight.step > 8 * 2 * 32 * 64 * 64 * 4 / step_memory.MIB
    assert eight.step > 2 * one.step
    assert eight.fits and eight.method in step_memory.METHOD


# --- the tool -------------------------------------------------------------------------------------


def tool(*arguments, timeout=600):
    command = [sys.executable, str(ROOT / "tools" / "reproduce.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def test_an_error_is_one_line(tmp_path):
    found = tool(
        "--data=tfrecord", "--data_dir=/nowhere", f"--workdir={tmp_path}", "--budget=smoke"
    )
    assert found.returncode == 1
    assert found.stderr.strip().splitlines()[-1].startswith("reproduce.py: error: /nowhere")
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_smoke(tmp_path):
    arguments = (
        "--data=synthetic",
        f"--workdir={tmp_path}",
        "--budget=smoke",
        "--vgg16_weights=none",
    )
    found = tool(*arguments)
    assert found.returncode == 0, found.stderr
    assert f"Report: {tmp_path / 'report.html'}" in found.stdout
    assert "left" in found.stderr and "retracing" not in found.stderr
    rows = json.loads((tmp_path / "report.json").read_text())
    assert {row["verdict"] for row in rows["claims"]} == {"not decidable at this budget"}
    assert rows["failures"] == {} and rows["unfinished"] == []
    assert set(rows["memory"]) == {CODE, HYPERCOLUMN_CODE}
