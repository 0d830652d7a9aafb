"""Training: it learns, frozen is frozen, it resumes bit-equally, and it stops cleanly."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, SMALL
from helpers.training_runs import ONE, SCENES, TINY, config, saved, small_square

from residual_encoder import models
from residual_encoder.data import sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.imaging import colorspace
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights
from residual_encoder.recipes import Recipe
from residual_encoder.training import checkpoints, learner
from residual_encoder.training.learner_factory import make_learner
from residual_encoder.training.optimizers import make_optimizer
from residual_encoder.training.run import Diverged
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics
from residual_encoder.utils import devices

# --- one step -------------------------------------------------------------------------------------


def one_step(recipe, rgb, build=models.build):
    model = build(
        recipe.network, train_trunk=recipe.train_trunk, frozen_blocks=recipe.frozen_blocks
    )
    optimizer = make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    return model, optimizer, learner.make_step(model, optimizer, recipe, ONE)


def test_frozen_is_frozen_and_everything_else_moves(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    model, _, step = one_step(TINY, rgb)
    before = {v.path: v.numpy() for v in model.weights}
    for _ in range(2):
        step(rgb)
    for variable in model.weights:
        moved = np.any(variable.numpy() != before[variable.path])
        assert moved != variable.path.startswith("block"), variable.path


def test_fine_tuning_moves_the_blocks_that_are_not_frozen(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    recipe = dataclasses.replace(TINY, train_trunk=True, frozen_blocks=3)
    model, _, step = one_step(recipe, rgb)
    before = {v.path: v.numpy() for v in model.get_layer("vgg16").weights}
    step(rgb)
    for variable in model.get_layer("vgg16").weights:
        moved = np.any(variable.numpy() != before[variable.path])
        assert moved == variable.path.startswith("block4"), variable.path


def test_the_step_is_plain_gradient_descent(rng):
    """One SGD step against a gradient taken by hand: w - 0.1 g."""
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    model, _, step = one_step(TINY, rgb)
    kernel = model.get_layer("color2").kernel
    truth = colorspace.split(rgb, colorspace.YUV, "mean")
    with tf.GradientTape() as tape:
        loss = learner.LOSS_FUNCTIONS[TINY.loss](truth, model(truth.gray, training=True))
    expected = kernel.numpy() - 0.1 * tape.gradient(loss, kernel.value).numpy()
    assert float(step(rgb)) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_overfits_four_photographs():
    """With the article's own optimizer. Gray would be at 60 % of the first loss."""
    rgb = np.stack([small_square(rgb, 32) for _, rgb in sample_images.photographs()])
    _, _, step = one_step(dataclasses.replace(TINY, image_size=32), rgb)
    first = float(step(rgb))
    losses = [float(step(rgb)) for _ in range(250)]
    assert max(losses[-10:]) < 0.2 * first


def test_the_step_traces_once(rng):
    _, _, step = one_step(TINY, None)
    for _ in range(3):
        step(tf.constant(rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)))
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "lamb"])
def test_every_optimizer_descends(optimizer, rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    recipe = dataclasses.replace(TINY, optimizer=optimizer, learning_rate=0.003)
    _, _, step = one_step(recipe, rgb)
    losses = [float(step(rgb)) for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_trunk_steps_at_its_own_rate(optimizer, rng):
    rgb = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    moved = {}
    for rate in (1.0, 0.25):
        recipe = dataclasses.replace(
            SMALL, optimizer=optimizer, learning_rate=1e-3, train_trunk=True, trunk_rate=rate
        )
        keras.utils.set_random_seed(0)
        one = make_learner(recipe, ONE, precision="float32", jit=False)
        before = {v.path: v.numpy() for v in one.model.trainable_variables}
        one.step(rgb)
        moved[rate] = {v.path: v.numpy() - before[v.path] for v in one.model.trainable_variables}
    for path, step in moved[1.0].items():
        factor = 0.25 if path.startswith("block") else 1.0
        np.testing.assert_allclose(moved[0.25][path], factor * step, rtol=1e-3, atol=2e-7)


def test_the_average_of_the_weights_by_hand(rng):
    recipe = dataclasses.replace(SMALL, ema=0.75)
    one = make_learner(recipe, ONE, precision="float32", jit=False)
    variable = one.model.get_layer("color4").kernel
    average = None
    for _ in range(3):
        one.step(rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
        value = variable.numpy()
        average = value if average is None else 0.75 * average + 0.25 * value
    with learner.averaged(one):
        np.testing.assert_allclose(variable, average, rtol=1e-5)
    np.testing.assert_array_equal(variable, value)
    assert np.any(average != value)


def test_before_the_first_step_there_is_no_average():
    one = make_learner(dataclasses.replace(SMALL, ema=0.75), ONE, precision="float32", jit=False)
    value = one.model.get_layer("color4").kernel.numpy()
    with learner.averaged(one):
        np.testing.assert_array_equal(one.model.get_layer("color4").kernel, value)


def test_cosine_schedule_by_hand():
    recipe = dataclasses.replace(
        TINY, schedule="cosine", learning_rate=0.4, steps=110, warmup_steps=10
    )
    rate = make_optimizer(recipe)._learning_rate
    assert float(rate(0)) == 0
    assert float(rate(5)) == pytest.approx(0.2)
    assert float(rate(10)) == pytest.approx(0.4)
    assert float(rate(60)) == pytest.approx(0.2)  # half-way down
    assert float(rate(110)) == pytest.approx(0, abs=1e-7)


def test_xla_step_equals_the_plain_one(rng):
    rgb = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    results = []
    for jit in (False, True):
        keras.utils.set_random_seed(3)
        model = models.build(TINY.network)
        optimizer = make_optimizer(TINY)
        optimizer.build(model.trainable_variables)
        loss = learner.make_step(model, optimizer, TINY, ONE, jit)(rgb)
        results.append((float(loss), model.get_layer("uv").kernel.numpy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-5)


# --- a run ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, train(
        config(workdir, eval_every=4, eval_limit=3, eval_losses=("tinyclouds_code",))
    )


def logged_losses(workdir):
    return [(row["step"], row["loss"]) for row in read_metrics(workdir) if "loss" in row]


def test_what_a_run_leaves(trained):
    workdir, outcome = trained
    about = json.loads((workdir / "config.json").read_text())
    assert about["trainable_parameters"] == 504_407
    assert about["frozen_parameters"] == 7_635_264
    assert about["recipe"]["steps"] == 4 and about["versions"]["tensorflow"] == tf.__version__
    rows = read_metrics(workdir)
    active = [row for row in rows if "active" in row]
    assert [row["step"] for row in active] == [2, 4]
    assert list(active[0]["active"]) == [f"color{k}_relu" for k in (4, 3, 2, 1, 0)]
    rows = [row for row in rows if "active" not in row]
    assert [row["step"] for row in rows] == [2, 4, 4]
    assert {"loss", "learning_rate", "images_per_second", "input_wait_fraction"} <= rows[0].keys()
    assert rows[-1]["eval"]["n"] == 3 and "gray" in rows[-1]["eval"]["baselines"]
    assert 0 < rows[-1]["eval"]["loss_tinyclouds_code"]["mean"] < 1
    assert {path.name for path in (workdir / "samples").iterdir()} == {"2.jpg", "4.jpg"}
    assert checkpoints.steps(workdir / "checkpoints") == [2, 4]
    (events,) = (workdir / "logs").glob("events*")
    values = [v for e in tf.compat.v1.train.summary_iterator(str(events)) for v in e.summary.value]
    shown = {value.tag: value.metadata.plugin_data.plugin_name for value in values}
    assert shown["loss"] == "scalars" and shown["gray, output, truth"] == "images"
    texts = {v.tag: v.tensor.string_val[0].decode() for v in values if shown[v.tag] == "text"}
    assert '"steps": 4' in texts["recipe"] and "color4_bn" in texts["network"]
    assert (outcome.step, outcome.interrupted) == (4, False)


@pytest.mark.parametrize(
    ("name", "message"),
    [("l1", "names of: blurred"), ("ab_classes", "names of"), ("lab_mse", "lab or lab_luma")],
)
def test_losses_that_cannot_be_evaluated(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        config(tmp_path, eval_losses=(name,))


def test_strips_are_gray_output_truth(trained):
    from residual_encoder.imaging import image_io

    strip = image_io.read(trained[0] / "samples" / "4.jpg").pixels
    first = strip[:16, :16].astype(int)
    assert np.abs(first - first.mean(-1, keepdims=True)).max() < 12  # gray, but for JPEG
    assert strip.shape[1] % (3 * 16) == 0


def test_best_weights_are_the_models(trained):
    workdir, _ = trained
    arrays, _ = saved(workdir)
    best, about = weights.read_arrays(workdir / "checkpoints" / weights.BEST)
    assert Recipe.from_json(about["recipe"]) == TINY
    np.testing.assert_array_equal(best["color3/kernel"], arrays["color3/kernel"])


def test_evaluation_while_training_is_the_tools(trained):
    workdir, outcome = trained
    measured = evaluate_model(EvaluateConfig(SCENES, image_size=16, limit=3), Colorizer(workdir))
    for metric in ("auc", "psnr_pooled", "psnr_pooled_gain", "colorfulness"):
        expected = pytest.approx(measured[metric]["mean"], rel=1e-5)
        assert outcome.evaluation[metric]["mean"] == expected, metric


def test_a_finished_run_does_nothing_more(trained):
    workdir, _ = trained
    before = (workdir / "metrics.jsonl").read_text()
    assert train(config(workdir, eval_every=4, eval_limit=3)).step == 4
    assert (workdir / "metrics.jsonl").read_text() == before


def test_another_recipe_in_a_used_workdir_is_refused(trained):
    other = dataclasses.replace(TINY, loss="euclidean", learning_rate=0.2)
    with pytest.raises(ValueError) as error:
        train(config(trained[0], other))
    assert "recipe.loss was 'blurred_euclidean', now 'euclidean'" in str(error.value)
    assert "recipe.learning_rate was 0.1, now 0.2" in str(error.value)


def test_init_from_starts_at_given_weights(trained, tmp_path):
    recipe = dataclasses.replace(TINY, learning_rate=1e-12, steps=1)
    train(config(tmp_path, recipe, init_from=str(trained[0])))
    best, _ = weights.read_arrays(trained[0] / "checkpoints" / weights.BEST)
    ours, _ = saved(tmp_path)
    np.testing.assert_allclose(ours["color2/kernel"], best["color2/kernel"], atol=1e-9)
    np.testing.assert_array_equal(ours["block4_conv2/kernel"], best["block4_conv2/kernel"])


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_checkpoint(tmp_path):
    # Step 2 is saved; then a weight is spoiled on disk, and the run goes on from it.
    train(config(tmp_path, dataclasses.replace(TINY, steps=2)))
    (tmp_path / "config.json").unlink()
    arrays, about = saved(tmp_path)
    arrays["uv_bn/gamma"] = arrays["uv_bn/gamma"] * np.nan
    path = tmp_path / "checkpoints" / "step-00000002.h5"
    weights.write_arrays(path, arrays, about)
    before = path.read_bytes()
    with pytest.raises(Diverged, match="loss is nan by step 4.*last good checkpoint"):
        train(config(tmp_path))
    assert checkpoints.steps(tmp_path / "checkpoints") == [2]
    assert path.read_bytes() == before


def test_missing_evaluation_data_is_known_before_the_first_step(tmp_path):
    nowhere = DataConfig("tfrecord", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere is no folder"):
        train(dataclasses.replace(config(tmp_path / "run"), eval_data=nowhere))
    assert not checkpoints.steps(tmp_path / "run" / "checkpoints")


def test_a_workdir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot make the workdir .*file/run.*another --workdir"):
        train(config(tmp_path / "file" / "run"))


def test_precision_and_jit_choices(monkeypatch):
    monkeypatch.setattr(devices, "_cpu_info", lambda: {"flags": "sse2 amx_bf16"})
    monkeypatch.setattr(devices, "gpus", lambda: [])
    assert devices.precision("auto") == "bfloat16"
    assert devices.jit("auto", "bfloat16") is False
    with pytest.raises(ValueError, match="jit=on with bfloat16 needs a GPU"):
        devices.jit("on", "bfloat16")
    monkeypatch.setattr(devices, "_cpu_info", lambda: {"flags": "sse2 avx2"})
    assert devices.precision("auto") == "float32"
    monkeypatch.setattr(devices, "gpus", lambda: ["one"])
    assert devices.precision("auto") == "bfloat16"
    assert devices.jit("auto", "bfloat16") is True


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ("AVX2", "float32"),
        ("avx512_core_vnni", "float32"),
        ("AVX512_CORE_BF16", "bfloat16"),
        ("DEFAULT", "bfloat16"),
    ],
)
def test_auto_precision_where_onednn_is_limited(monkeypatch, limit, wanted):
    monkeypatch.setattr(devices, "_cpu_info", lambda: {"flags": "avx2 avx512_bf16"})
    monkeypatch.setattr(devices, "gpus", lambda: [])
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert devices.precision("auto") == wanted


def test_bfloat16_that_onednn_cannot_do_is_refused(monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: [])
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    with pytest.raises(ValueError, match="DNNL_MAX_CPU_ISA in the environment excludes it"):
        devices.precision("bfloat16")
    assert devices.precision("float32") == "float32"
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE")  # slow, but right
    assert devices.precision("bfloat16") == "bfloat16"


@pytest.mark.slow
def test_fine_tuning_compiled_on_a_cpu(tmp_path):
    """XLA refuses the gradient of pooling where operations have to be deterministic."""
    recipe = dataclasses.replace(TINY, train_trunk=True, steps=2, precision="float32")
    result = train(config(tmp_path, recipe=recipe, jit="on"))
    assert result.step == 2


def test_the_memory_of_every_gpu_is_shared(monkeypatch):
    grown = []
    monkeypatch.setattr(devices, "gpus", lambda: ["one", "two"])
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *growth: grown.append(growth)
    )
    devices.share_gpu_memory()
    assert grown == [("one", True), ("two", True)]


# --- the tool, as a user runs it ------------------------------------------------------------------


def command(workdir, *more):
    flags = {
        "data": "synthetic",
        "synthetic_size": 50,
        "workdir": workdir,
        "vgg16_weights": "none",
        "steps": 40,
        "batch_size": 2,
        "image_size": 16,
        "eval_every": 0,
        "checkpoint_every": 8,
        "log_every": 4,
    }
    tool = [sys.executable, str(ROOT / "tools" / "train.py")]
    return [*tool, *(f"--{name}={value}" for name, value in flags.items()), *more]


def run(workdir, *more):
    return subprocess.run(
        command(workdir, *more), cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, "the run did not get so far"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["tinyclouds2016", "modern"])
def test_killed_and_resumed_equals_never_stopped(tmp_path, recipe):
    """kill -9 in the middle; the same command again; 40 steps; every value bit-equal."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(whole, f"--recipe={recipe}").returncode == 0
    process = subprocess.Popen(
        command(cut, f"--recipe={recipe}"), cwd=ROOT, stderr=subprocess.DEVNULL
    )
    wait_for(cut / "checkpoints" / "step-00000016.h5", process)
    time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 16 <= checkpoints.steps(cut / "checkpoints")[-1] < 40
    assert run(cut, f"--recipe={recipe}").returncode == 0
    (arrays, about), (resumed, again) = saved(whole), saved(cut)
    assert about["step"] == again["step"] == 40
    assert arrays.keys() == resumed.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert logged_losses(whole) == logged_losses(cut)


def test_sigterm_saves_and_exits_with_75(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, "--steps=100000"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_for(tmp_path / "checkpoints" / "step-00000008.h5", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Stopped and saved at step" in errors and "Traceback" not in errors
    assert saved(tmp_path)[1]["step"] >= 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data=folder", "--data_dir=/no/such/folder"], "/no/such/folder"),
        (["--image_size=17"], "image_size must be a positive multiple of 8"),
        (["--vgg16_weights=/no/such/file.h5"], "there is no file '/no/such/file.h5'"),
        (["--loss=l7"], "--loss"),
    ],
)
def test_mistakes_are_one_line(tmp_path, flags, message):
    result = run(tmp_path / "w", *flags)
    assert result.returncode == 1
    assert message in result.stderr and "Traceback" not in result.stderr
    if "--loss" not in message:
        assert len(result.stderr.strip().splitlines()) == 1
