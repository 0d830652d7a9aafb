"""Faults: killed, out of disk, not allowed to write, clocks, two at once. Nothing is lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers import killed

from residual_encoder import models
from residual_encoder.export import saved_model
from residual_encoder.imaging import image_io
from residual_encoder.inference import batch
from residual_encoder.models import weights
from residual_encoder.training import checkpoints, snapshots
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import LOCK, Workdir, read_metrics
from residual_encoder.utils import files

CLOCKS = {"seconds", "images_per_second", "input_wait_fraction"}  # of a row of metrics
TINY = killed.RECIPE


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of 67,458 parameters."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.weights.h5"
    weights.save_weights(models.build(TINY.network), path, TINY.to_json())
    return path


# --- killed ---------------------------------------------------------------------------------------


def newest(workdir: Path) -> tuple[dict[str, np.ndarray], dict]:
    step = checkpoints.steps(workdir / "checkpoints")[-1]
    return weights.read_arrays(workdir / "checkpoints" / f"step-{step:08d}.h5")


def rows(workdir: Path) -> list[dict]:
    """All that was logged, but for times; the last of what was logged twice."""
    return [
        {name: value for name, value in row.items() if name not in CLOCKS}
        for row in read_metrics(workdir)
    ]


def assert_same(cut: Path, whole: Path) -> None:
    """Weights, optimizer, place in the data, metrics, strips: to the bit; and no rubbish."""
    for read in (newest, lambda run: weights.read_arrays(run / "checkpoints/best.weights.h5")):
        (arrays, about), (wanted, of_whole) = read(cut), read(whole)
        assert arrays.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(arrays[name], value, err_msg=f"{cut.name} {name}")
        for state in (about.get("state", {}), of_whole.get("state", {})):
            state.pop("seconds", None)
        assert about == of_whole
    assert rows(cut) == rows(whole)
    strips = [{p.name: p.read_bytes() for p in (run / "samples").iterdir()} for run in (cut, whole)]
    assert strips[0] == strips[1]
    assert not list(cut.rglob("*.tmp*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_ten_kills_at_random_moments_lose_nothing(seed: int, tmp_path: Path) -> None:
    """kill -9 in the start, the step, the checkpoint, the strips, the evaluation and the log."""
    command = [sys.executable, "tests/helpers/killed.py", str(tmp_path), "10", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(kills) == 10 and len({place for _, place, *_ in kills}) >= 5
    for cut in tmp_path.glob("cut-*"):
        assert_same(cut, tmp_path / "whole")


# --- two at once ----------------------------------------------------------------------------------

HOLD = """
import fcntl, sys, time
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("process 1 on elsewhere", file=lock, end="", flush=True)
print("held", flush=True)
time.sleep(300)
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the lock of a workdir."""
    Workdir(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path / LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_until_the_first_is_dead(held, tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match="is in use by another run .process 1 on elsewhere.*--workdir"
    ):
        train(killed.config(tmp_path))
    assert not (tmp_path / "config.json").exists()
    held.kill()
    held.wait()
    with Workdir(tmp_path).locked():
        assert f"process {os.getpid()} on" in (tmp_path / LOCK).read_text()
    with Workdir(tmp_path).locked():
        pass  # opened again by the end of the block


def test_what_a_killed_process_half_wrote_goes_and_nothing_else(tmp_path: Path) -> None:
    workdir = Workdir(tmp_path)
    kept = [tmp_path / "notes.tmp", tmp_path / ".tmp.txt", workdir.checkpoints / "step-00000002.h5"]
    whole = [
        tmp_path / "config.json",
        workdir.checkpoints / "step-00000004.h5",
        workdir.checkpoints / "best.weights.h5",
        workdir.samples / "4.jpg",
    ]
    left = [files._temporary(path) for path in whole]
    for path in kept + left:
        path.write_text("")
    with workdir.locked():
        assert all(path.exists() for path in kept)
        assert not any(path.exists() for path in left)


@pytest.mark.slow
def test_two_commands_on_one_workdir(tmp_path: Path) -> None:
    """The second is refused in one line; after kill -9 of the first it works at once."""
    flags = ["--data=synthetic", "--synthetic_size=12", "--recipe=cnn1", "--eval_every=0"]
    more = ["--batch_size=2", "--image_size=32", "--checkpoint_every=2", f"--workdir={tmp_path}"]
    command = [sys.executable, "tools/train.py", *flags, *more]
    with subprocess.Popen(
        [*command, "--steps=100000"], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as first:
        while not (tmp_path / "checkpoints" / "step-00000002.h5").exists():
            assert first.poll() is None
            time.sleep(0.1)
        second = subprocess.run(
            [*command, "--steps=100000"], cwd=ROOT, capture_output=True, text=True
        )
        assert second.returncode == 1 and first.poll() is None
        (line,) = second.stderr.strip().splitlines()
        assert "in use by another run" in line and f"process {first.pid}" in line
        first.kill()
    again = subprocess.Popen([*command, "--steps=100000"], cwd=ROOT, stderr=subprocess.DEVNULL)
    before = checkpoints.steps(tmp_path / "checkpoints")[-1]
    while checkpoints.steps(tmp_path / "checkpoints")[-1] <= before:
        assert again.poll() is None
        time.sleep(0.1)
    again.send_signal(signal.SIGTERM)
    assert again.wait(timeout=120) == 75


# --- disks ----------------------------------------------------------------------------------------


class Disk(NamedTuple):
    """A place that takes a MiB or so, and its error beyond that."""

    path: Path
    words: str
    mounted: bool


def mount(folder: Path, size: str) -> bool:
    """Puts a small file system there; not everyone may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system of a MiB, or, where none may be mounted, a limit on the length of files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount(folder, "1m"):
        yield Disk(folder, "No space left on device", True)
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    yield Disk(folder, "File too large", False)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


WRITERS: dict[str, Callable[[Path, bool], None]] = {
    "a.weights.h5": lambda path, large: weights.write_arrays(
        path, {"a/kernel": np.ones(10**6 if large else 10, np.float32)}, {}
    ),
    "a.png": lambda path, large: image_io.write(path, noise(*([1500, 1500] if large else [8, 8]))),
    "a.tif": lambda path, large: image_io.write(path, noise(*([1500, 1500] if large else [8, 8]))),
    "a.json": lambda path, large: files.write_text(path, "a" * (2 << 20 if large else 10)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_on_a_full_disk_the_old_file_stays(name: str, disk: Disk) -> None:
    path = disk.path / name
    WRITERS[name](path, False)
    before = path.read_bytes()
    with pytest.raises(OSError, match=f"Cannot write {path}: {disk.words}.*make room"):
        WRITERS[name](path, True)
    assert {p.name: p.read_bytes() for p in disk.path.iterdir()} == {name: before}
    WRITERS[name](path, False)


def test_a_full_disk_is_one_line_a_picture(disk: Disk, tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image_io.write(tmp_path / "in" / "a small.png", noise(8, 8))
    image_io.write(tmp_path / "in" / "b large.png", noise(900, 900))
    image_io.write(tmp_path / "in" / "c small.png", noise(8, 8))
    config = batch.BatchConfig((str(tmp_path / "in"),), str(disk.path), model=str(tiny_weights))
    summary = batch.colorize_files(config)
    assert summary.colored == 2
    (reason,) = summary.failed.values()
    assert "b large.png" in reason and disk.words in reason
    assert {path.name for path in disk.path.iterdir()} == {"a small.png", "c small.png"}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that was written to, and may not be any more."""
    folder = tmp_path / "read only"
    folder.mkdir()
    mounted = mount(folder, "1m")
    if not mounted and os.geteuid() == 0:
        pytest.skip("root may write anywhere, and nothing can be mounted here")
    (folder / "old.json").write_text("old")
    for name in ("checkpoints", "samples"):
        (folder / name).mkdir()
    if mounted:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder.chmod(0o555)
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o755)


def test_a_read_only_workdir_is_named(read_only: Path) -> None:
    denied = "(Read-only file system|Permission denied)"
    with pytest.raises(OSError, match=f"Cannot write into the workdir {read_only}: {denied}"):
        train(killed.config(read_only))
    with pytest.raises(OSError, match=denied):
        files.write_text(read_only / "old.json", "new")
    assert (read_only / "old.json").read_text() == "old"


# --- a run on a disk that fills up ----------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to."""
    workdir = tmp_path_factory.mktemp("whole")
    train(killed.config(workdir))
    return workdir


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "5m"):
        pytest.skip("no small file system can be mounted here")
    yield folder
    # TensorFlow keeps a writer open whose flush has failed.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(512))
        except OSError:
            pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "visit"),
    [
        (checkpoints, "save", 2),
        (snapshots, "_save_best", 2),
        (snapshots, "_write_strips", 2),
        (snapshots, "evaluate", 2),
        (Workdir, "log", 5),  # behind the first checkpoint, the strips and the row of activity
    ],
    ids=["checkpoint", "best", "strips", "evaluation", "log"],
)
def test_a_run_on_a_disk_that_fills_up_resumes_when_there_is_room(
    owner: object,
    name: str,
    visit: int,
    small_disk: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original, visits = getattr(owner, name), []

    def filling(*arguments: object) -> object:
        visits.append(name)
        if len(visits) >= visit:
            fill(small_disk)
        return original(*arguments)

    run = small_disk / "run"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, filling)
        with pytest.raises(OSError, match=f"Cannot write {run}/.*: No space left on device"):
            train(killed.config(run))
    assert checkpoints.steps(run / "checkpoints")[-1] >= 2
    newest(run)  # can be read
    (small_disk / "filler").unlink()
    train(killed.config(run))
    assert_same(run, whole)


@pytest.mark.slow
def test_an_export_to_a_full_disk_leaves_nothing(small_disk: Path, tiny_weights: Path) -> None:
    fill(small_disk)
    os.truncate(small_disk / "filler", os.path.getsize(small_disk / "filler") - 100_000)
    with pytest.raises((OSError, tf.errors.OpError), match="[Nn]o space left"):
        saved_model.export_saved_model(tiny_weights, small_disk / "model")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.slow
def test_a_clock_that_runs_backwards_changes_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with it: one seed gives the same weights twice, to the bit."""
    now = [time.time()]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    train(killed.config(tmp_path))
    assert_same(tmp_path, whole)
    assert all((row.get("images_per_second") or 1) > 0 for row in read_metrics(tmp_path))
