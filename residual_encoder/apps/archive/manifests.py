"""Rows about the inputs of a collection, and the files that hold them; importing loads little.

A row is a line of JSON about one input. A folder has one `manifest.jsonl` and one `errors.jsonl`,
or of each several parts, `manifest-00000-of-00256.jsonl` and so on, by a hash of the input's name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from residual_encoder.utils import files

MANIFEST, ERRORS = "manifest.jsonl", "errors.jsonl"  # in the output folder
MOST_IN_ONE = 100_000  # inputs up to which there is one manifest
SHARDS = 256  # above: 400 rows each at first, 80 MB each at 100 million inputs

# Ranks of rows about one input; the highest stays.
OLD_ERROR, THERE, OLD, NEW = range(4)
Ranked = tuple[int, str]  # rank, a line of JSON
_OF = re.compile(r"manifest-\d{5}-of-(\d{5})\.jsonl")


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
      waiting: How many were not begun since the run was stopped; None where it was not.
    """

    left_out: int = 0
    waiting: int | None = None


def summary(counts: dict[str, int], stopped: bool) -> CollectionSummary:
    """Makes a summary of counts by outcome."""
    done = CollectionSummary(*(counts.get(name, 0) for name in CollectionSummary._fields))
    done.left_out = counts.get("left_out", 0)
    done.waiting = counts.get("waiting", 0) if stopped else None
    return done


# --- rows -----------------------------------------------------------------------------------------


def outcome(line: str) -> str:
    """Returns what became of a row's input: failed, left_out, colored or skipped."""
    facts = json.loads(line)
    for key, name in (("error", "failed"), ("left_out", "left_out"), ("model", "colored")):
        if key in facts:
            return name
    return "skipped"


def ranked(line: str) -> Ranked:
    """Returns a row of this run with its rank."""
    return (THERE if outcome(line) == "skipped" else NEW), line


def file_of(line: str) -> str:
    """Returns the manifest, of the two, that a row goes into."""
    return ERRORS if outcome(line) == "failed" else MANIFEST


def earlier(output: Path, shard: int = 0, shards: int = 1) -> Iterator[Ranked]:
    """Yields the rows of earlier runs, of one part of the manifest."""
    for name, rank in ((MANIFEST, OLD), (ERRORS, OLD_ERROR)):
        path = output / part_name(name, shard, shards)
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                yield from ((rank, line.rstrip("\n")) for line in lines)


def write(path: Path, lines: Iterable[str]) -> None:
    """Writes rows into a file, sorted, if that changes it."""
    text = "".join(f"{line}\n" for line in sorted(lines))
    if not path.exists() or text != path.read_text(encoding="utf-8"):
        files.write_text(path, text)


# --- files ----------------------------------------------------------------------------------------


def part_name(name: str, shard: int, shards: int) -> str:
    """Returns the name of a part of `MANIFEST` or `ERRORS`."""
    if shards == 1:
        return name
    path = Path(name)
    return f"{path.stem}-{shard:05d}-of-{shards:05d}{path.suffix}"


def names(output: Path) -> str:
    """Returns what the two files of a folder are called, for a person."""
    shards = shards_there(output)
    if shards == 1:
        return f"{MANIFEST} and {ERRORS}"
    first, second = (part_name(name, 0, shards) for name in (MANIFEST, ERRORS))
    return f"{first} ... and {second} ..."


def shard_of(source: str, shards: int) -> int:
    """Returns the part that an input's row goes into, the same one in all runs."""
    digest = hashlib.blake2b(os.fsencode(source), digest_size=8).digest()
    return int.from_bytes(digest, "little") % shards


def shards_there(output: Path) -> int:
    """Returns in how many parts the manifest of an earlier run is; 1 where there is none."""
    fits = map(_OF.fullmatch, os.listdir(output) if output.is_dir() else ())
    return max((int(fit[1]) for fit in fits if fit), default=1)


def check(output: Path, shards: int = 1) -> None:
    """Refuses to replace files of these names that another program wrote."""
    for name in (MANIFEST, ERRORS):
        for shard in range(shards):
            _check(output / part_name(name, shard, shards))


def _check(path: Path) -> None:
    try:
        with path.open() as file:
            if line := file.readline():
                json.loads(line)["file"]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no manifest of this tool and would be replaced; choose another --output"
        ) from error
