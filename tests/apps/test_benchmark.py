"""The benchmark reports the work that it ran."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from helpers.benchmarks import DATA, TINY

from residual_encoder.apps import benchmark
from residual_encoder.apps.benchmark import BenchmarkConfig
from residual_encoder.training.learner_factory import make_learner


def config(*modes, **changes):
    return BenchmarkConfig(TINY, DATA, modes, **({"steps": 4, "repeats": 3, "warmup": 2} | changes))


@pytest.fixture
def clock(monkeypatch):
    """A clock that only stands still, but for what tests add to it."""
    now = [0.0]
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def made(monkeypatch, clock):
    """Learners whose every step takes 0.5 s of that clock; the list fills as they are made."""
    kept, make = [], make_learner

    def timed(*args, **settings):
        learner = make(*args, **settings)

        def step(rgb):
            clock[0] += 0.5
            return learner.step(rgb)

        kept.append(learner._replace(step=step))
        return kept[-1]

    monkeypatch.setattr(benchmark, "make_learner", timed)
    return kept


@pytest.mark.parametrize("mode", ["train", "end_to_end"])
def test_counts_the_steps_that_ran(mode, made):
    (row,) = benchmark.benchmark(config(mode))
    assert int(made[0].optimizer.iterations) == 2 + 3 * 4
    assert row["images"] == 3 * (2 + 3 * 4)
    # Three images in half a second, whatever the warm-up took.
    assert row["images_per_second"] == 6.0
    assert row["images_per_second_range"] == [6.0, 6.0]
    # cnn of widths 2, 2 on 16x16, by hand: down1 8x8x4x4x1x2, down2 4x4x4x4x2x2, up1 the same,
    # up0 8x8x4x4x2x2; all but down1 also pass a gradient to their input.
    down1, inner, last = 64 * 16 * 2, 16 * 16 * 4, 64 * 16 * 4
    assert row["gflop_per_image"] == round(2 * (2 * down1 + 3 * (2 * inner + last)) / 1e9, 3)


def test_waiting_for_input_is_told(monkeypatch, made, clock):
    batches = benchmark.input_pipeline.train_batches

    def slow(*args, **settings):
        for batch in batches(*args, **settings):
            clock[0] += 1.5
            yield batch

    monkeypatch.setattr(benchmark, "_batches", lambda config: slow(
        DATA, batch_size=3, image_size=16, augment=TINY.augment, seed=0))  # fmt: skip
    (row,) = benchmark.benchmark(config("input"))
    assert row["images_per_second"] == 2.0
    assert row["input_wait_fraction"] == 1.0


def test_median_of_repeats(clock, monkeypatch):
    timer = benchmark._Clock(config("input", steps=1, repeats=3, warmup=1))
    durations = iter([99.0, 1.0, 2.0, 4.0])

    def work():
        clock[0] += next(durations)
        return 0.0

    timer.time(work)
    assert timer.seconds == [1.0, 2.0, 4.0]
    row = benchmark._row(timer.config, "input", timer, 0.0)
    assert row["images_per_second"] == 1.5
    assert row["images_per_second_range"] == [0.75, 3.0]


def test_share_of_peak(monkeypatch):
    timer = benchmark._Clock(config("infer", steps=10))
    timer.seconds = [3.0]  # 10 images a second
    monkeypatch.setattr(benchmark.devices, "describe", lambda: "1 x NVIDIA H200")
    row = benchmark._row(timer.config, "infer", timer, gflop=49.4)
    assert row["share_of_peak"] == 0.001  # 494 GFLOP/s of 494 TFLOP/s


def test_refuses_what_it_cannot_time():
    with pytest.raises(ValueError, match="modes must be some of"):
        config("sleep")
    with pytest.raises(ValueError, match="at least 1"):
        config("train", steps=0)


TOOL = [sys.executable, "tools/benchmark.py", "--recipe=cnn1", "--image_size=16", "--batch_size=2",
        "--steps=2", "--repeats=2", "--precision=float32"]  # fmt: skip


def test_tool_times_several_modes_in_one_call(tmp_path):
    command = [*TOOL, "train", "infer", "train", f"--json={tmp_path / 'rows'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [row["mode"] for row in rows] == ["train", "infer"]  # each once, in the order given


def test_tool_names_the_modes_it_does_not_know():
    done = subprocess.run([*TOOL, "train", "sleep"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "train, infer, input, end_to_end and all" in line and "['sleep']" in line


def test_tool_writes_rows(tmp_path):
    command = [*TOOL, "infer", f"--json={tmp_path / 'rows'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rows").read_text() == done.stdout
    row = json.loads(done.stdout)
    assert (row["mode"], row["batch_size"], row["images"]) == ("infer", 2, 2 * (3 + 2 * 2))
    assert row["images_per_second"] > 0 and row["peak_memory_bytes"] > 1e7
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1 and "exists" in again.stderr
