"""Finds the pictures and films that a user names by files, globs, folders or standard input."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from residual_encoder.imaging import film_names, heif, image_headers, image_io
from residual_encoder.inference import output_paths
from residual_encoder.inference.foreign_names import NOT_READ, UNCLEAR
from residual_encoder.inference.output_paths import output_name
from residual_encoder.utils import files

STANDARD = Path("-")  # standard input or output, by the custom of command lines
READABLE = image_io.READABLE | heif.SUFFIXES | film_names.READABLE
_ADVICE = "save it as TIFF, PNG, JPEG or MP4 first"
_SHOWN = 3  # names in a line
_HEAD = 512  # bytes that tell a file's format
# The first bytes of films: MP4 and QuickTime, AVI, Matroska and WebM, MPEG, FLV, Ogg, WMV.
_FILM = re.compile(
    rb"....(ftyp(isom|iso\d|mp4|avc|M4V|qt|3gp|3g2|dash|MSNV)|moov|mdat)|RIFF....AVI "
    rb"|\x1aE\xdf\xa3|\0\0\x01[\xb3\xba]|FLV\x01|OggS|0&\xb2u\x8ef\xcf\x11",
    re.DOTALL,
)
_MAGIC = frozenset("*?[")


class Job(NamedTuple):
    """Names one picture or film to color."""

    source: Path  # or `STANDARD`
    target: Path  # or `STANDARD`


@dataclass
class Found:
    """Lists the pictures and films to color, and what else the inputs hold."""

    jobs: list[Job] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)  # folder, pipe, named file -> why
    left_out: dict[Path, str] = field(default_factory=dict)  # picture or film in a folder -> why
    others: Counter[str] = field(default_factory=Counter)  # suffix -> how many files are neither


def find(inputs: tuple[str, ...], output: Path, form: str = "keep") -> Found:
    """Finds every picture and film once, in a fixed order.

    Args:
      inputs: Files, folders, globs ("scans/**/*.tif") and "-". Of a folder everything below it
        that is a picture or film by its name, or a picture by its first bytes where the name tells
        of no kind; hidden names, links to folders and `output` are left out. A glob keeps the
        structure below its first part with a wildcard.
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


class Passed(NamedTuple):
    """Names an input that is not colored, and why: one of the two reasons."""

    source: Path
    error: str = ""
    left_out: str = ""


def walk(inputs: tuple[str, ...], output: Path, form: str = "keep") -> Iterator[Job | Passed]:
    """Yields what `find` finds one by one, without holding it, for folders of any size.

    What is named twice comes twice.

    Args:
      inputs: See `find`.
      output: Folder for the outputs.
      form: See `output_paths.output_name`.

    Raises:
      FileNotFoundError: an input does not exist, or a glob fits nothing.
    """
    found = Found()
    for source, place in _sources(inputs, output, found):
        yield from _passed(found)
        yield Job(source, output / output_name(place, form))
    yield from _passed(found)


def listed(name: str, output: Path, form: str = "keep") -> Job | Passed:
    """Returns what a line of a list of files names, which need not exist.

    Args:
      name: A path; a relative one keeps its folders below the output, an absolute one all of them.
      output: Folder for the outputs.
      form: See `output_paths.output_name`.
    """
    path = Path(name)
    if ".." in path.parts or not path.name:
        return Passed(path, error=f"{name!r} is no name below the output folder; remove its ..")
    found, place = Found(), path.relative_to(path.anchor)
    for source, below in _named(path, place, found):
        return Job(source, output / output_name(below, form))
    return next(_passed(found))


def _passed(found: Found) -> Iterator[Passed]:
    """Yields and forgets what was found that is not colored."""
    while found.unreadable:
        path, why = found.unreadable.popitem()
        yield Passed(path, error=why)
    while found.left_out:
        path, why = found.left_out.popitem()
        yield Passed(path, left_out=why)


def _head(path: Path) -> bytes:
    """Returns a file's first bytes; none of a pipe, and none where it cannot be read."""
    with contextlib.suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(_HEAD)
    return b""


def left_out_lines(found: Found) -> list[str]:
    """Returns a line for each reason for which files in folders are left out, with some names."""
    names: dict[str, list[str]] = {}
    for path, why in found.left_out.items():
        names.setdefault(why, []).append(path.name)
    lines = []
    for why, some in names.items():
        kind, rest = why.split(" cannot ", 1)
        shown = ", ".join(some[:_SHOWN]) + (", ..." if len(some) > _SHOWN else "")
        lines.append(f"{len(some)} {kind}{'s' * (len(some) > 1)} cannot {rest} ({shown})")
    return lines


def check_folder(inputs: tuple[str, ...], output: Path, found: Iterable[Job | Passed]) -> None:
    """Refuses an input folder as the output, where pictures would be written onto themselves.

    Args:
      inputs: See `find`.
      output: Folder for the outputs.
      found: What the inputs hold; not read where the output is none of them.

    Raises:
      ValueError: it is one.
    """
    if any(Path(given).is_dir() and _same(Path(given), output) for given in inputs) and any(
        isinstance(job, Job) and _same(job.source, job.target) for job in found
    ):
        raise ValueError(
            f"The output {output} is the input folder, and pictures are not written onto "
            f"themselves; choose another --output, such as --output={output / 'colored'}"
        )


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def nothing(inputs: tuple[str, ...], found: Found) -> ValueError:
    """Makes the error where no input holds a picture or film that can be read."""
    left_out = "".join(f" {line}." for line in left_out_lines(found))
    return ValueError(
        f"No picture found in {', '.join(inputs) or 'no input'}; wanted files, or "
        f"folders with files that end in {' '.join(sorted(READABLE))}.{left_out}"
    )


def _sources(inputs: tuple[str, ...], output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path below the output) of all pictures and films that the inputs name."""
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
            yield from _named(path, Path(path.name), found)
        else:
            yield from _globbed(given, output, found)


def _named(path: Path, place: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    """Yields a file that the user named, unless it is known that it cannot be read."""
    if why := _why_not(path.suffix.lower()):
        found.unreadable[path] = f"{path}: a {why}"
    else:
        yield path, _with_suffix(place, path)


def _with_suffix(place: Path, path: Path) -> Path:
    """Appends the suffix of a picture's format to a name that does not tell it."""
    if place.suffix.lower() in UNCLEAR and image_headers.is_picture(head := _head(path)):
        return place.with_name(f"{place.name}{image_headers.suffix_of(head)}")
    return place


def _why_not(suffix: str) -> str:
    """Returns what a picture or film is that cannot be read, and advice; or nothing."""
    if suffix in heif.SUFFIXES:
        return "" if heif.available() else f"HEIC file cannot be read here: {heif.ADVICE}"
    return f"{NOT_READ[suffix]} cannot be read: {_ADVICE}" if suffix in NOT_READ else ""


def _globbed(pattern: str, output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if _MAGIC & set(part))
    root, fits = Path(*parts[:first]), sorted(glob.glob(pattern, recursive=True))
    if not fits:
        raise FileNotFoundError(f"Nothing fits {pattern}; wanted pictures, films or folders.")
    for path in map(Path, fits):
        if path.is_file():
            yield from _named(path, path.relative_to(root), found)
        elif "**" not in parts:  # a folder that the glob names; ** lists its files by itself
            for source, place in _below(path, output, found):
                yield source, path.relative_to(root) / place


def _below(folder: Path, output: Path, found: Found) -> Iterator[tuple[Path, Path]]:
    """Yields (path, path relative to the folder) of all below a folder but earlier output."""

    def note(error: OSError) -> None:
        found.unreadable[Path(error.filename)] = f"{error.filename}: {error.strerror}"

    for path in files.files_below(folder, None, leave_out=output, on_error=note):
        place, suffix = path.relative_to(folder), path.suffix.lower()
        if why := _why_not(suffix):
            found.left_out[path] = why
        elif suffix in UNCLEAR:
            if _is_picture(path, found):
                yield path, _with_suffix(place, path)
            elif path not in found.left_out:
                found.others[suffix or "no suffix"] += 1
        elif suffix in READABLE:
            if not path.exists():
                found.unreadable[path] = f"{path}: No such file, it is a link to one that is gone"
            elif not path.is_file():  # reading a pipe would wait for ever
                found.unreadable[path] = f"{path} is no file; a picture or film was wanted"
            else:
                yield path, place
        elif _begins_a_picture(_head(path)):
            found.left_out[path] = (
                f"picture with the name of another kind of file, {suffix}, cannot be colored "
                "under that name: rename it"
            )
        else:
            found.others[suffix] += 1


def _begins_a_picture(head: bytes) -> bool:
    """Returns whether bytes begin a picture; the two letters of BMP and PNM may begin a text."""
    if head[:2] == b"BM" or head[:1] == b"P":
        return False
    return image_headers.is_picture(head) or heif.is_heif(head)


def _is_picture(path: Path, found: Found) -> bool:
    """Returns whether a file whose name tells of no format begins like a picture."""
    head = _head(path)
    if heif.is_heif(head) and not heif.available():
        found.left_out[path] = _why_not(".heic")
        return False
    if _FILM.match(head):
        found.left_out[path] = "film file cannot be known by its name: add a suffix such as .mp4"
        return False
    return heif.is_heif(head) or image_headers.is_picture(head)
