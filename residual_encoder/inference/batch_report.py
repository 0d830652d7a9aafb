"""Counts what became of the inputs of a batch, and writes it as a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from residual_encoder.utils import files

THERE = "its output exists"  # why an input is skipped
IN_COLOR = "in color already"  # why an input is left out


def others_left_out(others: int) -> str:
    """Tells that only the main picture of a HEIC or AVIF file was colored."""
    which = "1 other picture of the file was" if others == 1 else f"{others} others were"
    return f"the main picture was colored; {which} not: save them as files of their own"


@dataclass
class FileReport:
    """Holds the outcome of one input; None is unknown.

    Attributes:
      file: The input.
      output: The colored file; None where nothing was written.
      width: Pixels, upright.
      height: Pixels, upright.
      seconds: From reading to written.
      model: SHA-256 of the weights.
      error: Why it failed, in one line.
      frames: Of a film or an animation, as many as were colored.
      pages: Of a TIFF of several, as many as were colored.
      not_colored: Pages or frames that the output's format has no place for; of a HEIC or AVIF file
        of several pictures all but the main one.
      left_out: Why it was not colored, though nothing is wrong with it.
      notes: What could not be kept, a line each.
    """

    file: str
    output: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    model: str | None = None
    error: str | None = None
    frames: int | None = None
    pages: int | None = None
    not_colored: int | None = None
    left_out: str | None = None
    notes: list[str] = field(default_factory=list)

    def add(self, facts: dict[str, Any]) -> None:
        """Takes over what is known of a file of several pictures, by the names of fields."""
        for name, value in facts.items():
            setattr(self, name, value)

    def add_others(self, others: int) -> None:
        """Counts the pictures of a collection besides the main one, if that was colored."""
        if self.output and others:
            self.not_colored = others
            self.notes = [*self.notes, others_left_out(others)]


class _Counts(NamedTuple):
    colored: int
    failed: dict[Path, str]
    skipped: int = 0


class BatchSummary(_Counts):
    """Counts the inputs by outcome: colored, failed, skipped.

    Attributes:
      colored: How many were colored.
      failed: Source -> why; an output that exists already is such a reason.
      skipped: How many had an output already, where such are to be skipped.
      left_out: Source -> why, of pictures and films that were not colored though nothing is wrong.
      others: How many files in the folders are no pictures or films at all, by suffix.
      not_colored: Pages and frames of those that were, for want of a place for them.
    """

    left_out: dict[Path, str]
    others: Counter[str]
    not_colored: int


class Stopped(KeyboardInterrupt):
    """Ends a batch at Ctrl-C; the report is written.

    Attributes:
      summary: What was done.
      waiting: How many inputs were not begun or not finished.
    """

    def __init__(self, summary: BatchSummary, waiting: int) -> None:
        super().__init__()
        self.summary, self.waiting = summary, waiting


def summarize(
    colored: int,
    failed: dict[Path, str],
    skipped: int,
    left_out: dict[Path, str],
    others: Counter[str],
    not_colored: int,
) -> BatchSummary:
    """Makes a `BatchSummary` of its parts."""
    summary = BatchSummary(colored, failed, skipped)
    summary.left_out, summary.others = left_out, others
    summary.not_colored = not_colored
    return summary


# --- the file -------------------------------------------------------------------------------------


def read(path: Path) -> list[dict[str, Any]]:
    """Reads a report that an earlier run wrote; nothing where there is none.

    Raises:
      ValueError: the file is no report.
    """
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["file"], row["output"], row["error"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no report of an earlier run and would be replaced; choose another name"
        ) from error
    return rows


@contextmanager
def writing(
    report: str | None, rows: list[FileReport], earlier: list[dict[str, Any]]
) -> Iterator[None]:
    """Writes the report in the end, also of a run that is interrupted.

    Args:
      report: Its path, or none.
      rows: Those of this run, which may grow until the end.
      earlier: Those of runs before, as `read` gives them, which this one continues.
    """
    try:
        yield
    finally:
        if report:
            merged = _merged(earlier, [asdict(row) for row in rows])
            files.write_text(report, "".join(f"{json.dumps(row)}\n" for row in merged))


def _merged(earlier: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns all rows, of each input one: a skipped one's is that of the run that colored it."""
    before = {row["file"]: row for row in earlier}
    known = {name for name, row in before.items() if row["output"]}
    new = [row for row in rows if row["left_out"] != THERE or row["file"] not in known]
    replaced = {row["file"] for row in new}
    return [row for row in earlier if row["file"] not in replaced] + new
