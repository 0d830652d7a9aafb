"""Finds the pictures and films that a user names by files, globs, folders or standard input."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from residual_encoder.imaging import image_io, video_io
from residual_encoder.inference import file_kinds, output_paths
from residual_encoder.inference.output_paths import output_name
from residual_encoder.utils import files

STANDARD = Path("-")  # standard input or output, by the custom of command lines
READABLE = image_io.READABLE | video_io.READABLE
_MAGIC = frozenset("*?[")


class Job(NamedTuple):
    """Names one picture or film to color."""

    source: Path  # or `STANDARD`
    target: Path  # or `STANDARD`


@dataclass
class Found:
    """Lists the pictures and films to color, and what else the inputs hold."""

    jobs: list[Job] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)  # folder that is closed, pipe -> why
    left_out: dict[Path, str] = field(default_factory=dict)  # picture or film -> why
    others: Counter[str] = field(default_factory=Counter)  # suffix -> how many are neither


def find(inputs: tuple[str, ...], output: Path, form: str = "keep") -> Found:
    """Finds every picture and film once, in a fixed order.

    Args:
      inputs: Files, folders, globs ("scans/**/*.tif") and "-". Of a folder everything below it
        that is a picture or film by its name; hidden names, links to folders and `output` are left
        out. A glob keeps the structure below its first part with a wildcard.
      output: Folder for the outputs; or `STANDARD` or a file, for one input.
      form: See `output_paths.output_name`.

    Raises:
      FileNotFoundError: an input does not exist, or a glob fits nothing.
    """
    jobs: dict[tuple[str, Path], Job] = {}
    found = Found()
    single = output == STANDARD or output_paths.is_file_name(output)
    for source, place in _sources(inputs, output, found):
        target = output if single else output / output_name(place, form)
        jobs.setdefault((os.path.abspath(source), target), Job(source, target))
    found.jobs = list(jobs.values())
    return found


def check(inputs: tuple[str, ...], output: Path) -> None:
    """Searches each input as far as its first picture or film.

    Raises:
      FileNotFoundError: an input does not exist, or a glob fits nothing.
      ValueError: nothing was found in any.
    """
    found = Found()
    firsts = [next(_sources((given,), output, found), None) for given in inputs]
    if not any(firsts) and not found.unreadable:
        raise nothing(inputs)


def nothing(inputs: tuple[str, ...]) -> ValueError:
    """Makes the error where no input holds a picture or film."""
    return ValueError(
        f"No picture found in {', '.join(inputs) or 'no input'}; wanted files, or "
        f"folders with files that end in {' '.join(sorted(READABLE))}."
    )


def _sources(inputs: tuple[str, ...], output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path below the output) of all pictures and films that the inputs name.

    What else there is goes into `found`.
    """
    for given in inputs:
        path = Path(given)
        if path == STANDARD:
            yield STANDARD, Path("stdin")
        elif path.is_dir():
            yield from _below(path, output, found)
        elif path.exists() or not _MAGIC & set(given):
            if not path.exists():
                raise FileNotFoundError(
                    f"There is no {given}; wanted a file, a folder, a glob or - for standard input."
                )
            yield path, Path(path.name)
        else:
            yield from _globbed(given, output, found)


def _globbed(pattern: str, output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
    root, fits = Path(*parts[:first]), sorted(glob.glob(pattern, recursive=True))
    if not fits:
        raise FileNotFoundError(f"Nothing fits {pattern}; wanted pictures, films or folders.")
    for path in map(Path, fits):
        if path.is_file():
            yield path, path.relative_to(root)
        elif "**" not in parts:  # a folder that the glob names; ** lists its files by itself
            for source, place in _below(path, output, found):
                yield source, path.relative_to(root) / place


def _below(folder: Path, output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path relative to the folder) of all below a folder but earlier output."""

    def note(error: OSError) -> None:
        found.unreadable[Path(error.filename)] = f"{error.filename}: {error.strerror}"

    for path in files.files_below(folder, leave_out=output, on_error=note):
        place = path.relative_to(folder)
        if path.suffix.lower() not in READABLE:
            kind = file_kinds.kind_of(path)
            if kind.suffix:
                yield path, place.with_name(place.name + kind.suffix)
            elif kind.left_out:
                found.left_out[path] = kind.left_out
            else:
                found.others[path.suffix.lower() or "no suffix"] += 1
        elif path.exists() and not path.is_file():  # reading a pipe would wait for ever
            found.unreadable[path] = f"{path} is no file; a picture or film was wanted"
        else:
            yield path, place
