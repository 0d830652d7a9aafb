"""Archives on Dask in processes of their own, which are killed: nothing lost, nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from helpers import clusters  # noqa: E402
from helpers.archives import TOOLS, crop, rows, until  # noqa: E402

from residual_encoder.apps import cli  # noqa: E402
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST  # noqa: E402
from residual_encoder.imaging import image_io  # noqa: E402

pytestmark = [pytest.mark.cluster, pytest.mark.dask]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clusters.write_inputs(tmp_path_factory.mktemp("cluster") / "in", 997)


@pytest.fixture(scope="module")
def wanted(inputs: Path) -> Path:
    return clusters.plain(inputs, inputs.with_name("plain"))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_1000_inputs_with_losses(inputs: Path, wanted: Path, tmp_path: Path, workers: int) -> None:
    """Ten workers and the scheduler are killed at random moments, and the run is started again."""
    told = clusters.run_with_losses(inputs, tmp_path / "out", workers, kills=10, seed=workers)
    assert told[-1].endswith(f"in {tmp_path / 'out'}\n") or "failed" in told[-1]
    clusters.check(inputs, tmp_path / "out", wanted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_on_this_machine(tmp_path: Path, number: signal.Signals) -> None:
    """Keeps the manifest, tells how to resume, and leaves no process and no mess."""
    box, output = tmp_path / "box", tmp_path / "out"
    box.mkdir()
    image_io.write(box / "000.png", crop(0)[..., 0])
    for copy in range(1, 600):
        (box / f"{copy:03d}.png").hardlink_to(box / "000.png")
    command = [sys.executable, str(TOOLS / "colorize_archive.py"), str(box), f"--output={output}"]
    command += ["--engine=dask", "--workers=2", *clusters.FLAGS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        until(lambda: len(list(output.glob("*.png"))) > 3)
        os.killpg(process.pid, number)  # a terminal sends it to the workers, too
        counts, errors = process.communicate(timeout=100)
    assert process.returncode == cli.INTERRUPTED and "Traceback" not in errors, errors
    written = len(list(output.glob("*.png")))
    assert 3 < written < 600 and len(rows(output / MANIFEST)) == written
    assert rows(output / ERRORS) == [] and counts.startswith(f"{written} colored, 0 skipped")
    stop = f"Stopped. {600 - written} to go: the same command colors the rest."
    assert errors.splitlines()[-1] == stop
    assert not [path for path in output.iterdir() if path.name.startswith(".")]
