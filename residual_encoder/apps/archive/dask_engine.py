"""Colors collections on Dask: any number of inputs, whatever becomes of workers.

Dask moves names only; pictures are read and written by the worker that colors them. The client
lists inputs as workers need them, so that its memory and the scheduler's do not grow with them.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from residual_encoder.apps import cli
from residual_encoder.apps.archive import (
    dask_cluster,
    dask_worker,
    listing,
    manifests,
    processes,
)
from residual_encoder.apps.archive.dask_cluster import ClusterConfig
from residual_encoder.apps.archive.dask_progress import Progress
from residual_encoder.apps.archive.dask_stream import Stream
from residual_encoder.apps.archive.dask_worker import Job
from residual_encoder.apps.archive.journal import Journal
from residual_encoder.apps.archive.manifests import CollectionSummary
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.utils import files

_RECORDS = 1024  # a TFRecord file, as far as is known before it is read
LOCK = ".archive.lock"  # in the output folder


def colorize_archive(
    config: CollectionConfig,
    cluster: ClusterConfig | None = None,
    stopping: Callable[[], None] = lambda: None,
    told: Callable[[str], None] = lambda line: None,
) -> CollectionSummary:
    """Colors pictures and films on Dask; the files of `beam_pipeline.colorize_archive`.

    An input that takes `dask_worker.KILLS` workers along is an error. Above
    `manifests.MOST_IN_ONE` inputs both manifests are in parts.

    Args:
      config: The collection, and how to color it.
      cluster: Where; None starts workers on this machine.
      stopping: Called where it is to be stopped by Ctrl-C or SIGTERM.
      told: Called with lines for a person.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      ValueError: no picture was found, or a wrong option; another run is at work in the folder.
      OSError: the output folder cannot be made, or the scheduler is lost.
    """
    cluster = cluster or ClusterConfig()
    shards = _checked(config)
    files.make_folder(Path(config.output))
    with _locked(Path(config.output)), dask_cluster.client(cluster) as client:
        told(f"Dask: {client.scheduler.address}, dashboard {client.dashboard_link}")
        with contextlib.closing(_Run(client, config, cluster, shards)) as run:
            run.load()
            with cli.stopped_by(run.stop_by(stopping)):
                return run.all()


def _checked(config: CollectionConfig) -> list[str]:
    """Returns the TFRecord files of a collection of those; checks the inputs of all."""
    if config.records:
        return list(processes.worker().shards(config.inputs))
    listing.check(config)
    return []


@contextlib.contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Keeps a second run away from the same folder.

    Raises:
      ValueError: there is one.
    """
    lock = FileLock(output / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"Another run is at work in {output}; wait for its end") from None
    try:
        yield
    finally:
        (output / LOCK).unlink(missing_ok=True)
        lock.release()


class _Run:
    """The state of one `colorize_archive`."""

    def __init__(
        self, client: Any, config: CollectionConfig, cluster: ClusterConfig, shards: list[str]
    ) -> None:
        self.stream, self.config, self.shards = Stream(client), config, shards
        self.counter = None if config.records else listing.Counter(config)
        output = Path(config.output)
        parts = manifests.shards_there(output)
        if parts == 1 and self._is_large():
            parts = manifests.SHARDS
        manifests.check(output)
        manifests.check(output, parts)
        self.journal = Journal(config.output, parts, uuid.uuid4().hex)
        self.job = Job(config, self.journal, cluster.cores_each)
        self.stopped = False

    def _is_large(self) -> bool:
        if self.counter is None:
            return len(self.shards) * _RECORDS > manifests.MOST_IN_ONE
        return self.counter.more_than(manifests.MOST_IN_ONE)

    def load(self) -> None:
        """Loads the network in a worker, so that a wrong one is answered at once."""
        self.stream.client.submit(dask_worker.load, self.job, pure=False).result()

    def stop_by(self, stopping: Callable[[], None]) -> Callable[[], None]:
        """Returns a function that stops the run."""

        def stop() -> None:
            self.stopped = True
            self.journal.folder.mkdir(exist_ok=True)
            self.journal.stop.touch()
            stopping()

        return stop

    def all(self) -> CollectionSummary:
        """Colors, and writes the manifests."""
        self.journal.folder.mkdir(exist_ok=True)
        self.journal.split_earlier()
        waiting = self._color()
        counts: Counter[str] = Counter(waiting=waiting)
        merged = self.stream.results(dask_worker.merge, range(self.journal.shards), self.journal)
        for _, some in merged:
            counts.update(some)
        self.journal.close(self.stopped)
        return manifests.summary(counts, self.stopped)

    def _color(self) -> int:
        """Colors all inputs; returns how many wait since the run was stopped."""
        progress, sent = Progress(self._total), 0
        waiting = 0

        def begun() -> Iterator[list[Task]]:
            nonlocal sent
            for chunk in listing.chunks(listing.Claims(self.config).resolved(self._found())):
                if self.stopped:
                    return
                sent += len(chunk)
                yield chunk

        results = self.stream.results(
            dask_worker.color_tasks, begun(), self.job, lost=dask_worker.lost
        )
        for chunk, counts in results:
            waiting += counts.get("waiting", 0)
            progress.add(len(chunk), counts.get("failed", 0))
        progress.close()
        return waiting + max((self._total() or 0) - sent, 0) if self.stopped else 0

    def _found(self) -> Iterator[Task]:
        if not self.config.records:
            yield from listing.file_tasks(self.config)
            return
        for found in self.stream.ordered(dask_worker.list_records, self.shards, self.config):
            yield from found

    def _total(self) -> int | None:
        """Returns how many inputs there are, once that is known."""
        return self.counter.total if self.counter and self.counter.done else None

    def close(self) -> None:
        """Ends the counting."""
        if self.counter:
            self.counter.close()
