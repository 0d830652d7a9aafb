"""The folder of a training run: config.json, metrics.jsonl, TensorBoard logs and strips."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import filelock
import numpy as np
import tensorflow as tf

from residual_encoder.utils import files

CONFIG = "config.json"
METRICS = "metrics.jsonl"
LOCK = ".lock"


class Workdir:
    """Folder of a training run.

    Args:
      path: The folder; made if need be.

    Raises:
      OSError: the folder cannot be made or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        try:
            for folder in (self.path, self.checkpoints, self.samples):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"Cannot make the workdir {self.path}: {error.strerror}. Choose another --workdir."
            ) from error
        self._writer: tf.summary.SummaryWriter | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the folder against other processes; removes unfinished files of a killed one.

        The kernel opens the lock again when the process ends, however it does.

        Raises:
          OSError: another process holds the folder, or it cannot be written.
        """
        try:
            lock = open(self.path / LOCK, "a+", encoding="utf-8")
        except OSError as error:
            raise OSError(
                f"Cannot write into the workdir {self.path}: {error.strerror}. "
                "Choose another --workdir."
            ) from error
        with lock:
            _take(lock, self.path)
            for folder in (self.path, self.checkpoints, self.samples):
                files.sweep(folder)
            yield

    def claim(
        self,
        config: dict[str, Any],
        fixed: tuple[str, ...],
        up_to_date: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Writes config.json, or checks that the one there has the same values.

        Args:
          config: JSON-able.
          fixed: Keys that must be the same; none in a folder that holds no training yet.
          up_to_date: The settings of an earlier version -> the same in this one's form.

        Raises:
          ValueError: an earlier run in this folder differs; every difference is listed.
        """
        path = self.path / CONFIG
        if fixed and path.exists():
            before = _as_read(up_to_date(json.loads(path.read_text(encoding="utf-8"))))
            now = _as_read(config)
            lines = [line for key in fixed for line in differences(key, before.get(key), now[key])]
            if lines:
                raise ValueError(
                    f"{self.path} belongs to another run: {'; '.join(lines)}. "
                    "Give the same flags to resume it, or another --workdir."
                )
        files.write_text(path, json.dumps(config, indent=2) + "\n")

    def rewind(self, step: int) -> None:
        """Drops the metrics after a step: a resumed run writes them again."""
        rows = [row for row in read_metrics(self.path) if row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        files.write_text(self.path / METRICS, text)

    def log(self, row: dict[str, Any]) -> None:
        """Appends a line to metrics.jsonl and its numbers to TensorBoard. `row` has a "step"."""
        path = self.path / METRICS
        with files.writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        with self._tensorboard(row["step"]):
            for name, value in _numbers(row):
                tf.summary.scalar(name, value)

    def show(self, step: int, name: str, picture: np.ndarray) -> None:
        """Shows a picture, uint8 [H, W, 3], in TensorBoard."""
        with self._tensorboard(step):
            tf.summary.image(name, picture[None])

    def describe(self, step: int, texts: dict[str, str]) -> None:
        """Shows texts by name in TensorBoard, as they are spaced."""
        with self._tensorboard(step):
            for name, text in texts.items():
                tf.summary.text(name, "    " + text.replace("\n", "\n    "))  # Markdown's code

    @contextlib.contextmanager
    def _tensorboard(self, step: int) -> Iterator[None]:
        """Collects summaries of a step, and writes them out.

        Raises:
          OSError: the disk is full.
        """
        folder = self.path / "logs"
        self._writer = self._writer or tf.summary.create_file_writer(str(folder))
        with files.writing(folder):
            try:
                with self._writer.as_default(step=step):
                    yield
                self._writer.flush()
            except tf.errors.ResourceExhaustedError as error:  # TensorFlow's name for it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _take(lock: IO[str], folder: Path) -> None:
    """Locks an open file and writes this process into it."""
    if not filelock.lock_descriptor(lock.fileno(), blocking=False):
        raise OSError(
            f"{folder} is in use by another run ({_owner(lock)}). "
            "Wait for it, stop it, or give another --workdir."
        )
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {platform.node()}")
    lock.flush()


def _owner(lock: IO[str]) -> str:
    """Returns what the process that holds a lock wrote into it."""
    try:
        lock.seek(0)
        return lock.read() or "unknown"
    except OSError:  # on Windows a locked file cannot be read
        return "unknown"


def _as_read(config: dict[str, Any]) -> dict[str, Any]:
    """Converts to the value that reading it back gives: JSON has no tuples."""
    return json.loads(json.dumps(config))


def differences(key: str, before: Any, now: Any) -> list[str]:
    """Lists what a value, or the values of a dictionary, were and are now: a line each, by key."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [
            line
            for inner in keys
            for line in differences(f"{key}.{inner}", before.get(inner), now.get(inner))
        ]
    return [] if before == now else [f"{key} was {before!r}, now {now!r}"]


def _numbers(row: dict[str, Any]) -> list[tuple[str, float]]:
    """Lists the numbers of a row by name; of metrics the means."""
    numbers = []
    for name, value in row.items():
        if name == "eval":
            means = {k: v["mean"] for k, v in value.items() if isinstance(v, dict) and "mean" in v}
            numbers += [(f"eval/{metric}", mean) for metric, mean in means.items()]
        elif name == "active":
            numbers += [(f"active/{layer}", share) for layer, share in value.items()]
        elif name != "step" and isinstance(value, (int, float)):
            numbers.append((name, value))
    return numbers


def read_metrics(workdir: str | Path) -> list[dict[str, Any]]:
    """Reads the rows of metrics.jsonl, without a last line that a kill cut short."""
    path = Path(workdir) / METRICS
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
