"""Archives on Dask in processes of their own, which are killed: nothing lost, nothing twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="Dask is not installed")

from helpers import clusters  # noqa: E402
from helpers.archives import check_stop  # noqa: E402

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
    check_stop(tmp_path, number, "--engine=dask", "--workers=2", *clusters.FLAGS)
