"""Colors collections on Apache Beam; skips finished files, lists failures.

Beam moves names only; pictures are read and written by the worker that colors them.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from residual_encoder.apps import cli
from residual_encoder.apps.archive import beam_runner, listing, manifests, processes, tasks
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST, CollectionSummary
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.utils import files

_Row = tuple[bytes, manifests.Ranked]  # input -> rank, a line of JSON


class Prepared(NamedTuple):
    """Holds a collection of which the inputs were checked."""

    config: CollectionConfig
    options: Any  # Beam's
    colorer: _TaskColorizer
    lines: list[str]  # what of the inputs cannot be read here, for a person


def colorize_archive(config: CollectionConfig, flags: Sequence[str] = ()) -> CollectionSummary:
    """Colors pictures and films on any of Beam's runners.

    `MANIFEST` has one JSON object a line and colored file: `file`, `output`, `width` and `height`
    or `frames`, and `model`, the SHA-256 of the weights; of an output that was there already only
    what is known, of a picture or film that was left out `file` and `left_out`, the reason.
    `ERRORS` has `file` and `error`. Both keep what earlier runs wrote. Outputs that
    exist are skipped; failures are tried again.

    Args:
      config: The collection, and how to color it.
      flags: Beam's, such as --runner; see `beam_runner.options`.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      ValueError: no picture was found, or a wrong option.
      OSError: the output folder cannot be made.
      RuntimeError: the pipeline failed.
    """
    prepared = prepare(config, flags)
    load(prepared)
    return colorize(prepared)


def prepare(config: CollectionConfig, flags: Sequence[str] = ()) -> Prepared:
    """Checks the flags and the inputs; see `colorize_archive`."""
    chosen = beam_runner.options(flags)
    lines = processes.worker().check(config)
    stop = Path(config.output) / f".stop-{uuid.uuid4().hex}"
    return Prepared(config, chosen, _TaskColorizer(config, stop), lines)


def load(prepared: Prepared) -> None:
    """Loads the network and makes the output folder, so that wrong ones are answered at once."""
    prepared.colorer.colorizer()
    output = Path(prepared.config.output)
    files.make_folder(output)
    if (parts := manifests.shards_there(output)) > 1:
        raise ValueError(
            f"{output} has a manifest in {parts} parts, which --engine=dask writes; continue with "
            "that, or choose another --output"
        )
    manifests.check(output)


def colorize(prepared: Prepared, stopping: Callable[[], None] = lambda: None) -> CollectionSummary:
    """Colors a collection; Ctrl-C and SIGTERM stop it when what is being colored is finished.

    Both manifests are written then, too. Workers see a file in the output folder, which they all
    mount, so that this works on every runner.

    Args:
      prepared: As `prepare` gives it.
      stopping: Called where it is to be stopped.
    """
    config, chosen, colorer, _ = prepared

    def stop() -> None:
        colorer.stop.touch()
        stopping()

    try:
        with cli.stopped_by(stop):
            counts = beam_runner.run(chosen, lambda root: _build(root, config, colorer))
        stopped = colorer.stop.exists()
    finally:
        colorer.stop.unlink(missing_ok=True)
    return manifests.summary(counts, stopped)


def _build(root: Any, config: CollectionConfig, colorer: _TaskColorizer) -> None:
    """Finds tasks, resolves conflicts, colors, merges earlier rows, writes both manifests."""
    import apache_beam as beam

    start = root | beam.Create([config])
    found = start | "find" >> beam.FlatMap(_find)
    if config.records:
        found = found | beam.Reshuffle() | "open" >> beam.FlatMap(_open, config)
    keyed = found | "output keys" >> beam.FlatMap(tasks.output_keys)
    writers = keyed | "by output" >> beam.GroupByKey()
    resolved = writers | "resolve conflicts" >> beam.FlatMap(tasks.resolve_conflicts)
    if config.records:
        groups = resolved | "neighbors" >> beam.GroupBy(tasks.group)
        news = groups | "color" >> beam.FlatMap(colorer.colorize_records)
    else:
        news = resolved | "color" >> beam.FlatMap(colorer.color)
    old = start | "earlier" >> beam.FlatMap(_earlier)
    rows = (news, old) | "rows" >> beam.Flatten() | "by input" >> beam.GroupByKey()
    lines = rows | "latest" >> beam.Map(_latest)
    both = start | "both" >> beam.FlatMap(_both)
    by_file = (lines, both) | "lines" >> beam.Flatten() | "by file" >> beam.GroupByKey()
    by_file | "write" >> beam.Map(_write, config.output)


def _find(config: CollectionConfig) -> Iterator[Task | str]:
    """Yields tasks, or the shards that they lie in."""
    if config.records:
        yield from processes.worker().shards(config.inputs)
    else:
        yield from listing.file_tasks(config)


def _open(shard: str, config: CollectionConfig) -> Iterator[Task]:
    yield from processes.worker().record_tasks(shard, config)


class _TaskColorizer:
    """Colors tasks; the network is loaded once a process, whatever its threads.

    Attributes:
      stop: A file; once it exists no further picture is begun.
    """

    def __init__(self, config: CollectionConfig, stop: Path) -> None:
        from apache_beam.utils import shared

        self.config, self.stop, self.handle = config, stop, shared.Shared()

    def colorizer(self) -> Any:
        """Returns this process's `Colorizer`."""
        return self.handle.acquire(lambda: processes.worker().load(self.config))

    def color(self, task: Task) -> Iterator[_Row]:
        """Colors a file and yields its row."""
        if not self._waits(task):
            line = processes.worker().color(self.colorizer(), task, config=self.config)
            beam_runner.count(manifests.outcome(line))
            yield _row(task.source, line)

    def colorize_records(self, group: tuple[tuple[bytes, int], Iterable[Task]]) -> Iterator[_Row]:
        """Colors records of one shard and yields their rows."""
        work = processes.worker()
        found = work.colorize_records(self.colorizer(), group[1], self.config, self._waits)
        for task, line in found:
            beam_runner.count(manifests.outcome(line))
            yield _row(task.source, line)

    def _waits(self, task: Task) -> bool:
        """Returns whether the run is stopped before a task; those without work are finished."""
        waits = self.stop.exists() and not task.closed and not Path(task.target).exists()
        if waits:
            beam_runner.count("waiting")
        return waits


# --- manifests ------------------------------------------------------------------------------------


def _row(source: str, line: str) -> _Row:
    return os.fsencode(source), manifests.ranked(line)


def _earlier(config: CollectionConfig) -> Iterator[_Row]:
    """Yields the rows of earlier runs."""
    for rank, line in manifests.earlier(Path(config.output)):
        yield os.fsencode(json.loads(line)["file"]), (rank, line)


def _latest(rows: tuple[bytes, Iterable[manifests.Ranked]]) -> tuple[str, str]:
    """Returns the row that stays of one input, with the file that it goes into."""
    line = max(rows[1])[1]
    return manifests.file_of(line), line


def _both(_: CollectionConfig) -> Iterator[tuple[str, str]]:
    """Yields an empty line for either file, so that both are written."""
    yield from ((MANIFEST, ""), (ERRORS, ""))


def _write(lines: tuple[str, Iterable[str]], output: str) -> None:
    """Writes one of the two files."""
    manifests.write(Path(output) / lines[0], filter(None, lines[1]))
