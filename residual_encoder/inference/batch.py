"""Colors many pictures and films, and continues where one of them is bad."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import heif, image_headers, image_io, image_metadata
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import file_discovery, output_paths, pages, video
from residual_encoder.inference.colorizer import Colorizer, configured
from residual_encoder.inference.file_discovery import STANDARD, Job
from residual_encoder.inference.output_paths import comparison_path
from residual_encoder.inference.pages import PagesSummary, Several
from residual_encoder.utils import errors, files

# What one bad input may raise; the other inputs are colored all the same.
INPUT_ERRORS = (ValueError, OSError, MemoryError)


@dataclass(frozen=True)
class BatchConfig:
    """Configures the inputs and outputs of a batch.

    Attributes:
      inputs: Files, folders, globs and "-" for standard input; see `file_discovery.find`.
      output: Folder for the colored pictures; made if need be. What lies in an input folder keeps
        its place relative to that folder. "-" is standard output, for one picture.
      model: See `Colorizer`.
      size: See `Colorizer`.
      saturation: See `Colorizer`.
      upsampling: See `Colorizer`.
      format: "keep" or a key of `output_paths.FORMATS`, for pictures.
      compare: Whether NAME_compare, gray next to colored, is written too; for pictures.
      overwrite: Whether outputs that exist already are replaced. Inputs never are.
      skip_existing: Whether such outputs are skipped without a message.
      max_megapixels: The largest picture that is taken; None is 200. Larger ones are colored in
        rows, in bounded memory.
      report: File for one JSON object a line and input, as `FileReport` has it; or none.
      vividness: See `Colorizer`.
      temperature: See `Colorizer`.
      prior_correction: See `Colorizer`.
    """

    inputs: tuple[str, ...]
    output: str
    model: str | None = None
    size: int | str = "auto"
    saturation: float = 1.0
    upsampling: str = "guided"
    format: str = "keep"
    compare: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    report: str | None = None
    max_megapixels: float | None = None
    vividness: float | None = None
    temperature: float | None = None
    prior_correction: float | None = None

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise ValueError("Existing outputs are replaced or skipped: choose one of the two.")
        output_paths.check_format(self.format)
        if self.output == str(STANDARD) and self.compare:
            raise ValueError("Standard output takes one picture; compare needs a folder.")


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
      not_colored: Pages or frames that the output's format has no place for.
      left_out: Why a file in a folder was not colored whose kind is not read.
      notes: What could not be kept or was no page, a line each.
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

    def add(self, summary: PagesSummary) -> None:
        """Takes over what is known of a file of several pictures."""
        for name, value in summary.facts().items():
            setattr(self, name, value)


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
      left_out: Source -> why, of files in folders whose kind is not read.
      not_colored: Pages and frames of those that were, for want of a place for them.
    """

    left_out: dict[Path, str]
    not_colored: int


# --- one picture or film --------------------------------------------------------------------------


def colorize_to_files(
    colorizer: Colorizer, picture: Picture, target: Path, wanted: list[Path]
) -> None:
    """Colors a picture into those of `target` and `comparison_path(target)` that are wanted.

    Files of these names are replaced; folders are made.

    Raises:
      ValueError: the format of `target` cannot hold the picture.
      OSError: a file cannot be written.
    """
    colored = colorizer.colorize(picture)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target in wanted:
        image_io.write(target, colored, image_metadata.marked(picture.metadata))
    if comparison_path(target) in wanted:
        pair = pages.beside_gray(colorizer, picture, colored)
        image_io.write(comparison_path(target), pair, image_metadata.marked(picture.metadata))


def colorize_pages_to_files(
    colorizer: Colorizer, several: Several, target: Path, wanted: list[Path]
) -> PagesSummary:
    """Colors a file of several pictures as `colorize_to_files` does one; see `pages`."""

    def color_one(picture: Picture, part: Path, parts: list[Path]) -> tuple[str, ...]:
        colorize_to_files(colorizer, picture, part, parts)
        return ()

    target.parent.mkdir(parents=True, exist_ok=True)
    return pages.colorize_pages(colorizer, several, target, wanted, color_one)


def colorize_video_to_file(
    colorizer: Colorizer, source: Path, target: Path, overwrite: bool = False
) -> video.VideoSummary:
    """Colors a film; see `video.colorize_video`. Folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    config = video.VideoConfig(str(source), str(target), overwrite=overwrite)
    return video.colorize_video(colorizer, config)


# --- many -----------------------------------------------------------------------------------------


def colorize_files(config: BatchConfig) -> BatchSummary:
    """Colors pictures and films one after the other; prints a line to stderr for each failure.

    Args:
      config: The inputs, and how to color them.

    Returns:
      The counts and the reasons.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      FileExistsError: the report exists.
      ValueError: no picture was found, or an option is out of range.
      OSError: the output folder cannot be made.
    """
    output = Path(config.output)
    found = file_discovery.find(config.inputs, output, config.format)
    jobs, unreadable, left_out = found
    _check_jobs(config, found)
    taken = {job.source.resolve() for job in jobs if job.source != STANDARD}
    if config.report:
        _check_report(config, taken)
    if output != STANDARD:
        files.make_folder(output)
    run = _Run(config, taken)
    with _reporting(config.report, run.reports):
        for line in file_discovery.left_out_lines(found):
            tqdm.write(line, file=sys.stderr)
        run.reports += [FileReport(str(path), left_out=why) for path, why in left_out.items()]
        for path, reason in unreadable.items():
            run.fail(FileReport(str(path)), path, reason)
        for job in tqdm(jobs, unit="file", file=sys.stderr, disable=None):
            run.color(job)
    summary = BatchSummary(run.colored, run.failed, run.skipped)
    summary.left_out, summary.not_colored = left_out, run.not_colored
    return summary


class _Source:
    """One picture file, or standard input; its bytes are read once and held until decoded."""

    def __init__(self, path: Path, max_pixels: int | None = None) -> None:
        self.path, self.max_pixels = path, max_pixels
        self.is_standard = path == STANDARD
        self._data: bytes | None = None

    def suffix(self) -> str:
        """Returns the suffix of the format that the bytes are in."""
        with self._named():
            return image_headers.suffix_of(self._read())

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Yields a file with the bytes: the input, or for pipes a temporary one."""
        if self.path.is_file() and not self.is_standard:
            yield self.path
            return
        with tempfile.TemporaryDirectory() as folder, self._named():
            path = Path(folder) / "input"
            path.write_bytes(self._read())
            try:
                yield path
            except ValueError as error:
                raise ValueError(str(error).removeprefix(f"{path} ")) from error

    def picture(self) -> Picture:
        """Decodes the bytes."""
        if self._data is None and not self.is_standard:
            return image_io.read(self.path, self.max_pixels)
        with self._named():
            data, self._data = self._read(), None
            return image_io.decode(data, self.max_pixels)

    def _read(self) -> bytes:
        if self._data is None:
            self._data = (
                image_io.read_stream(sys.stdin.buffer)
                if self.is_standard
                else image_io.read_bytes(self.path)
            )
        return self._data

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Puts the input's name before the message of an error."""
        try:
            yield
        except ValueError as error:
            name = "standard input" if self.is_standard else self.path
            raise ValueError(f"{name} {error}") from error


class _Run:
    """The state of one `colorize_files`."""

    def __init__(self, config: BatchConfig, taken: set[Path]) -> None:
        self.config, self.taken = config, taken  # `taken` must not be written to
        self.colorizer = configured(config)
        self.colored, self.skipped, self.not_colored = 0, 0, 0
        self.failed: dict[Path, str] = {}
        self.reports: list[FileReport] = []

    def color(self, job: Job) -> None:
        """Colors one input; an error of it becomes a line."""
        report, start = (
            FileReport(str(job.source), model=self.colorizer.sha256),
            time.perf_counter(),
        )
        color = self._film if output_paths.is_film(job.source) else self._picture
        try:
            done = color(job, report)
        except INPUT_ERRORS as error:
            name = "" if job.source == STANDARD else str(job.source)
            self.fail(report, job.source, errors.one_line(error, name))
            return
        self.colored += done
        self.skipped += not done
        self.not_colored += report.not_colored or 0
        report.seconds = round(time.perf_counter() - start, 3)
        self.reports.append(report)
        for note in report.notes:
            tqdm.write(f"{job.source}: {note}", file=sys.stderr)

    def fail(self, report: FileReport, source: Path, reason: str) -> None:
        """Notes and prints why an input failed."""
        self.failed[source] = report.error = reason
        self.reports.append(report)
        tqdm.write(reason, file=sys.stderr)

    def _film(self, job: Job, report: FileReport) -> bool:
        if job.target == STANDARD:
            raise ValueError(f"{job.source} is a film; standard output takes pictures only")
        if not self._claim(job.source, [job.target]):
            return False
        overwrite = self.config.overwrite
        summary = colorize_video_to_file(self.colorizer, job.source, job.target, overwrite)
        report.notes = list(summary.notes)
        report.output, report.frames = str(job.target), summary.frames
        return True

    def _picture(self, job: Job, report: FileReport) -> bool:
        most = self.config.max_megapixels
        source = _Source(job.source, int(most * 1e6) if most else None)
        write = self._writer(source, job.target, report)
        if write is None:
            return False
        with source.as_file() as path:
            if several := pages.inspect(path, source.max_pixels):
                report.output = write(several)
                return True
        picture = source.picture()
        report.height, report.width = picture.pixels.shape[:2]
        report.output = write(picture)
        if job.source.suffix.lower() in heif.SUFFIXES:
            report.notes.append("HEIC is read only: written as another format")
        return True

    def _writer(
        self, source: _Source, target: Path, report: FileReport
    ) -> Callable[[Picture | Several], str] | None:
        """Returns a function that colors a picture, or several of one file, and writes them.

        None without any target.
        """
        if target == STANDARD:
            suffix = self._suffix(source)
            return lambda picture: _to_standard_output(self.colorizer, picture, suffix, report)
        if source.is_standard:
            target = target.with_name(f"stdin{self._suffix(source)}")
        wanted = self._claim(
            source.path, [target, comparison_path(target)] if self.config.compare else [target]
        )

        def to_files(picture: Picture | Several) -> str:
            if isinstance(picture, Picture):
                colorize_to_files(self.colorizer, picture, target, wanted)
            else:
                report.add(colorize_pages_to_files(self.colorizer, picture, target, wanted))
            return str(target)

        return to_files if wanted else None

    def _suffix(self, source: _Source) -> str:
        """Returns the suffix of an output that no file's name decides."""
        return output_paths.FORMATS.get(self.config.format) or source.suffix()

    def _claim(self, source: Path, targets: list[Path]) -> list[Path]:
        """Returns the targets that are to be written, marked as taken; all or none may be.

        Raises:
          ValueError: one of them is an input or the output of another.
          FileExistsError: one exists and is neither to be replaced nor skipped.
        """
        for target in targets:
            if target.resolve() in self.taken:
                raise ValueError(output_paths.output_conflict(source, target))
        self.taken |= {target.resolve() for target in targets}
        if self.config.skip_existing:
            return [target for target in targets if not target.exists()]
        for target in targets:
            files.check_free(target, self.config.overwrite)
        return targets


def _to_standard_output(
    colorizer: Colorizer, picture: Picture | Several, suffix: str, report: FileReport
) -> str:
    stream = sys.stdout.buffer
    if isinstance(picture, Picture):
        colored = colorizer.colorize(picture)
        metadata = image_metadata.marked(picture.metadata)
        stream.write(image_io.encode(np.asarray(colored), suffix, metadata))
    else:  # by way of a file, since readers of TIFF and writers of headers seek
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / f"colored{suffix}"
            report.add(colorize_pages_to_files(colorizer, picture, target, [target]))
            with target.open("rb") as file:
                shutil.copyfileobj(file, stream)
    stream.flush()
    return str(STANDARD)


# --- before and after -----------------------------------------------------------------------------


def _check_jobs(config: BatchConfig, found: file_discovery.Found) -> None:
    if not found.jobs and not found.unreadable:
        raise file_discovery.nothing(config.inputs, found)
    count = len(found.jobs)
    if config.output == str(STANDARD) and count > 1:
        raise ValueError(f"Standard output takes one picture, received {count}; give a folder.")


def _check_report(config: BatchConfig, taken: set[Path]) -> None:
    """Refuses a report that would replace something, and keeps pictures off its place."""
    report = Path(config.report or "")
    files.check_free(report, config.overwrite)
    if report.resolve() in taken:
        raise ValueError(f"The report {report} would be written onto an input; choose another.")
    if not report.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {report.parent} for the report.")
    taken.add(report.resolve())


@contextmanager
def _reporting(report: str | None, reports: list[FileReport]) -> Iterator[None]:
    """Writes the report in the end, also of a run that is interrupted."""
    try:
        yield
    finally:
        if report:
            files.write_text(report, "".join(f"{json.dumps(asdict(row))}\n" for row in reports))
