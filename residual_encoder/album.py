"""Colors many pictures, files and folders, and goes on where one of them is bad."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from residual_encoder import images
from residual_encoder.inference import Colorizer


@dataclass(frozen=True)
class AlbumConfig:
    """What to color and where to put it.

    Attributes:
      inputs: Picture files and folders; of a folder every picture below it, hidden ones left out.
      output: Folder for the colored pictures; made if need be. What lies in an input folder keeps
        its place relative to that folder.
      model: See `Colorizer`.
      size: See `Colorizer`.
      saturation: See `Colorizer`.
      overwrite: Whether pictures that are in `output` already are replaced. Inputs never are.
    """

    inputs: tuple[str, ...]
    output: str
    model: str | None = None
    size: int | str = "auto"
    saturation: float = 1.0
    overwrite: bool = False


class Job(NamedTuple):
    """One picture to color."""

    source: Path
    target: Path


class Summary(NamedTuple):
    """What became of the pictures."""

    colored: int
    failed: dict[Path, str]  # source -> why; a target that exists already is such a reason


def colorize_files(config: AlbumConfig) -> Summary:
    """Colors pictures one after the other; one line on stderr for each that fails.

    Args:
      config: What to color and how.

    Returns:
      The counts and the reasons.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      ValueError: no picture was found, or a wrong option.
      OSError: the output folder cannot be made.
    """
    jobs = list(_jobs(config))
    if not jobs:
        raise ValueError(
            f"No picture found in {', '.join(config.inputs) or 'no input'}; wanted files, or "
            f"folders with files that end in {' '.join(sorted(images.READABLE))}."
        )
    _make_folder(Path(config.output))
    colorizer = Colorizer(config.model, size=config.size, saturation=config.saturation)
    failed: dict[Path, str] = {}
    taken = {job.source.resolve() for job in jobs}  # what must not be written to
    for job in tqdm(jobs, unit="picture", file=sys.stderr, disable=None):
        try:
            _colorize(colorizer, job, taken, config.overwrite)
        except (ValueError, OSError, MemoryError) as error:
            failed[job.source] = _reason(job.source, error)
            tqdm.write(failed[job.source], file=sys.stderr)
    return Summary(len(jobs) - len(failed), failed)


def _colorize(colorizer: Colorizer, job: Job, taken: set[Path], overwrite: bool) -> None:
    """Colors one picture and marks its target as taken."""
    target = job.target.resolve()
    if target in taken:
        raise ValueError(
            f"{job.source} would be written onto {job.target}, an input or the output of another; "
            "choose another --output"
        )
    taken.add(target)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    colorizer.colorize_file(job.source, job.target, overwrite=overwrite)


def _jobs(config: AlbumConfig) -> Iterator[Job]:
    """Every picture once, in a fixed order."""
    output, seen = Path(config.output), set()
    for given in map(Path, config.inputs):
        if not given.exists():
            raise FileNotFoundError(f"There is no {given}; wanted a picture file or a folder.")
        found = _pictures(given, output) if given.is_dir() else [(given, Path(given.name))]
        for source, place in found:
            if source.resolve() not in seen:
                seen.add(source.resolve())
                yield Job(source, output / _target_name(place))


def _pictures(folder: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """(path, path relative to the folder) of the pictures below a folder, earlier output aside."""
    for parent, children, names in os.walk(folder):
        children[:] = sorted(
            child
            for child in children
            if not child.startswith(".") and (Path(parent) / child).resolve() != output.resolve()
        )
        for name in sorted(names):
            path = Path(parent) / name
            if not name.startswith(".") and path.suffix.lower() in images.READABLE:
                yield path, path.relative_to(folder)


def _target_name(place: Path) -> Path:
    """The same name, with .png behind it where we cannot write its format."""
    return (
        place if place.suffix.lower() in images.WRITABLE else place.with_name(f"{place.name}.png")
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"Cannot make the output folder {folder}: {error.strerror}.") from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"Cannot write into the output folder {folder}; choose another.")


def _reason(source: Path, error: Exception) -> str:
    """One line that names the picture."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if str(source) in line else f"{source}: {line}"
