"""Several processes train as one would: over loopback, as a user starts them."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.data.configs import DataConfig
from residual_encoder.models import weights
from residual_encoder.recipes import RECIPES
from residual_encoder.training import checkpoints, distributed, trainer
from residual_encoder.training.run import TrainConfig
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics
from residual_encoder.utils import devices

FLAGS = {
    "data": "synthetic",
    "synthetic_size": 50,  # the fifth batch of 12 holds the end of an epoch
    "vgg16_weights": "none",
    "steps": 20,
    "batch_size": 12,
    "image_size": 32,
    # At the recipe's 0.1 the first steps from random weights are chaotic: weights moved by 6e-8 of
    # themselves end 4e-3 apart after 20 steps, on one device.
    "learning_rate": 0.01,
    "eval_every": 0,
    "checkpoint_every": 20,
    "log_every": 5,
}


def addresses(count):
    """Of this computer, on ports that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def start(workdir, count, *more, of_worker=()):
    """Starts one process, or so many workers; `of_worker`: worker -> its own flags."""
    tool = [sys.executable, str(ROOT / "tools" / "train.py"), f"--workdir={workdir}"]
    tool += [f"--{name}={value}" for name, value in FLAGS.items()]
    cluster = {"worker": addresses(count)}
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        several = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        command = [*tool, *(["--strategy=multiworker"] if count > 1 else []), *more]
        command += dict(of_worker).get(index, [])
        processes.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | (several if count > 1 else {}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


@pytest.fixture
def started():
    """`start`, and no process is left over."""
    processes = []

    def starting(*args, **settings):
        ours = start(*args, **settings)
        processes.extend(ours)
        return ours

    yield starting
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(processes, seconds=240):
    """Exit codes and the last output of each."""
    texts = [process.communicate(timeout=seconds)[1] for process in processes]
    lines = [text.strip().splitlines()[-1:] or [""] for text in texts]
    return [process.returncode for process in processes], [line for (line,) in lines]


def wait_for(path, processes, seconds=240):
    end = time.monotonic() + seconds
    while not path.exists():
        alive = all(process.poll() is None for process in processes)
        assert alive and time.monotonic() < end, "the run did not get so far"
        time.sleep(0.01)


def saved(workdir):
    step = checkpoints.steps(workdir / "checkpoints")[-1]
    return weights.read_arrays(workdir / "checkpoints" / f"step-{step:08d}.h5")


def assert_close(workdir, other):
    """Within 1e-5, of a large value within 3e-5 of it (the variances of raw taps are thousands)."""
    (ours, about), (theirs, again) = saved(workdir), saved(other)
    assert (about["step"], about["state"]["cursor"]) == (again["step"], again["state"]["cursor"])
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-5, rtol=3e-5, err_msg=name)


def losses(workdir):
    return [(row["step"], row["loss"]) for row in read_metrics(workdir) if "loss" in row]


@pytest.mark.slow
def test_two_workers_equal_one(tmp_path, started):
    """20 steps of 12 pictures: the same weights, written once."""
    one, two = tmp_path / "one", tmp_path / "two"
    pair = started(two, 2, "--image_size=16")
    recipe = dataclasses.replace(
        RECIPES["tinyclouds2016"], learning_rate=0.01, steps=20, batch_size=12, image_size=16
    )
    scenes, rarely = DataConfig("synthetic", synthetic_size=50), {"eval_every": 0, "log_every": 5}
    train(TrainConfig(recipe, scenes, str(one), vgg16_weights="none", **rarely))
    codes, said = ended(pair)
    assert codes == [0, 0], said
    assert_close(one, two)
    (arrays, _), (others, _) = saved(one), saved(two)
    for name in arrays.keys() - {f"pool{k}_bn/moving_variance" for k in (1, 2, 3, 4)}:
        np.testing.assert_allclose(others[name], arrays[name], atol=1e-5, rtol=0, err_msg=name)
    (steps, ours), (_, theirs) = (zip(*losses(workdir), strict=True) for workdir in (one, two))
    assert steps == (5, 10, 15, 20)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)
    about = json.loads((two / "config.json").read_text())
    assert (about["workers"], about["replicas"], about["trainable_parameters"]) == (2, 2, 504_407)


LONG = ("--steps=40", "--batch_size=6", "--image_size=16", "--checkpoint_every=40")


@pytest.mark.slow
@pytest.mark.parametrize("later", [1, 2, 3])
def test_sigterm_at_one_stops_all_and_any_number_resumes(tmp_path, started, later):
    """Resumed by two: bit-equal to two never stopped; by one and by three: close."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    pair = started(cut, 2, *LONG, "--log_every=1")
    wait_for(cut / "metrics.jsonl", pair)
    while not losses(cut):
        time.sleep(0.01)
    pair[1].send_signal(signal.SIGTERM)
    codes, said = ended(pair)
    assert codes == [75, 75], said
    (step,) = checkpoints.steps(cut / "checkpoints")
    assert 1 <= step < 40
    for line in said:
        assert f"Stopped and saved at step {step}" in line
    runs = started(whole, 2, *LONG) + started(cut, later, *LONG, "--log_every=1")
    codes, said = ended(runs)
    assert not any(codes), said
    assert_close(whole, cut)
    if later == 2:
        (ours, _), (theirs, _) = saved(whole), saved(cut)
        for name, value in ours.items():
            np.testing.assert_array_equal(theirs[name], value, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_worker_ends_the_others_in_one_line(tmp_path, started, lost):
    flags = ("--steps=100000", "--checkpoint_every=4", "--image_size=16")
    pair = started(tmp_path / "run", 2, *flags)
    wait_for(tmp_path / "run" / "checkpoints" / "step-00000004.h5", pair)
    pair[lost].kill()
    codes, said = ended(pair, 120)
    assert (codes[lost], codes[1 - lost]) == (-signal.SIGKILL, 1)
    assert f"Worker {1 - lost} lost another one of the 2" in said[1 - lost]


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe", ["pix2pix", "modern_adversarial", "modern_classes", "modern_distribution"]
)
def test_every_kind_of_step_is_shared(tmp_path, started, recipe):
    size = 128 if recipe == "pix2pix" else 64
    flags = [f"--recipe={recipe}", f"--image_size={size}", "--batch_size=2", "--steps=3"]
    codes, said = ended(started(tmp_path, 2, *flags, "--log_every=1", "--eval_every=3"))
    assert codes == [0, 0], said
    assert [step for step, _ in losses(tmp_path)] == [1, 2, 3]


@pytest.mark.slow
def test_other_flags_than_the_chiefs_are_refused(tmp_path, started):
    pair = started(tmp_path, 2, of_worker={1: ["--seed=3", "--log_every=7"]})
    codes, said = ended(pair, 120)
    assert codes == [1, 1]
    assert "Worker 1 was started with other settings than the chief" in said[1]
    assert "seed was 0, now 3" in said[1] and "log_every was 5, now 7" in said[1]
    assert not (tmp_path / "checkpoints" / "step-00000010.h5").exists()


# --- what is refused before anything starts -------------------------------------------------------


def tf_config(cluster, task):
    return json.dumps({"cluster": cluster, "task": task})


WORKER = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "it is not set"),
        ("{worker}", "'{worker}' is not JSON"),
        ("[]", "it lacks a cluster or a task"),
        (tf_config({}, WORKER), "it lacks a cluster or a task"),
        (tf_config({"worker": ["a:1"], "ps": ["b:1"]}, WORKER), "has ['ps']"),
        (tf_config({"worker": "a:1"}, WORKER), "not a list of host:port"),
        (tf_config({"worker": ["a:1", "b"]}, WORKER), "not a list of host:port"),
        (tf_config({"worker": ["a:1", "b:70000"]}, WORKER), "not a list of host:port"),
        (tf_config({"worker": ["a:1", "a:1"]}, WORKER), "an address is there twice"),
        (tf_config({"worker": ["a:1"]}, {"type": "chief", "index": 0}), "of type 'chief'"),
        (tf_config({"worker": ["a:1", "b:1"]}, WORKER | {"index": 2}), "there are 2"),
        (tf_config({"worker": ["a:1", "b:1"]}, WORKER | {"index": "0"}), "is '0'"),
    ],
)
def test_faults_of_tf_config_are_named(monkeypatch, text, fault):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError) as error:
        distributed.strategy("multiworker")
    assert fault in str(error.value) and distributed.EXAMPLE in str(error.value)


def test_the_example_is_right(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", distributed.EXAMPLE)
    distributed.check_tf_config()


def test_a_batch_that_cannot_be_shared_is_refused():
    recipe = dataclasses.replace(RECIPES["tinyclouds2016"], batch_size=6)
    config = TrainConfig(recipe, DataConfig("synthetic"), "nowhere")
    team = distributed.WorkerGroup(SimpleNamespace(num_replicas_in_sync=4))
    with pytest.raises(ValueError, match="batch_size must be a multiple of 4.*Received 6"):
        trainer._check_sharing(config, team, "float32")


def test_automatic_takes_gpus_that_divide_the_batch(monkeypatch):
    chosen = []
    monkeypatch.setattr(devices, "gpus", lambda: ["a", "b", "c", "d"])
    monkeypatch.setattr(distributed.tf.distribute, "MirroredStrategy", chosen.append)
    distributed.strategy("auto", 6)
    distributed.strategy("auto", 8)
    assert chosen == [["GPU:0", "GPU:1", "GPU:2"], ["GPU:0", "GPU:1", "GPU:2", "GPU:3"]]


def test_several_replicas_are_not_compiled():
    with pytest.raises(ValueError, match="there are 2. Give --jit=off"):
        devices.jit("on", "float32", 2)
