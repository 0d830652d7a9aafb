"""Plans a batch before TensorFlow is loaded, so that a wrong input is answered at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from residual_encoder.inference import batch_report, file_discovery, hints, output_paths
from residual_encoder.inference.batch_config import BatchConfig
from residual_encoder.inference.file_discovery import STANDARD, Found
from residual_encoder.utils import files


@dataclass
class Plan:
    """Holds what is to be done.

    Attributes:
      found: The inputs.
      taken: Paths that must not be written to.
      earlier: Rows of the report that this run continues.
    """

    found: Found
    taken: set[Path]
    earlier: list[dict[str, Any]] = field(default_factory=list)


def plan(config: BatchConfig) -> Plan:
    """Finds the inputs and checks what can be checked without a network.

    Raises:
      FileNotFoundError: an input or the model does not exist.
      FileExistsError: the report exists, or the output is an input file.
      ValueError: no picture was found; the hints are wrong; the output is an input folder, or one
        file for several inputs; or the report would replace an input.
    """
    output = Path(config.output)
    if config.model is not None and not Path(config.model).exists():
        raise FileNotFoundError(
            f"There is no {config.model}. Wanted a weights file, a training workdir or an export "
            "(SavedModel, LiteRT)."
        )
    found = file_discovery.find(config.inputs, output, config.format)
    _check_jobs(config, found)
    _check_place(config, found)
    _check_hints(config, found)
    taken = {job.source.resolve() for job in found.jobs if job.source != STANDARD}
    earlier = _checked_report(config, taken) if config.report else []
    return Plan(found, taken, earlier)


def _check_jobs(config: BatchConfig, found: Found) -> None:
    output, jobs = Path(config.output), found.jobs
    if not jobs and not found.unreadable:
        raise file_discovery.nothing(config.inputs, found)
    if output == STANDARD and len(jobs) > 1:
        raise ValueError(f"Standard output takes one picture, received {len(jobs)}; give a folder.")
    if output != STANDARD and output_paths.is_file_name(output):
        if len(jobs) > 1:
            raise ValueError(
                f"The output {output} is the name of one file, received {len(jobs)} inputs; "
                "give a folder."
            )
        for job in jobs:
            output_paths.check_file_name(output, job.source, config.format)


def _check_place(config: BatchConfig, found: Found) -> None:
    """Refuses an input as the output, where pictures would be written onto themselves."""
    output = Path(config.output)
    if output == STANDARD:
        return
    if any(job.target == output and _same(str(job.source), output) for job in found.jobs):
        raise FileExistsError(
            f"Cannot make the output folder {output}: it is an input file; choose another --output."
        )
    file_discovery.check_folder(config.inputs, output, found.jobs)


def _check_hints(config: BatchConfig, found: Found) -> None:
    """Checks hints before work starts: a file is read, and of a folder each is for one picture."""
    if config.hints is None:
        return
    place = Path(config.hints)
    if not place.exists():
        raise FileNotFoundError(
            f"There is no {place}. Wanted a file of hints, or a folder of them."
        )
    if place.is_dir():
        _check_owners(place, found)
        return
    if len(found.jobs) > 1:
        raise ValueError(
            f"{place} holds the hints of one picture, received {len(found.jobs)} inputs; give "
            "a folder in which NAME.hints.json belongs to the picture NAME."
        )
    hints.read(place)


def _check_owners(place: Path, found: Found) -> None:
    """Refuses two pictures of one name, such as a.jpg and b/a.tif, whose hints would be the same.

    Pixels of one are none of the other.
    """
    names = {path.name for path in place.glob(f"*{hints.SUFFIX}")}
    owners: dict[str, Path] = {}
    for source in (job.source for job in found.jobs):
        name = f"{source.stem}{hints.SUFFIX}"
        if name in names and owners.setdefault(name, source) != source:
            raise ValueError(
                f"{place / name} would be the hints of both {owners[name]} and {source}; color "
                "them one by one, or give one of them another name."
            )


def _same(given: str, output: Path) -> bool:
    return Path(given).resolve() == output.resolve()


def _checked_report(config: BatchConfig, taken: set[Path]) -> list[dict[str, Any]]:
    """Refuses a report that would replace something, and keeps pictures off its place.

    Returns:
      The rows that are continued, with `skip_existing`.
    """
    report = Path(config.report or "")
    earlier = batch_report.read(report) if config.skip_existing else []
    if not config.skip_existing:
        files.check_free(report, config.overwrite)
    if report.resolve() in taken:
        raise ValueError(f"The report {report} would be written onto an input; choose another.")
    if not report.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {report.parent} for the report.")
    taken.add(report.resolve())
    return earlier
