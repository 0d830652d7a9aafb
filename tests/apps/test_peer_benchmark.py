"""The peer's script gets the same work, in alternation, and its faster variant counts."""

import json
import sys

import pytest
from helpers.benchmarks import DATA, TINY

from residual_encoder.apps import benchmark
from residual_encoder.apps.benchmark import BenchmarkConfig

# Prints what it was asked; compiled it is twice as fast, and every run is a little faster.
FAKE = """
import json, pathlib, sys
log = pathlib.Path(sys.argv[0]).with_suffix(".log")
log.open("a").write(json.dumps(sys.argv[1:]) + "\\n")
runs = len(log.read_text().splitlines())
rate = (2 if "--compile" in sys.argv else 1) * (10 + runs)
print("noise")
print(json.dumps({"peer": "fake 1.0", "device": "cpu", "images_per_second": rate}))
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "with space.py"
    path.write_text(FAKE)
    return path


def rows(script, mode, **changes):
    config = BenchmarkConfig(TINY, DATA, (mode,), steps=2, repeats=3, warmup=1,
                             peer=f"{sys.executable} '{script}'", **changes)  # fmt: skip
    return list(benchmark.benchmark(config))


def test_both_ways_in_turns(script):
    ours, plain, compiled = rows(script, "infer")
    calls = [json.loads(line) for line in script.with_suffix(".log").read_text().splitlines()]
    asked = ["infer", "--batch=3", "--size=16", "--steps=2"]
    assert calls == [asked, [*asked, "--compile"]] * 3
    # Runs 1, 3 and 5 as written: 11, 13, 15; 2, 4 and 6 compiled: 24, 28, 32.
    same = {"mode": "infer", "batch_size": 3, "image_size": 16, "precision": "float32",
            "peer": "fake 1.0", "device": "cpu"}  # fmt: skip
    assert plain == same | {
        "compiled": False, "images_per_second": 13.0, "images_per_second_range": [11.0, 15.0],
    }  # fmt: skip
    assert compiled == same | {
        "compiled": True, "images_per_second": 28.0, "images_per_second_range": [24.0, 32.0],
    }  # fmt: skip
    assert ours["times_peer"] == pytest.approx(ours["images_per_second"] / 28, abs=1e-3)


def test_modes_that_the_peer_lacks_are_timed_alone(script):
    (row,) = rows(script, "input")
    assert row["times_peer"] is None
    assert not script.with_suffix(".log").exists()


def test_a_peer_gets_memory_of_the_gpu_before_anything_runs(script, monkeypatch):
    runs_before = []
    log = script.with_suffix(".log")
    monkeypatch.setattr(
        benchmark.devices, "share_gpu_memory", lambda: runs_before.append(log.exists())
    )
    rows(script, "infer")
    assert runs_before == [False]


def test_a_peer_that_fails_is_one_line(script):
    script.write_text("import sys; sys.exit('no torch here')")
    with pytest.raises(ValueError, match=r"peer .*failed with exit code 1: no torch here"):
        rows(script, "infer")
    script.write_text("print('done')")
    with pytest.raises(ValueError, match="exit code 0: it printed no images_per_second"):
        rows(script, "infer")
