"""Starts Dask's workers on this machine, or finds those of a cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from residual_encoder.apps.archive import dask_worker, processes

CONNECTING = 30  # seconds that are waited for a scheduler


@dataclass(frozen=True)
class ClusterConfig:
    """Configures where the tasks are run.

    Attributes:
      scheduler: Address of a scheduler, such as tcp://HOST:8786; None starts workers here.
      workers: How many processes to start here, each with one input in work at a time; None is one
        for each core.
    """

    scheduler: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1. Received {self.workers}.")
        if self.workers is not None and self.scheduler:
            raise ValueError("workers is for workers on this machine; --scheduler has its own.")

    @property
    def processes(self) -> int:
        """Returns how many worker processes to start on this machine."""
        return self.workers or cores()

    @property
    def cores_each(self) -> int | None:
        """Returns how many threads TensorFlow may use in a process; None is its own choice."""
        return None if self.scheduler else max(1, cores() // self.processes)


def cores() -> int:
    """Returns how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def client(config: ClusterConfig) -> Iterator[Any]:
    """Yields a `distributed.Client` of a cluster with at least one worker.

    Workers on this machine have nannies, which start another where one is lost.

    Raises:
      ValueError: Dask is not installed.
      OSError: no scheduler answers, or it has no worker.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ValueError('Dask is not installed; in the project\'s folder: pip install ".[dask]"')
    import dask
    from distributed import Client

    processes.let_find_package()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with dask.config.set(_SETTINGS), contextlib.ExitStack() as stack:
        address: Any = config.scheduler or stack.enter_context(_local(config))
        try:
            connected = stack.enter_context(
                Client(address, timeout=CONNECTING, set_as_default=False)
            )
            connected.wait_for_workers(1, timeout=CONNECTING)
        except OSError as error:  # also what is raised at the end of the time
            raise OSError(
                f"No Dask scheduler with a worker answers at {config.scheduler} within "
                f"{CONNECTING} seconds: {error}"
            ) from error
        yield connected


# They tell of lost workers, which are expected.
_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application")
# Workers here are neither paused nor spill: there is nothing of Dask's own in their memory.
_SETTINGS = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.profile.enabled": False,  # it keeps an hour of call stacks in each worker
    # Nothing of Dask's: with OPENBLAS_NUM_THREADS=1 sums over very large pictures differ, and with
    # MALLOC_TRIM_THRESHOLD_=65536 the memory of every array goes back to the system when it is
    # freed, which doubles the processor time of a picture (docs/scaling.md).
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.comm.timeouts.connect": CONNECTING,
}


@contextlib.contextmanager
def _local(config: ClusterConfig) -> Iterator[Any]:
    from distributed import LocalCluster

    with _without_interrupts():
        cluster = LocalCluster(
            n_workers=config.processes,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
            preload=[dask_worker.__name__],
        )
    with cluster:
        yield cluster


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Lets the processes that are started ignore Ctrl-C, which a terminal sends to all of them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
