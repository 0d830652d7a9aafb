"""Colors many pictures and films, and continues where one of them is bad."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import color_detection, heif, image_io, image_metadata
from residual_encoder.imaging.image_io import Picture
from residual_encoder.inference import (
    batch_plan,
    batch_report,
    file_discovery,
    hints,
    output_fit,
    output_paths,
    pages,
    video_progress,
)
from residual_encoder.inference.batch_config import BatchConfig
from residual_encoder.inference.batch_plan import Plan
from residual_encoder.inference.batch_report import THERE, BatchSummary, FileReport, Stopped
from residual_encoder.inference.colorizer import Colorizer, configured
from residual_encoder.inference.engines import settling
from residual_encoder.inference.file_discovery import STANDARD, Job
from residual_encoder.inference.hints import HintsFile
from residual_encoder.inference.output_paths import comparison_path
from residual_encoder.inference.pages import PagesSummary, Several
from residual_encoder.inference.picture_source import PictureSource
from residual_encoder.utils import errors, files

if TYPE_CHECKING:
    from residual_encoder.inference import video

# What one bad input may raise; the other inputs are colored all the same.
INPUT_ERRORS = (ValueError, OSError, MemoryError)
SHOWN = 3  # lines about outputs that exist; a second run without --skip_existing has one for each


# --- one picture or film --------------------------------------------------------------------------


def colorize_to_files(
    colorizer: Colorizer,
    picture: Picture,
    target: Path,
    wanted: list[Path],
    fit: bool = False,
    given: HintsFile = hints.NOTHING,
) -> list[str]:
    """Colors a picture into those of `target` and `comparison_path(target)` that are wanted.

    Files of these names are replaced; folders are made.

    Args:
      colorizer: Gives the chroma.
      picture: What to color.
      target: The colored file.
      wanted: Which of the two to write.
      fit: Whether what the format of `target` cannot hold is left out.
      given: Hints and settings of the picture.

    Returns:
      What was left out, a note each.

    Raises:
      ValueError: the format of `target` cannot hold the picture.
      OSError: a file cannot be written.
    """
    colored, notes = colorizer.colorize(picture, **given.arguments), list[str]()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target in wanted:
        whole, notes = output_fit.fitted(colored, target) if fit else (colored, [])
        image_io.write(target, whole, image_metadata.marked(picture.metadata))
    if comparison_path(target) in wanted:
        pair = pages.beside_gray(colorizer, picture, colored)
        pair, notes = output_fit.fitted(pair, target) if fit else (pair, notes)
        image_io.write(comparison_path(target), pair, image_metadata.marked(picture.metadata))
    return notes


def colorize_pages_to_files(
    colorizer: Colorizer,
    several: Several,
    target: Path,
    wanted: list[Path],
    fit: bool = False,
    keep: Callable[[Picture], bool] | None = None,
) -> PagesSummary:
    """Colors a file of several pictures as `colorize_to_files` does one; see `pages`.

    Args:
      colorizer: Gives the chroma.
      several: The pages or frames.
      target: The colored file.
      wanted: See `colorize_to_files`.
      fit: See `colorize_to_files`.
      keep: Returns whether a picture is to be left as it is; see `pages.colorize_pages`.
    """

    def color_one(picture: Picture, part: Path, parts: list[Path]) -> list[str]:
        return colorize_to_files(colorizer, picture, part, parts, fit)

    target.parent.mkdir(parents=True, exist_ok=True)
    return pages.colorize_pages(colorizer, several, target, wanted, color_one, keep=keep)


def colorize_video_to_file(
    colorizer: Colorizer, source: Path, target: Path, **settings: Any
) -> video.VideoSummary:
    """Colors a film; see `video.VideoConfig` for the settings. Folders are made."""
    from residual_encoder.inference import video  # which loads FFmpeg's libraries

    target.parent.mkdir(parents=True, exist_ok=True)
    config = video.VideoConfig(str(source), str(target), **settings)
    return video.colorize_video(colorizer, config)


# --- many -----------------------------------------------------------------------------------------


def ready(config: BatchConfig, plan: Plan) -> Colorizer:
    """Loads the network, into the engine that is fastest for what there is to color."""
    colorizer, jobs = configured(config, config.engine), plan.found.jobs
    films = sum(output_paths.is_film(job.source) for job in jobs)
    if line := colorizer.settle(len(jobs) + films * (settling.FRAMES - 1)):
        print(line, file=sys.stderr)
    return colorizer


def colorize_files(
    config: BatchConfig, plan: Plan | None = None, colorizer: Colorizer | None = None
) -> BatchSummary:
    """Colors pictures and films one after the other; prints a line to stderr for each failure.

    Args:
      config: The inputs, and how to color them.
      plan: What `batch_plan.plan` made of the config; made here where it is left out.
      colorizer: What `ready` made of both; made here where it is left out.

    Returns:
      The counts and the reasons.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      FileExistsError: the report exists.
      ValueError: no picture was found, or an option is out of range; see `batch_plan.plan`.
      OSError: the output folder cannot be made.
      Stopped: it was interrupted; the report is written.
    """
    plan = plan or batch_plan.plan(config)
    output = Path(config.output)
    if output != STANDARD:
        files.make_folder(output.parent if output_paths.is_file_name(output) else output)
    run = _Run(config, plan, colorizer or ready(config, plan))
    with batch_report.writing(config.report, run.reports, plan.earlier):
        run.all()
    return run.summary()


class _Run:
    """The state of one `colorize_files`."""

    def __init__(self, config: BatchConfig, plan: Plan, colorizer: Colorizer) -> None:
        self.config, self.plan, self.colorizer = config, plan, colorizer
        self.taken = output_paths.Taken(plan.taken)
        self.colored, self.skipped, self.existing, self.not_colored = 0, 0, 0, 0
        self.ended = 0  # jobs
        self.failed: dict[Path, str] = {}
        self.left_out = dict(plan.found.left_out)
        self.reports: list[FileReport] = []
        self.given = hints.NOTHING  # for the picture at work

    def summary(self) -> BatchSummary:
        """Returns the counts so far."""
        return batch_report.summarize(
            self.colored,
            self.failed,
            self.skipped,
            self.left_out,
            self.plan.found.others,
            self.not_colored,
        )

    def all(self) -> None:
        """Colors all inputs; raises `Stopped` where that is interrupted."""
        found = self.plan.found
        for line in file_discovery.left_out_lines(found):
            tqdm.write(line, file=sys.stderr)
        self.reports += [FileReport(str(path), left_out=why) for path, why in self.left_out.items()]
        for path, reason in found.unreadable.items():
            self.fail(FileReport(str(path)), path, reason)
        try:
            with tqdm(found.jobs, unit="file", file=sys.stderr, disable=None) as bar:
                for job in bar:
                    self.color(job)
            if self.existing > SHOWN:
                tqdm.write(f"and {self.existing - SHOWN} more outputs exist", file=sys.stderr)
        except KeyboardInterrupt as stop:
            raise Stopped(self.summary(), len(found.jobs) - self.ended) from stop

    def color(self, job: Job) -> None:
        """Colors one input; an error of it becomes a line."""
        report = FileReport(str(job.source), model=self.colorizer.sha256)
        start = time.perf_counter()
        color = self._film if output_paths.is_film(job.source) else self._picture
        before, counts = files.version(job.target), self._counts()
        try:
            color(job, report)
            self._count(report, start)
        except KeyboardInterrupt:
            self.colored, self.skipped, self.not_colored, self.ended, known = counts
            del self.reports[known:]
            if files.version(job.target) != before:  # it was written already
                report.output = report.output or str(job.target)
                self._count(report, start)
            raise
        except INPUT_ERRORS as error:
            name = "" if job.source == STANDARD else str(job.source)
            self.existing += isinstance(error, FileExistsError)
            shown = not isinstance(error, FileExistsError) or self.existing <= SHOWN
            self.fail(report, job.source, errors.one_line(error, name), shown)
            self.ended += 1
            return
        for note in report.notes:
            tqdm.write(f"{job.source}: {note}", file=sys.stderr)

    def _counts(self) -> tuple[int, int, int, int, int]:
        """Returns what `_count` adds to, and the number of reports."""
        return self.colored, self.skipped, self.not_colored, self.ended, len(self.reports)

    def _count(self, report: FileReport, start: float) -> None:
        """Adds the report of an input without an error to the counts."""
        self.colored += report.left_out is None
        self.skipped += report.left_out == THERE
        self.not_colored += report.not_colored or 0
        report.seconds = round(time.perf_counter() - start, 3)
        self.reports.append(report)
        self.ended += 1

    def fail(self, report: FileReport, source: Path, reason: str, shown: bool = True) -> None:
        """Notes why an input failed, and prints it if it is to be shown."""
        self.failed[source] = report.error = reason
        self.reports.append(report)
        if shown:
            tqdm.write(reason, file=sys.stderr)

    def _film(self, job: Job, report: FileReport) -> None:
        if job.target == STANDARD:
            raise ValueError(f"{job.source} is a film; standard output takes pictures only")
        other = output_paths.matroska_name(job.source, job.target)
        if other in self.taken:
            raise ValueError(output_paths.output_conflict(job.source, other))
        compared = [comparison_path(job.target)] if self.config.compare else []
        left = video_progress.settled(job.target) | video_progress.settled(other)
        there = self.config.skip_existing and other.exists()
        if not self._claim(job.source, [job.target, *compared], *left) or there:
            report.left_out = THERE
            return
        hints.check_one_picture(job.source, not self._given(job.source).is_empty)
        names = "overwrite", "compare", "color_inputs", "start", "end"
        settings = {name: getattr(self.config, name) for name in names}
        summary = colorize_video_to_file(self.colorizer, job.source, job.target, **settings)
        report.notes = list(summary.notes)
        report.output, report.frames = summary.output, summary.frames or None
        self.taken.add(Path(summary.output or job.target))  # it may be `other`
        self._note_color(PictureSource(job.source), report)

    def _picture(self, job: Job, report: FileReport) -> None:
        source = PictureSource(job.source, self.config.max_pixels)
        write = self._writer(source, job.target, report)
        if write is None:
            report.left_out = THERE
            return
        self.given = self._given(source.path)
        with source.as_file() as path:
            if several := pages.inspect(path, source.max_pixels):
                hints.check_one_picture(source.path, not self.given.is_empty)
                report.output = write(several)
                self._note_color(source, report)
                return
        picture = source.picture()
        report.height, report.width = picture.pixels.shape[:2]
        kept = self.given.is_empty and self._is_kept(picture)
        report.output = None if kept else write(picture)
        report.add_others(picture.others)
        self._note_color(source, report)
        report.notes += self.given.notes
        if report.output and job.source.suffix.lower() in heif.SUFFIXES:
            written = image_io.format_name(Path(report.output).suffix or self._suffix(source))
            report.notes.append(f"HEIC is read only: written as {written}")

    def _given(self, source: Path) -> HintsFile:
        """Reads the hints of a picture or film; nothing where none are given for it."""
        given = self.config.hints
        return hints.for_picture(Path(given), source) if given else hints.NOTHING

    def _is_kept(self, picture: Picture) -> bool:
        """Returns whether a picture is in color and therefore left as it is."""
        return self.config.color_inputs == "skip" and color_detection.in_color(picture)

    def _note_color(self, source: PictureSource, report: FileReport) -> None:
        """Notes and prints that an input was left as it is, where nothing was written."""
        if report.output is None:
            report.left_out = self.left_out[source.path] = batch_report.IN_COLOR
            name = "standard input" if source.is_standard else source.path
            tqdm.write(f"{name} is {batch_report.IN_COLOR} and left as it is", file=sys.stderr)

    def _writer(
        self, source: PictureSource, target: Path, report: FileReport
    ) -> Callable[[Picture | Several], str | None] | None:
        """Returns a function that colors a picture, or several of one file, and writes them.

        That function returns the output, or None where all is in color already. There is none
        without any target.
        """
        if target == STANDARD:
            suffix = self._suffix(source)
            return lambda picture: self._to_standard_output(picture, suffix, report)
        if source.is_standard and target != Path(self.config.output):
            target = target.with_name(f"stdin{self._suffix(source)}")
        wanted = self._claim(
            source.path, [target, comparison_path(target)] if self.config.compare else [target]
        )

        def to_files(picture: Picture | Several) -> str | None:
            fit = self.config.format != "keep" or target == Path(self.config.output)
            if isinstance(picture, Picture):
                report.notes = colorize_to_files(
                    self.colorizer, picture, target, wanted, fit, self.given
                )
                return str(target)
            done = colorize_pages_to_files(
                self.colorizer, picture, target, wanted, fit, self._is_kept
            )
            return self._added(done, report, target)

        return to_files if wanted else None

    def _added(self, done: PagesSummary, report: FileReport, target: Path) -> str | None:
        """Puts what became of several pictures into the report; returns the output, if any."""
        if not done.colored:
            return None
        report.add(done.facts())
        return str(target)

    def _to_standard_output(
        self, picture: Picture | Several, suffix: str, report: FileReport
    ) -> str | None:
        fit, stream = self.config.format != "keep", sys.stdout.buffer
        if isinstance(picture, Picture):
            colored = np.asarray(self.colorizer.colorize(picture, **self.given.arguments))
            if fit:
                colored, report.notes = output_fit.fitted(colored, Path(f"a{suffix}"))
            metadata = image_metadata.marked(picture.metadata)
            stream.write(image_io.encode(colored, suffix, metadata))
        else:  # by way of a file, since readers of TIFF and writers of headers seek
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / f"colored{suffix}"
                done = colorize_pages_to_files(
                    self.colorizer, picture, target, [target], fit, self._is_kept
                )
                if not self._added(done, report, STANDARD):
                    return None
                with target.open("rb") as file:
                    shutil.copyfileobj(file, stream)
        stream.flush()
        return str(STANDARD)

    def _suffix(self, source: PictureSource) -> str:
        """Returns the suffix of an output that no file's name decides."""
        return output_paths.FORMATS.get(self.config.format) or source.suffix()

    def _claim(self, source: Path, targets: list[Path], *left: Path) -> list[Path]:
        """Returns the targets that are to be written, marked as taken; all or none may be.

        Raises:
          ValueError: one of them is an input or the output of another.
          FileExistsError: one exists and is neither to be replaced nor skipped.
        """
        for target in targets:
            if target in self.taken:
                raise ValueError(output_paths.output_conflict(source, target))
        for target in targets:
            self.taken.add(target)
        if self.config.skip_existing:
            return [target for target in targets if not target.exists()]
        if not self.config.overwrite:
            for target in [target for target in targets if target not in left]:
                output_paths.check_free(target)
        return targets
