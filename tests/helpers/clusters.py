"""Dask clusters of processes over loopback, whose workers and scheduler are killed.

A worker's nanny starts another one in its place, as it does on a cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from conftest import ROOT

from helpers import deadly
from helpers.archives import TOOLS, contents, crop
from residual_encoder.apps.archive.journal import FOLDER
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST
from residual_encoder.imaging import image_io

FLAGS = ("--size=32", "--max_megapixels=1100", "--color_inputs=recolor")
GIGAPIXEL = (31250, 32000)


def write_inputs(folder: Path, count: int, gigapixel: bool = True) -> Path:
    """Writes so many small pictures, one that is broken, one that is deadly, one of a gigapixel."""
    for number in range(count):
        path = folder / f"box {number % 10}" / f"{number:04d}.{('png', 'jpg')[number % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image_io.write(path, crop(number))
    (folder / "box 2" / "broken.png").write_bytes(b"Dear reader")
    image_io.write(folder / "box 4" / deadly.NAME, crop(1))
    if gigapixel:
        _write_gigapixel(folder / "box 6" / "0500 large.png")
    return folder


def _write_gigapixel(path: Path) -> None:
    import pyvips

    height, width = GIGAPIXEL
    places = pyvips.Image.xyz(width, height)
    gray = ((places[0] / 64 + places[1] / 64) % 256).cast("uchar")
    gray.pngsave(str(path), compression=6)


def plain(inputs: Path, output: Path) -> Path:
    """Colors all but what is deadly with tools/colorize.py, in the engine that workers have."""
    mortal = next(inputs.rglob(deadly.NAME))
    aside = mortal.rename(inputs.with_name(deadly.NAME))
    try:
        command = [sys.executable, str(TOOLS / "colorize.py"), str(inputs)]
        command += [f"--output={output}", "--engine=onnx", *FLAGS]
        done = subprocess.run(command, capture_output=True)
        assert done.returncode == 1, done.stderr  # one is broken
    finally:
        aside.rename(mortal)
    return output


class Cluster:
    """A scheduler and workers, each a process with a nanny; ends them all."""

    def __init__(self, workers: int, folder: Path, preload: str = deadly.__file__) -> None:
        self.workers, self.folder, self.preload = workers, folder, preload
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nannies: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Starts what is not there."""
        port = self.address.rpartition(":")[2]
        here = ("--host", "127.0.0.1")
        self.scheduler = self._process("scheduler", *here, "--port", port, "--no-dashboard")
        settings = ("--nthreads", "1", "--no-dashboard", "--memory-limit", "0")
        preload = ("--preload", self.preload, "--local-directory", str(self.folder))
        self.nannies = [
            self._process("worker", self.address, *here, *settings, *preload)
            for _ in range(self.workers)
        ]

    def _process(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
        environment = os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"
        for name in ("OMP", "MKL", "OPENBLAS"):  # Dask's default is 1, the plain tool's all cores
            environment[f"{name}_NUM_THREADS"] = str(os.cpu_count())
        # Dask's own makes every picture take twice the time; together as glibc has them by itself.
        environment |= {"MALLOC_TRIM_THRESHOLD_": str(2**27), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def worker_processes(self) -> list[psutil.Process]:
        """Returns the workers proper: the largest child of each nanny."""
        found = []
        for nanny in self.nannies:
            with contextlib.suppress(psutil.Error, ValueError):
                children = psutil.Process(nanny.pid).children()
                found.append(max(children, key=lambda child: child.memory_info().rss))
        return found

    def kill_a_worker(self, chance: random.Random) -> None:
        """Kills one, whatever it does."""
        if found := self.worker_processes():
            with contextlib.suppress(psutil.Error):
                chance.choice(found).send_signal(signal.SIGKILL)

    def kill_the_scheduler(self) -> None:
        """Kills the scheduler and ends its workers."""
        assert self.scheduler
        self.scheduler.kill()
        self.scheduler.wait()
        self._end(self.nannies)

    def close(self) -> None:
        """Ends all processes."""
        self._end(self.nannies)
        if self.scheduler:
            self._end([self.scheduler])

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        own = [psutil.Process(process.pid) for process in processes if process.poll() is None]
        family = [child for parent in own for child in parent.children(recursive=True)]
        for process in (*own, *family):
            with contextlib.suppress(psutil.Error):
                process.kill()
        for process in processes:
            process.wait()


@contextlib.contextmanager
def cluster(workers: int, folder: Path, preload: str = deadly.__file__) -> Iterator[Cluster]:
    """Starts a cluster, and ends it."""
    started = Cluster(workers, folder, preload)
    try:
        yield started
    finally:
        started.close()


def color(address: str, inputs: Path, output: Path, *flags: str) -> subprocess.Popen[str]:
    """Starts the tool on a cluster."""
    command = [sys.executable, str(TOOLS / "colorize_archive.py"), str(inputs), "--engine=dask"]
    command += [f"--output={output}", f"--scheduler={address}", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outputs(folder: Path) -> int:
    """Returns how many files are in their places."""
    count = 0
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != FOLDER]
        count += sum(not name.startswith(".") for name in names)
    return count


def run_with_losses(inputs: Path, output: Path, workers: int, kills: int, seed: int) -> list[str]:
    """Colors a collection on a cluster whose workers, and once its scheduler, are killed.

    Returns:
      What the runs printed.
    """
    chance, told = random.Random(seed), []
    count = sum(1 for path in inputs.rglob("*") if path.is_file())
    moments = sorted(chance.randrange(count - 3) for _ in range(kills))
    end = chance.choice(moments[kills // 3 : -1])  # at which the scheduler is killed
    with cluster(workers, output.with_name("cluster")) as started:
        process = color(started.address, inputs, output, *FLAGS)
        lose(started, process, output, [at for at in moments if at <= end], chance)
        if process.poll() is None:
            started.kill_the_scheduler()
        told.append(" ".join(process.communicate(timeout=600)))
        assert process.returncode == 1 and "scheduler" in told[-1], told
        started.start()
        process = color(started.address, inputs, output, *FLAGS)
        lose(started, process, output, [at for at in moments if at > end], chance)
        told.append(" ".join(process.communicate(timeout=1800)))
        # What was killed three times by chance is tried again.
        process = color(started.address, inputs, output, *FLAGS)
        told.append(" ".join(process.communicate(timeout=1800)))
    return told


def lose(
    started: Cluster,
    process: subprocess.Popen[str],
    output: Path,
    moments: list[int],
    chance: random.Random,
) -> None:
    """Kills a worker each time that so many outputs are there, until the tool ends."""
    for moment in moments:
        while process.poll() is None and outputs(output) <= moment:
            time.sleep(0.1)
        time.sleep(chance.uniform(0, 0.5))
        if process.poll() is None:
            started.kill_a_worker(chance)


def check(inputs: Path, output: Path, wanted: Path) -> None:
    """Checks that all was colored once, into what the plain tool made of it, but two inputs."""
    found_bytes, wanted_bytes = contents(output), contents(wanted)
    differing = {
        name
        for name in found_bytes.keys() | wanted_bytes.keys()
        if found_bytes.get(name) != wanted_bytes.get(name)
    }
    assert not differing
    rows = [json.loads(line) for line in (output / MANIFEST).read_text().splitlines()]
    errors = [json.loads(line) for line in (output / ERRORS).read_text().splitlines()]
    assert sorted(Path(row["file"]).name for row in errors) == ["broken.png", deadly.NAME]
    assert "3 workers were killed" in next(
        row["error"] for row in errors if "deadly" in row["file"]
    )
    files = Counter(row["file"] for row in (*rows, *errors))
    found = {str(path) for path in inputs.rglob("*") if path.is_file()}
    assert set(files) == found and set(files.values()) == {1}
    assert len({row["output"] for row in rows}) == len(rows)
    assert all({"model", "width", "height"} <= row.keys() for row in rows)
    assert not (output / FOLDER).exists()


class Memory(threading.Thread):
    """Notes the memory of processes now and then."""

    def __init__(self, named: dict[str, psutil.Process], every: float = 1.0) -> None:
        super().__init__(daemon=True)
        self.named, self.every, self.over = named, every, threading.Event()
        self.seen: dict[str, list[float]] = {name: [] for name in named}

    def run(self) -> None:
        """Notes MiB until it is over."""
        while not self.over.wait(self.every):
            for name, process in self.named.items():
                with contextlib.suppress(psutil.Error):
                    self.seen[name].append(process.memory_info().rss / 2**20)

    def table(self, rows: int = 5) -> dict[str, list[int]]:
        """Returns, of each process, means of so many parts of the time after the first tenth."""
        self.over.set()
        self.join()
        parts = {
            name: np.array_split(values[len(values) // 10 :], rows)
            for name, values in self.seen.items()
        }
        return {name: [int(np.mean(part)) for part in split] for name, split in parts.items()}
