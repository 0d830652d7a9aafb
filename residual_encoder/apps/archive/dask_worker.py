"""Runs in Dask's workers: colors some tasks, lists records, writes a part of the manifest."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from residual_encoder.apps.archive import manifests, processes
from residual_encoder.apps.archive.journal import Journal
from residual_encoder.apps.archive.tasks import CollectionConfig, Task

KILLS = 3  # workers that an input may take along
_LOADING = threading.Lock()
_COLORIZERS: dict[CollectionConfig, Any] = {}  # one a process, whatever its threads


class Company:
    """Counts what a process has in work at a time, and lets one be alone with it.

    When a process is killed, all that it had in work is suspect. Suspects are tried alone, so that
    no other input is killed with them again, and is blamed for it.

    Attributes:
      inside: How many are in work.
    """

    def __init__(self) -> None:
        self.inside, self._taken = 0, False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def member(self, alone: bool) -> Iterator[None]:
        """Waits until there is room: for one that is alone, until no other is in work."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            self._taken = alone  # those that come now wait
            self._changed.wait_for(lambda: not alone or not self.inside)
            self.inside += 1
        try:
            yield
        finally:
            with self._changed:
                self.inside -= 1
                self._taken = self._taken and not alone
                self._changed.notify_all()


_COMPANY = Company()


@dataclass(frozen=True)
class Job:
    """Holds what every task of a run is colored with.

    Attributes:
      config: The collection, and how to color it.
      journal: Where rows are kept.
      cores: For TensorFlow in one process; None leaves it to TensorFlow.
    """

    config: CollectionConfig
    journal: Journal
    cores: int | None = None


def color_tasks(tasks: list[Task], job: Job) -> dict[str, int]:
    """Colors files, or records of one shard, and keeps their rows.

    Returns:
      Outcome -> how many, waiting among them; of this attempt.
    """
    counts: Counter[str] = Counter()
    if tasks[0].shard:
        colorizer = _colorizer(job) if _to_do(tasks, job) else None
        found = processes.worker().colorize_records(
            colorizer, tasks, job.config, _Waits(job, counts), _Painter(job)
        )
        counts.update(_noted(job, task, line) for task, line in found)
        return counts
    for task in tasks:
        if _waits(task, job):
            counts["waiting"] += 1
            continue
        colorizer = _colorizer(job) if _to_do([task], job) else None
        line = _Painter(job)(colorizer, task, None, job.config)
        counts[_noted(job, task, line)] += 1
    return counts


def list_records(shard: str, config: CollectionConfig) -> list[Task]:
    """Returns the tasks of a TFRecord file."""
    return list(processes.worker().record_tasks(shard, config))


def merge(shard: int, journal: Journal) -> dict[str, int]:
    """Writes one part of the manifest; see `Journal.merge`."""
    return journal.merge(shard)


def lost(tasks: Iterable[Task], job: Job, attempts: int) -> dict[str, int]:
    """Keeps errors of tasks whose workers are lost again and again, whatever they color."""
    counts: Counter[str] = Counter()
    for task in tasks:
        if not task.closed and not Path(task.target).exists():
            why = f"{task.source}: {attempts} workers were lost that had it among their inputs"
            task = replace(task, error=why)
        line = processes.worker().color(None, task)
        counts[_noted(job, task, line)] += 1
    return counts


def _to_do(tasks: list[Task], job: Job) -> bool:
    """Returns whether the network is needed."""
    return any(not (task.closed or Path(task.target).exists()) for task in tasks)


def _waits(task: Task, job: Job) -> bool:
    """Returns whether the run is stopped before a task; those without work are finished."""
    return _to_do([task], job) and job.journal.stop.exists()


@dataclass
class _Waits:
    """Counts the records that the stopped run does not begin."""

    job: Job
    counts: Counter[str]

    def __call__(self, task: Task) -> bool:
        waits = _waits(task, self.job)
        self.counts["waiting"] += waits
        return waits


@dataclass
class _Painter:
    """Colors one input, unless it took along too many workers; in the form of `worker.color`."""

    job: Job

    def __call__(
        self, colorizer: Any, task: Task, record: bytes | None, config: CollectionConfig | None
    ) -> str:
        journal = self.job.journal
        if colorizer is None or task.closed:
            return str(processes.worker().color(colorizer, task, record, config, journal))
        before = journal.begun(task.source)
        if before >= KILLS:
            task = replace(task, error=_deadly(task))
        # Readers take libvips' messages, of which a process has one list, for those of their file.
        with _COMPANY.member(alone=True):
            journal.begin(task.source)
            line = processes.worker().color(colorizer, task, record, config, journal)
            journal.end(task.source)
        return str(line)


def _deadly(task: Task) -> str:
    return (
        f"{task.name}: {KILLS} workers were killed while they colored it, by the system for want "
        "of memory or by a fault in a decoder"
    )


def _noted(job: Job, task: Task, line: str) -> str:
    """Keeps a row that `worker.color` has not kept; returns its outcome."""
    outcome = manifests.outcome(line)
    if outcome != "colored":
        job.journal.note(task.source, line)
    return outcome


def _colorizer(job: Job) -> Any:
    """Returns this process's `Colorizer`, loaded at first."""
    with _LOADING:
        if job.config not in _COLORIZERS:
            processes.quiet_tensorflow()
            if job.cores:
                _limit(job.cores)
            _COLORIZERS.clear()  # of a run before on workers that last
            _COLORIZERS[job.config] = processes.worker().load(job.config)
        return _COLORIZERS[job.config]


def _limit(cores: int) -> None:
    """Limits TensorFlow's threads, unless it runs already."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(cores)
    except RuntimeError:
        return


def load(job: Job) -> None:
    """Loads the network; errors as of `worker.load`."""
    _colorizer(job)


def dask_setup(_: Any) -> None:
    """Ignores Ctrl-C and SIGTERM, which may be sent to all processes: the tool stops its workers.

    Dask calls it in workers on this machine, as they start.
    """
    with contextlib.suppress(ValueError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
