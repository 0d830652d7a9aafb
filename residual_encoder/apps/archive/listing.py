"""Lists the tasks of a collection one by one, each output for one input, in bounded memory."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from residual_encoder.apps.archive import remote, tasks
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.inference import file_discovery, output_paths
from residual_encoder.inference.file_discovery import Job, Passed

FILES = 16  # pictures a task: a second of work, so that little is begun twice after a loss
_MAGIC = frozenset("*?[")


def check(config: CollectionConfig) -> None:
    """Checks that all inputs exist, and that there is a picture or film among them.

    Raises:
      FileNotFoundError: one does not exist.
      ValueError: there is none; or the output is the input folder.
    """
    check_folder(config)
    for given in filter(None, (*config.inputs, config.files_from)):
        if remote.is_remote(given):
            next(remote.walk(given), None)
        elif not os.path.exists(given) and not _MAGIC & set(given):
            raise FileNotFoundError(f"There is no {given}; wanted a file, a folder or a glob.")
    passed = file_discovery.Found()
    for task in file_tasks(config):
        if not task.left_out:
            return
        passed.left_out[Path(task.source)] = task.left_out
    raise file_discovery.nothing(config.inputs, passed)


def check_folder(config: CollectionConfig) -> None:
    """Refuses an input folder as the output; see `file_discovery.check_folder`."""
    output = Path(config.output)
    found = file_discovery.walk(_local(config), output, config.format)
    file_discovery.check_folder(_local(config), output, found)


def file_tasks(config: CollectionConfig) -> Iterator[Task]:
    """Yields a task for each file, and one with the reason for each that is not to be colored."""
    output = Path(config.output)
    found = itertools.chain(
        map(_task, file_discovery.walk(_local(config), output, config.format)),
        _remote_tasks(config),
        map(_task, _listed(config)),
    )
    yield from (replace(task, number=number) for number, task in enumerate(found))


def _local(config: CollectionConfig) -> tuple[str, ...]:
    return tuple(given for given in config.inputs if not remote.is_remote(given))


def _task(entry: Job | Passed) -> Task:
    source = str(entry.source)
    if isinstance(entry, Job):
        return Task(source, str(entry.target), name=source)
    return Task(source, error=entry.error, left_out=entry.left_out)


def _remote_tasks(config: CollectionConfig) -> Iterator[Task]:
    for given in filter(remote.is_remote, config.inputs):
        for url, place in remote.walk(given):
            target = Path(config.output) / output_paths.output_name(Path(place), config.format)
            yield Task(url, str(target), name=url)


def _listed(config: CollectionConfig) -> Iterator[Job | Passed]:
    if config.files_from:
        # Editors of Windows write a mark before the first name, which is no part of it.
        with open(config.files_from, encoding="utf-8-sig", errors="surrogateescape") as names:
            for name in filter(None, (line.rstrip("\r\n") for line in names)):
                yield file_discovery.listed(name, Path(config.output), config.format)


def chunks(found: Iterable[Task]) -> Iterator[list[Task]]:
    """Yields tasks in groups for one worker each; a film has one of its own, as has a shard."""
    group: list[Task] = []
    for task in found:
        if not task.shard and output_paths.is_film(Path(task.source)):
            yield [task]
            continue
        most = tasks.GROUP if task.shard else FILES
        if group and (len(group) >= most or task.shard != group[0].shard):
            yield group
            group = []
        group.append(task)
    if group:
        yield group


# --- one input an output --------------------------------------------------------------------------


class Claims:
    """Gives each output to the first input that has it, unless it is an input itself.

    Of a single folder it holds the outputs in one folder at a time. Otherwise it holds 160 bytes an
    input: names in different inputs may meet.
    """

    def __init__(self, config: CollectionConfig) -> None:
        """Notes the inputs; the names that globs fit are held."""
        given = _local(config)
        self._output = os.path.realpath(config.output)
        self._folders = [os.path.realpath(path) for path in given if os.path.isdir(path)]
        self._files = set() if config.records else set(_named_files(given))
        self._single = len(config.inputs) == len(self._folders) == 1 and not config.files_from
        self._listed = config.files_from is not None
        self._parent, self._seen = "", dict[bytes, bytes]()

    def resolved(self, found: Iterable[Task]) -> Iterator[Task]:
        """Yields the tasks, with an error where they may not write; those named twice once."""
        for task in found:
            if task.closed:
                yield task
            elif checked := self._checked(task):
                yield checked

    def _checked(self, task: Task) -> Task | None:
        """Returns a task as it may be done; None where it was there before."""
        parent, real = _real_folder(os.path.dirname(task.target)), _real_name(task.target)
        if os.path.lexists(real) and self._is_input(real):
            return tasks.refused(task)
        if self._listed and self._is_of_output(task.source):
            return tasks.refused(task)
        self._forget(parent)
        name, owner = _digest(real), _digest(os.path.abspath(task.source))
        if name not in self._seen:
            self._seen[name] = owner
            return task
        return None if self._seen[name] == owner else tasks.refused(task)

    def _is_of_output(self, source: str) -> bool:
        """Returns whether an input lies in the output folder, where other inputs may write it."""
        return not remote.is_remote(source) and _below(_real_name(source), self._output)

    def _forget(self, parent: str) -> None:
        """Forgets the outputs of the folder before, where no other input can have them."""
        below = self._output == parent or parent.startswith(self._output + os.sep)
        if self._single and below and parent != self._parent:
            self._seen.clear()
            self._parent = parent

    def _is_input(self, real: str) -> bool:
        """Returns whether an output that exists is among the inputs."""
        inside = _below(real, self._output)
        if real in self._files:
            return True
        return any(
            _below(real, folder) and not (inside and _strictly_below(self._output, folder))
            for folder in self._folders
        )


@functools.lru_cache(1024)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def _real_name(path: str) -> str:
    """Returns `os.path.realpath`, with folders looked up once for many files in a row."""
    folder, name = os.path.split(path)
    real = os.path.join(_real_folder(folder), name)
    return os.path.realpath(real) if os.path.islink(real) else real


def _named_files(inputs: tuple[str, ...]) -> Iterator[str]:
    """Yields the real paths of inputs that are no folders."""
    import glob

    for given in inputs:
        if os.path.isdir(given):
            continue
        fits = glob.glob(given, recursive=True) if not os.path.exists(given) else [given]
        yield from (os.path.realpath(path) for path in fits)


def _below(path: str, folder: str) -> bool:
    return path == folder or _strictly_below(path, folder)


def _strictly_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(os.fsencode(name), digest_size=12).digest()


# --- how many -------------------------------------------------------------------------------------


class Counter:
    """Counts the files of a collection in a thread of its own, for the time that is left.

    Attributes:
      total: How many were counted up to now.
      done: Whether that is all.
    """

    def __init__(self, config: CollectionConfig) -> None:
        self.total, self.done = 0, False
        self._changed, self._over = threading.Condition(), False
        self._thread = threading.Thread(target=self._count, args=(config,), daemon=True)
        self._thread.start()

    def more_than(self, number: int) -> bool:
        """Waits until more than so many are counted, or all of them."""
        with self._changed:
            self._changed.wait_for(lambda: self.total > number or self.done)
        return self.total > number

    def close(self) -> None:
        """Ends the counting."""
        self._over = True
        self._thread.join()

    def _count(self, config: CollectionConfig) -> None:
        try:
            entries = file_tasks(config)
            while not self._over and (some := sum(1 for _ in itertools.islice(entries, 1000))):
                with self._changed:
                    self.total += some
                    self._changed.notify_all()
        finally:
            with self._changed:
                self.done = not self._over
                self._changed.notify_all()
