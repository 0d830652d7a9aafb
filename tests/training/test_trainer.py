"""Training runs: what they leave, how they resume and stop; the tool as a user runs it."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers.training_runs import SCENES, TINY, config, saved

from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights
from residual_encoder.recipes import RECIPES, Recipe
from residual_encoder.training import checkpoints, trainer
from residual_encoder.training.run import Diverged
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics
from residual_encoder.utils import devices


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


def test_a_trunk_that_is_not_there_cannot_train(tmp_path):
    recipe = dataclasses.replace(RECIPES["cnn1"], image_size=16, batch_size=2, train_trunk=True)
    with pytest.raises(ValueError, match="recipe cnn1 has a network without a trunk"):
        train(config(tmp_path, recipe))


@pytest.mark.parametrize(("taps", "frozen"), [(4, 4), (5, 4)])
def test_a_trunk_with_all_its_blocks_frozen_cannot_train(tmp_path, taps, frozen):
    network = dataclasses.replace(TINY.network, taps=taps)
    recipe = dataclasses.replace(
        TINY, network=network, train_trunk=True, frozen_blocks=frozen, trunk_rate=0.1
    )
    if taps == 5:  # block 5 is left
        assert train(dataclasses.replace(config(tmp_path, recipe), eval_every=0)).step == 4
    else:
        with pytest.raises(ValueError, match="frozen_blocks=4 freezes all blocks.*Freeze fewer"):
            train(config(tmp_path, recipe))


def test_a_run_that_was_begun_with_all_blocks_frozen_is_resumed(tmp_path, monkeypatch):
    recipe = dataclasses.replace(TINY, train_trunk=True, frozen_blocks=4, steps=2)
    with monkeypatch.context() as earlier:  # a version that did not look
        earlier.setattr(trainer, "_check_trunk", lambda *_: None)
        train(config(tmp_path, recipe))
    outcome = train(config(tmp_path, recipe))
    assert outcome.step == 2 and not outcome.interrupted


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


@pytest.fixture
def ctrl_c():
    """Python's own handler, whatever started the tests: a shell's background ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_asks_to_stop_and_a_second_one_acts(ctrl_c):
    with trainer._until_signal() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_in_another_thread_leaves_signals_alone():
    handler, found = signal.getsignal(signal.SIGTERM), []

    def run_in_thread():
        with trainer._until_signal() as stopped:
            found.append((stopped(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run_in_thread)
    thread.start()
    thread.join()
    assert found == [(False, handler)]


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
