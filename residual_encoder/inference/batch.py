"""Colors many pictures and films, and goes on where one of them is bad."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from residual_encoder.apps.archive import tasks
from residual_encoder.imaging import image_io
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import file_discovery, painting
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.file_discovery import STANDARD, Job, target_name
from residual_encoder.inference.painting import beside
from residual_encoder.utils import errors, files

__all__ = ["AlbumConfig", "Row", "Summary", "colorize_files", "target_name"]


@dataclass(frozen=True)
class AlbumConfig:
    """What to color and where to put it.

    Attributes:
      inputs: Files, folders, globs and "-" for standard input; see `file_discovery.find`.
      output: Folder for the colored pictures; made if need be. What lies in an input folder keeps
        its place relative to that folder. "-" is standard output, for one picture.
      model: See `Colorizer`.
      size: See `Colorizer`.
      saturation: See `Colorizer`.
      upsampling: See `Colorizer`.
      format: "keep" or a key of `file_discovery.FORMATS`, for pictures.
      compare: Whether NAME_compare, gray beside colored, is written too; for pictures.
      overwrite: Whether outputs that are there already are replaced. Inputs never are.
      skip_existing: Whether such outputs are passed over in silence.
      report: File for one JSON object a line and input, as `Row` has it; or none.
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

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise ValueError("Existing outputs are replaced or skipped: choose one of the two.")
        file_discovery.check_format(self.format)
        if self.output == str(STANDARD) and self.compare:
            raise ValueError("Standard output takes one picture; compare needs a folder.")


@dataclass
class Row:
    """What became of one input; None is unknown.

    Attributes:
      file: The input.
      output: The colored file; None where nothing was written.
      width: Pixels, upright.
      height: Pixels, upright.
      seconds: From reading to written.
      model: SHA-256 of the weights.
      error: Why it failed, in one line.
      frames: Of a film.
    """

    file: str
    output: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    model: str | None = None
    error: str | None = None
    frames: int | None = None


class Summary(NamedTuple):
    """What became of the inputs."""

    colored: int
    failed: dict[Path, str]  # source -> why; an output that exists already is such a reason
    skipped: int = 0


def colorize_files(config: AlbumConfig) -> Summary:
    """Colors pictures and films one after the other; a line on stderr for each that fails.

    Args:
      config: What to color and how.

    Returns:
      The counts and the reasons.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      FileExistsError: the report exists.
      ValueError: no picture was found, or a wrong option.
      OSError: the output folder cannot be made.
    """
    output = Path(config.output)
    jobs, closed = file_discovery.find(config.inputs, output, config.format)
    _check_jobs(config, jobs, closed)
    taken = {job.source.resolve() for job in jobs if job.source != STANDARD}
    if config.report:
        _check_report(config, taken)
    if output != STANDARD:
        files.make_folder(output)
    run = _Run(config, taken)
    with _reporting(config.report, run.rows):
        for path, reason in closed.items():
            run.fail(Row(str(path)), path, reason)
        for job in tqdm(jobs, unit="file", file=sys.stderr, disable=None):
            run.color(job)
    return Summary(run.colored, run.failed, run.skipped)


class _Run:
    """The state of one `colorize_files`."""

    def __init__(self, config: AlbumConfig, taken: set[Path]) -> None:
        self.config, self.taken = config, taken  # `taken` must not be written to
        self.colorizer = Colorizer(
            config.model,
            size=config.size,
            saturation=config.saturation,
            upsampling=config.upsampling,
        )
        self.colored, self.skipped = 0, 0
        self.failed: dict[Path, str] = {}
        self.rows: list[Row] = []

    def color(self, job: Job) -> None:
        """Colors one input; whatever is wrong with it is a line."""
        row, start = Row(str(job.source), model=self.colorizer.sha256), time.perf_counter()
        try:
            done = (
                self._film(job, row)
                if file_discovery.is_film(job.source)
                else self._picture(job, row)
            )
        except painting.FAULTS as error:
            name = "" if job.source == STANDARD else str(job.source)
            self.fail(row, job.source, errors.one_line(error, name))
            return
        self.colored += done
        self.skipped += not done
        row.seconds = round(time.perf_counter() - start, 3)
        self.rows.append(row)

    def fail(self, row: Row, source: Path, reason: str) -> None:
        """Notes and prints why an input failed."""
        self.failed[source] = row.error = reason
        self.rows.append(row)
        tqdm.write(reason, file=sys.stderr)

    def _film(self, job: Job, row: Row) -> bool:
        if job.target == STANDARD:
            raise ValueError(f"{job.source} is a film; standard output takes pictures only")
        targets = self._claim(job, [job.target])
        if not targets:
            return False
        overwrite = self.config.overwrite
        summary = painting.paint_film(self.colorizer, job.source, job.target, overwrite)
        for note in summary.notes:
            tqdm.write(f"{job.source}: {note}", file=sys.stderr)
        row.output, row.frames = str(job.target), summary.frames
        return True

    def _picture(self, job: Job, row: Row) -> bool:
        if job.target == STANDARD:
            return self._standard_output(job, row)
        data = _bytes(job.source) if job.source == STANDARD else None
        if data is not None:
            suffix = file_discovery.FORMATS.get(self.config.format) or image_io.suffix_of(data)
            job = Job(job.source, job.target.with_name(f"stdin{suffix}"))
        wanted = [job.target, beside(job.target)] if self.config.compare else [job.target]
        targets = self._claim(job, wanted)
        if not targets:
            return False
        picture = _read(job.source, data)
        row.height, row.width = picture.pixels.shape[:2]
        painting.paint(self.colorizer, picture, job.target, targets)
        row.output = str(job.target)
        return True

    def _standard_output(self, job: Job, row: Row) -> bool:
        data = _bytes(job.source)
        picture = _read(job.source, data)
        row.height, row.width = picture.pixels.shape[:2]
        suffix = file_discovery.FORMATS.get(self.config.format) or image_io.suffix_of(data)
        encoded = image_io.encode(self.colorizer.colorize(picture), suffix, picture.metadata)
        sys.stdout.buffer.write(encoded)
        sys.stdout.buffer.flush()
        row.output = str(STANDARD)
        return True

    def _claim(self, job: Job, targets: list[Path]) -> list[Path]:
        """Those targets that are to be written, marked as taken; all or none may be.

        Raises:
          ValueError: one of them is an input or the output of another.
          FileExistsError: one exists and is neither to be replaced nor skipped.
        """
        for target in targets:
            if target.resolve() in self.taken:
                raise ValueError(tasks.claimed(job.source, target))
        self.taken |= {target.resolve() for target in targets}
        if self.config.skip_existing:
            return [target for target in targets if not target.exists()]
        for target in targets:
            files.check_free(target, self.config.overwrite)
        return targets


def _bytes(source: Path) -> bytes:
    with _named(source):
        return (
            image_io.read_stream(sys.stdin.buffer)
            if source == STANDARD
            else image_io.read_bytes(source)
        )


def _read(source: Path, data: bytes | None) -> Picture:
    if data is None:
        return image_io.read(source)
    with _named(source):
        return image_io.decode(data)


@contextmanager
def _named(source: Path) -> Iterator[None]:
    """Puts the input's name before what is wrong with it."""
    try:
        yield
    except ValueError as error:
        name = "standard input" if source == STANDARD else source
        raise ValueError(f"{name} {error}") from error


# --- before and after -----------------------------------------------------------------------------


def _check_jobs(config: AlbumConfig, jobs: list[Job], closed: dict[Path, str]) -> None:
    if not jobs and not closed:
        raise file_discovery.nothing(config.inputs)
    if config.output == str(STANDARD) and len(jobs) > 1:
        raise ValueError(f"Standard output takes one picture, received {len(jobs)}; give a folder.")


def _check_report(config: AlbumConfig, taken: set[Path]) -> None:
    """Refuses a report that would replace something, and keeps pictures off its place."""
    report = Path(config.report or "")
    files.check_free(report, config.overwrite)
    if report.resolve() in taken:
        raise ValueError(f"The report {report} would be written onto an input; choose another.")
    if not report.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {report.parent} for the report.")
    taken.add(report.resolve())


@contextmanager
def _reporting(report: str | None, rows: list[Row]) -> Iterator[None]:
    """Writes the report in the end, also of a run that is interrupted."""
    try:
        yield
    finally:
        if report:
            files.write_text(report, "".join(f"{json.dumps(asdict(row))}\n" for row in rows))
