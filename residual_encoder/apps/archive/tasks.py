"""Tasks of a collection: which picture is colored into which file, without conflicts.

Nothing here imports TensorFlow: Beam hands these from worker to worker.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from residual_encoder.inference.coloring_config import ColoringConfig
from residual_encoder.inference.output_paths import output_conflict

# Records that one worker colors in a row: enough that reading past those before them, once a
# group, is little compared to coloring them; few enough to keep workers busy with one shard of
# 1,024.
GROUP = 64


@dataclass(frozen=True)
class CollectionConfig(ColoringConfig):
    """Configures the inputs and outputs of a collection; paths are the workers', local or mounted.

    How they are colored: see `ColoringConfig`.

    Attributes:
      inputs: Files, folders and globs, see `file_discovery.find`; or TFRecord files and globs of
        them.
      output: Folder for the colored files and both manifests; made if need be.
      records: Whether the inputs are TFRecord files, with pictures in `image/encoded` and names in
        `image/filename`, as ImageNet's and `tools/make_shards.py`'s are.
      files_from: A text file with a path a line, of more files; or none.
    """

    inputs: tuple[str, ...]
    output: str
    records: bool = False
    files_from: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if "-" in (*self.inputs, self.output):
            raise ValueError("A collection is files and a folder; for - use tools/colorize.py.")
        if self.files_from and self.records:
            raise ValueError("files_from lists pictures and films; name TFRecord files as inputs.")


@dataclass(frozen=True)
class Task:
    """Describes one picture or film to color.

    Attributes:
      source: The file, or SHARD@NUMBER.
      target: The colored file.
      shard: The TFRecord file that it lies in; empty for a file of its own.
      number: Of the record in its shard, or of the file among the inputs; from 0.
      name: Its name in errors.
      error: Why it cannot be colored.
      left_out: Why it is not colored, though nothing is wrong with it.
    """

    source: str
    target: str = ""
    shard: str = ""
    number: int = 0
    name: str = ""
    error: str = ""
    left_out: str = ""

    @property
    def closed(self) -> bool:
        """Returns whether nothing is written for it."""
        return bool(self.error or self.left_out)


def output_keys(task: Task) -> Iterator[tuple[bytes, Task | None]]:
    """Yields real path -> the task that writes it, and the real path of an input -> None."""
    if task.closed:
        yield os.fsencode(task.source), task
        return
    yield os.fsencode(os.path.realpath(task.target)), task
    if not task.shard:
        yield os.fsencode(os.path.realpath(task.source)), None


def resolve_conflicts(key: tuple[bytes, Iterable[Task | None]]) -> Iterator[Task]:
    """Yields the tasks of one output: the first may write it, unless it is an input.

    An input that was named twice stays once.
    """
    found = list(key[1])
    tasks = sorted((task for task in found if task), key=lambda task: (task.shard, task.number))
    yield from (task for task in tasks if task.closed)
    writers = [task for task in tasks if not task.closed]
    free = 0 if None in found else 1
    yield from writers[:free]
    same = os.path.abspath(writers[0].source) if writers and free else None
    for task in writers[free:]:
        if os.path.abspath(task.source) != same:
            yield refused(task)


def refused(task: Task) -> Task:
    """Returns a task that is not colored since its output is an input or another's output."""
    return replace(task, error=output_conflict(task.source, task.target))


def group(task: Task) -> tuple[bytes, int]:
    """Returns a key that neighbors in a shard share."""
    return os.fsencode(task.shard or task.source), task.number // GROUP
