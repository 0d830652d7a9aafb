"""Colors collections on Apache Beam; skips finished files, lists failures.

Beam moves names only; pictures are read and written by the worker that colors them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from residual_encoder.apps.archive import beam_runner, tasks
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.utils import files

MANIFEST, ERRORS = "manifest.jsonl", "errors.jsonl"  # in the output folder

# Ranks of rows about one input; the highest stays.
_OLD_ERROR, _THERE, _OLD, _NEW = range(4)
_Row = tuple[bytes, tuple[int, str]]  # input -> rank, a line of JSON


class _Counts(NamedTuple):
    colored: int
    skipped: int
    failed: int


class CollectionSummary(_Counts):
    """Counts the inputs by their outcome: colored, skipped, failed.

    Attributes:
      colored: How many were colored.
      skipped: How many had been colored earlier.
      failed: How many could not be read or written.
      left_out: How many were not colored though nothing is wrong with them.
    """

    left_out: int = 0


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
    chosen = beam_runner.options(flags)
    _worker().check(config)
    colorer = _TaskColorizer(config)
    colorer.colorizer()  # a wrong model is answered at once
    output = Path(config.output)
    files.make_folder(output)
    _check_manifests(output)
    counts = beam_runner.run(chosen, lambda root: _build(root, config, colorer))
    summary = CollectionSummary(*(counts.get(name, 0) for name in CollectionSummary._fields))
    summary.left_out = counts.get("left_out", 0)
    return summary


def _worker() -> Any:
    """Returns the module that imports TensorFlow, imported by Beam's workers when needed."""
    beam_runner.quiet_tensorflow()
    from residual_encoder.apps.archive import worker

    return worker


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
        news = resolved | "color" >> beam.Map(colorer.color)
    old = start | "earlier" >> beam.FlatMap(_earlier)
    rows = (news, old) | "rows" >> beam.Flatten() | "by input" >> beam.GroupByKey()
    lines = rows | "latest" >> beam.Map(_latest)
    both = start | "both" >> beam.FlatMap(_both)
    by_file = (lines, both) | "lines" >> beam.Flatten() | "by file" >> beam.GroupByKey()
    by_file | "write" >> beam.Map(_write, config.output)


def _find(config: CollectionConfig) -> Iterator[Task | str]:
    """Yields tasks, or the shards that they lie in."""
    work = _worker()
    yield from work.shards(config.inputs) if config.records else work.file_tasks(config)


def _open(shard: str, config: CollectionConfig) -> Iterator[Task]:
    yield from _worker().record_tasks(shard, config)


class _TaskColorizer:
    """Colors tasks; the network is loaded once a process, whatever its threads."""

    def __init__(self, config: CollectionConfig) -> None:
        from apache_beam.utils import shared

        self.config, self.handle = config, shared.Shared()

    def colorizer(self) -> Any:
        """Returns this process's `Colorizer`."""
        return self.handle.acquire(lambda: _worker().load(self.config))

    def color(self, task: Task) -> _Row:
        """Colors a file and returns its row."""
        colorizer = self.colorizer()
        return _row(task.source, _worker().color(colorizer, task, config=self.config))

    def colorize_records(self, group: tuple[tuple[bytes, int], Iterable[Task]]) -> Iterator[_Row]:
        """Colors records of one shard and yields their rows."""
        work = _worker()
        for task, line in work.colorize_records(self.colorizer(), group[1], self.config):
            yield _row(task.source, line)


# --- manifests ------------------------------------------------------------------------------------


def _row(source: str, line: str) -> _Row:
    facts = json.loads(line)
    rank = _NEW if {"model", "error", "left_out"} & facts.keys() else _THERE
    return os.fsencode(source), (rank, line)


def _earlier(config: CollectionConfig) -> Iterator[_Row]:
    """Yields the rows of earlier runs."""
    for name, rank in ((MANIFEST, _OLD), (ERRORS, _OLD_ERROR)):
        path = Path(config.output) / name
        for line in path.read_text().splitlines() if path.exists() else ():
            yield os.fsencode(json.loads(line)["file"]), (rank, line)


def _latest(rows: tuple[bytes, Iterable[tuple[int, str]]]) -> tuple[str, str]:
    """Returns the row that stays of one input, with the file that it goes into."""
    line = max(rows[1])[1]
    return (ERRORS if "error" in json.loads(line) else MANIFEST), line


def _both(_: CollectionConfig) -> Iterator[tuple[str, str]]:
    """Yields an empty line for either file, so that both are written."""
    yield from ((MANIFEST, ""), (ERRORS, ""))


def _write(lines: tuple[str, Iterable[str]], output: str) -> None:
    """Writes one of the two files, sorted, if that changes it."""
    path = Path(output) / lines[0]
    text = "".join(f"{line}\n" for line in sorted(filter(None, lines[1])))
    if not path.exists() or text != path.read_text():
        files.write_text(path, text)


def _check_manifests(output: Path) -> None:
    """Refuses to replace files of these names that another program wrote."""
    for path in (output / MANIFEST, output / ERRORS):
        try:
            with path.open() as file:
                if line := file.readline():
                    json.loads(line)["file"]
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no manifest of this tool and would be replaced; choose another --output"
            ) from error
