"""Measures archives on Dask on this machine: losses, rates, memory.

python tests/measurements/cluster.py losses --workers=2      # killed ten times, and its scheduler
python tests/measurements/cluster.py rates --pictures=100    # 1, 2, 4 workers and the plain tool
python tests/measurements/cluster.py memory --pictures=100000
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import conftest  # noqa: F401  finds the package
import numpy as np
import psutil
from helpers import clusters, stub_network
from helpers.archives import TOOLS, wholes

from residual_encoder.imaging import image_io, resizing

SETTINGS = (None, 1, 2, 4)  # workers of --engine=dask; None is tools/colorize.py


def losses(options: argparse.Namespace) -> None:
    """Kills workers and the scheduler, and checks that nothing is lost or done twice."""
    inputs = options.folder / "in"
    if not inputs.exists():
        clusters.write_inputs(inputs, options.pictures)
        clusters.plain(inputs, options.folder / "plain")
    output = options.folder / f"out{options.workers}"
    shutil.rmtree(output, ignore_errors=True)
    start = time.monotonic()
    for told in clusters.run_with_losses(inputs, output, options.workers, 10, options.seed):
        print(told)
    clusters.check(inputs, output, options.folder / "plain")
    print(f"held, {time.monotonic() - start:.0f} s")


def rates(options: argparse.Namespace) -> None:
    """Prints pictures a second, of the plain tool and of workers, in turns.

    And the processor time of the whole run, from its start, which other programs do not change.
    """
    inputs = options.folder / "photographs"
    for number in range(options.pictures):
        whole = wholes()[number % len(wholes())][..., :3]
        image_io.write(
            _made(inputs / f"{number:04d}.jpg"), resizing.sampled_u8(whole, *options.size)
        )
    seen: dict[object, list[float]] = {setting: [] for setting in SETTINGS}
    for _ in range(options.rounds):
        for setting in SETTINGS:
            output = options.folder / "rates"
            shutil.rmtree(output, ignore_errors=True)
            before = _cpu_seconds()
            _colored(inputs, output, setting)
            seen[setting].append(_rate(output))
            spent = _cpu_seconds() - before
            print(setting, [f"{rate:.2f}" for rate in seen[setting]], f"{spent:.0f} s", flush=True)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _cpu_seconds() -> float:
    """Returns the processor time of all that this process has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _colored(inputs: Path, output: Path, setting: int | None) -> None:
    name, flags = "colorize.py", list[str]()
    if setting:
        name, flags = "colorize_archive.py", ["--engine=dask"]
        flags += [f"--workers={setting}"]
    command = [sys.executable, str(TOOLS / name), str(inputs), f"--output={output}"]
    command += ["--color_inputs=recolor", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _rate(output: Path) -> float:
    """Returns files a second after the first quarter, by which all workers are at work."""
    times = sorted(path.stat().st_mtime for path in output.glob("*.jpg"))
    late = times[len(times) // 4 :]
    return (len(late) - 1) / (late[-1] - late[0])


def memory(options: argparse.Namespace) -> None:
    """Prints the memory of all processes over many tiny inputs, with a network that is a stub."""
    inputs = options.folder / "tiny"
    for first in range(0, options.pictures, 1000):
        picture = _made(inputs / f"{first // 1000:03d}" / "000.png")
        image_io.write(picture, np.full((8, 8), 7, np.uint8))
        for number in range(1, min(1000, options.pictures - first)):
            if not (path := picture.with_name(f"{number:03d}.png")).exists():
                path.hardlink_to(picture)
    output = options.folder / "colored"
    shutil.rmtree(output, ignore_errors=True)
    with clusters.cluster(
        options.workers, options.folder / "cluster", preload=stub_network.__file__
    ) as started:
        time.sleep(20)  # until the workers proper are there
        start = time.monotonic()
        process = clusters.color(started.address, inputs, output, "--size=32")
        assert started.scheduler
        named = {"scheduler": psutil.Process(started.scheduler.pid)}
        named |= {"client": psutil.Process(process.pid)}
        named |= {f"worker {at}": found for at, found in enumerate(started.worker_processes())}
        watch = clusters.Memory(named)
        watch.start()
        print(*process.communicate())
        seconds = time.monotonic() - start
        for name, means in watch.table().items():
            print(f"{name}: {means} MiB, by fifths of the time", flush=True)
    print(f"{options.pictures / seconds:.0f} inputs a second")


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("losses", "rates", "memory"))
    parser.add_argument("--folder", type=Path, default=Path("runs/cluster"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pictures", type=int, default=997)
    parser.add_argument("--size", type=int, nargs=2, default=(866, 1155), help="height and width")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    {"losses": losses, "rates": rates, "memory": memory}[options.what](options)


if __name__ == "__main__":
    main()
