"""Finds the pictures and films that a user names by files, globs, folders or standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from residual_encoder.imaging import image_io, video_io
from residual_encoder.inference.output_paths import output_name
from residual_encoder.utils import files

STANDARD = Path("-")  # standard input or output, by the custom of command lines
READABLE = image_io.READABLE | video_io.READABLE
_MAGIC = frozenset("*?[")


class Job(NamedTuple):
    """Names one picture or film to color."""

    source: Path  # or `STANDARD`
    target: Path  # or `STANDARD`


class Found(NamedTuple):
    """Lists the pictures and films to color, and the paths that could not be read."""

    jobs: list[Job]
    unreadable: dict[Path, str]  # folder that cannot be read, or pipe -> why


def find(inputs: tuple[str, ...], output: Path, form: str = "keep") -> Found:
    """Finds every picture and film once, in a fixed order.

    Args:
      inputs: Files, folders, globs ("scans/**/*.tif") and "-". Of a folder everything below it
        that is a picture or film by its name; hidden names, links to folders and `output` are left
        out. A glob keeps the structure below its first part with a wildcard.
      output: Folder for the outputs, or `STANDARD`.
      form: See `output_paths.output_name`.

    Raises:
      FileNotFoundError: an input does not exist, or a glob fits nothing.
    """
    jobs: dict[tuple[str, Path], Job] = {}
    unreadable: dict[Path, str] = {}
    for source, place in _sources(inputs, output, unreadable):
        target = output if output == STANDARD else output / output_name(place, form)
        jobs.setdefault((os.path.abspath(source), target), Job(source, target))
    return Found(list(jobs.values()), unreadable)


def check(inputs: tuple[str, ...], output: Path) -> None:
    """Searches each input as far as its first picture or film.

    Raises:
      FileNotFoundError: an input does not exist, or a glob fits nothing.
      ValueError: nothing was found in any.
    """
    unreadable: dict[Path, str] = {}
    firsts = [next(_sources((given,), output, unreadable), None) for given in inputs]
    if not any(firsts) and not unreadable:
        raise nothing(inputs)


def nothing(inputs: tuple[str, ...]) -> ValueError:
    """Makes the error where no input holds a picture or film."""
    return ValueError(
        f"No picture found in {', '.join(inputs) or 'no input'}; wanted files, or "
        f"folders with files that end in {' '.join(sorted(READABLE))}."
    )


def _sources(
    inputs: tuple[str, ...], output: Path, unreadable: dict[Path, str]
) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path below the output) of all pictures and films that the inputs name."""
    for given in inputs:
        path = Path(given)
        if path == STANDARD:
            yield STANDARD, Path("stdin")
        elif path.is_dir():
            yield from _below(path, output, unreadable)
        elif path.exists() or not _MAGIC & set(given):
            if not path.exists():
                raise FileNotFoundError(
                    f"There is no {given}; wanted a file, a folder, a glob or - for standard input."
                )
            yield path, Path(path.name)
        else:
            yield from _globbed(given, output, unreadable)


def _globbed(
    pattern: str, output: Path, unreadable: dict[Path, str]
) -> Iterator[tuple[Path, Path]]:
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
    root, fits = Path(*parts[:first]), sorted(glob.glob(pattern, recursive=True))
    if not fits:
        raise FileNotFoundError(f"Nothing fits {pattern}; wanted pictures, films or folders.")
    for path in map(Path, fits):
        if path.is_file():
            yield path, path.relative_to(root)
        elif "**" not in parts:  # a folder that the glob names; ** lists its files by itself
            for source, place in _below(path, output, unreadable):
                yield source, path.relative_to(root) / place


def _below(folder: Path, output: Path, unreadable: dict[Path, str]) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path relative to the folder) of all below a folder but earlier output."""

    def note(error: OSError) -> None:
        unreadable[Path(error.filename)] = f"{error.filename}: {error.strerror}"

    for path in files.files_below(folder, READABLE, leave_out=output, on_error=note):
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            unreadable[path] = f"{path} is no file; a picture or film was wanted"
        else:
            yield path, path.relative_to(folder)
