"""Keeps what a run knows of its inputs where a lost worker cannot take it along; no TensorFlow.

It lies in the output folder, hidden, which all workers mount:

- `rows/SHARD/RUN.PROCESS.jsonl`: the rows of one process in one part of the manifest,
- `begun/RUN/HASH`: a byte for each time that an input was begun and not ended,
- `staged/HASH/NAME`: an output that is not whole yet, or whose row is not kept yet,
- `RUN.stop`: there once no further input is to be begun.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from residual_encoder.apps.archive import manifests
from residual_encoder.apps.archive.manifests import ERRORS, MANIFEST

FOLDER = ".archive"  # in the output folder
_PROCESS = uuid.uuid4().hex
_EARLIER = "earlier"  # takes the place of RUN for rows of a manifest that is split up


@dataclass(frozen=True)
class Journal:
    """Notes rows, and how often inputs were begun; all methods may be called by any worker.

    Attributes:
      output: The output folder.
      shards: In how many parts the manifest is.
      run: Name of the run.
    """

    output: str
    shards: int
    run: str

    @property
    def folder(self) -> Path:
        """Returns where it lies."""
        return Path(self.output) / FOLDER

    @property
    def stop(self) -> Path:
        """Returns the file whose being there stops the run."""
        return self.folder / f"{self.run}.stop"

    # --- rows ---

    def note(self, source: str, line: str) -> None:
        """Keeps a row; what was written to a file outlives its process."""
        _append(self._part(source, self.run, _PROCESS), line)

    def _part(self, source: str, run: str, process: str) -> Path:
        shard = manifests.shard_of(source, self.shards)
        return self.folder / "rows" / f"{shard:05d}" / f"{run}.{process}.jsonl"

    def rows(self, shard: int) -> Iterator[tuple[str, str]]:
        """Yields run, row of one part of the manifest; the end of a row that was cut is dropped."""
        for path in sorted((self.folder / "rows" / f"{shard:05d}").glob("*.jsonl")):
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    with contextlib.suppress(ValueError):
                        json.loads(line)
                        yield path.name.partition(".")[0], line.rstrip("\n")

    def split_earlier(self) -> None:
        """Deals the rows of a manifest in one part out to the parts of this run."""
        output = Path(self.output)
        whole = [output / name for name in (MANIFEST, ERRORS) if (output / name).exists()]
        if self.shards == 1 or not whole:
            return
        for rank, line in manifests.earlier(output):
            source = json.loads(line)["file"]
            _append(self._part(source, f"{_EARLIER}{rank}", "split"), line)
        for path in whole:
            path.unlink()

    def merge(self, shard: int) -> dict[str, int]:
        """Writes one part of both manifests of its rows, earlier ones included.

        Returns:
          Outcome -> how many inputs of this run.
        """
        output, best = Path(self.output), dict[str, manifests.Ranked]()
        mine: dict[str, manifests.Ranked] = {}
        for row in manifests.earlier(output, shard, self.shards):
            _keep(best, row)
        for run, line in self.rows(shard):
            row = manifests.ranked(line)
            if run.startswith(_EARLIER):
                row = int(run.removeprefix(_EARLIER)), line
            elif not _is_there(line):
                continue
            _keep(best, row)
            if run == self.run:
                _keep(mine, row)
        lines = [line for _, line in best.values()]
        for name in (MANIFEST, ERRORS):
            path = output / manifests.part_name(name, shard, self.shards)
            manifests.write(path, (line for line in lines if manifests.file_of(line) == name))
        shutil.rmtree(self.folder / "rows" / f"{shard:05d}", ignore_errors=True)
        return Counter(manifests.outcome(line) for _, line in mine.values())

    # --- inputs whose worker is lost ---

    def begun(self, source: str) -> int:
        """Returns how often an input was begun and not ended."""
        try:
            return self._begun(source).stat().st_size
        except FileNotFoundError:
            return 0

    def begin(self, source: str) -> None:
        """Notes that an input is begun."""
        path = self._begun(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b".")

    def end(self, source: str) -> None:
        """Notes that an input is done with."""
        self._begun(source).unlink(missing_ok=True)

    def _begun(self, source: str) -> Path:
        return self.folder / "begun" / self.run / _hash(source)

    # --- outputs ---

    def place(self, target: Path) -> Path:
        """Returns where an output is written first: its own name, in a folder of its own."""
        folder = self._staged(target)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / target.name

    def keep(self, source: str, line: str, written: Path, target: Path) -> None:
        """Keeps a row, and then moves what was written to its place.

        In this order a lost worker leaves no output without a row.
        """
        self.note(source, line)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(written, target)
        shutil.rmtree(written.parent, ignore_errors=True)

    def _staged(self, target: Path) -> Path:
        return self.folder / "staged" / _hash(str(target))

    # --- the end ---

    def close(self, stopped: bool) -> None:
        """Removes what is not needed further: all of it, but parts of films of a stopped run."""
        self.stop.unlink(missing_ok=True)
        if not stopped:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for name in ("rows", "begun"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        with contextlib.suppress(OSError):  # it is not empty
            (self.folder / "staged").rmdir()
            self.folder.rmdir()


def _keep(best: dict[str, manifests.Ranked], row: manifests.Ranked) -> None:
    """Keeps the better of two rows about one input."""
    source = json.loads(row[1])["file"]
    best[source] = max(best.get(source, row), row)


def _is_there(line: str) -> bool:
    """Returns whether a row's output was moved to its place, if it has one."""
    output = json.loads(line).get("output")
    return output is None or os.path.lexists(output)


def _append(path: Path, line: str) -> None:
    """Appends a line in one write, which no other thread's can come between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def _hash(name: str) -> str:
    return hashlib.blake2b(os.fsencode(name), digest_size=12).hexdigest()
