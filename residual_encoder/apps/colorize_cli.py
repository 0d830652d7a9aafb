"""Colors photographs and films: colorize INPUT... [--output=DIR].

INPUTs are files, folders, quoted globs, or - for standard input. Nothing is overwritten unless
--overwrite is given, and inputs never are.

Exit codes: 0 done; 1 an input failed, or an error, in one line; 75 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from residual_encoder.apps import cli, shared_flags

if TYPE_CHECKING:
    from residual_encoder.inference.batch_config import BatchConfig
    from residual_encoder.inference.batch_report import BatchSummary

STANDARD = "-"
SHOWN = 3  # names and kinds that the summary lists
THERE_ALREADY = " exists; pass --skip_existing"  # part of the reason of such a failure

_OUTPUT = flags.DEFINE_string(
    "output",
    "colored",
    "Folder for the colored files, made if need be; or the name of one file, such as new.png. - is "
    "standard output, for one picture.",
)
_COLORING = shared_flags.Coloring()
_ENGINE = shared_flags.engine()
_COMPARE = flags.DEFINE_bool("compare", False, "Also write NAME_compare: gray next to colored.")
_START = flags.DEFINE_string("start", None, "For films: begin here, 95 or 1:35 or 0:01:35.5.")
_END = flags.DEFINE_string("end", None, "For films: end here, written as --start.")
_OVERWRITE = shared_flags.overwrite("Replace files that are in --output already. Inputs never are.")
_SKIP_EXISTING = flags.DEFINE_bool(
    "skip_existing", False, "Pass over inputs whose output is there already."
)
_REPORT = flags.DEFINE_string(
    "json", None, "File for a report: one JSON object a line and input, with errors and times."
)
_HINTS = flags.DEFINE_string(
    "hints",
    None,
    "What colors places of a picture have, as the page saves it: a file for one input, or a folder "
    "in which NAME.hints.json belongs to the picture NAME.",
)


def main(arguments: list[str]) -> int:
    """Colors files, folders and globs; exit code 1 if any input failed."""
    if not arguments:
        raise ValueError(
            "takes pictures, films, folders, globs or - for standard input; received none: "
            "INPUT... [--output=DIR]; see --help"
        )
    cli.single_threaded_algebra()
    with cli.stoppable_loading():
        from residual_encoder.inference import batch_plan

        config = _config(arguments)
        plan = batch_plan.plan(config)  # a wrong input is answered before the network is loaded
        if _OUTPUT.value != STANDARD or sys.stderr.isatty():
            print("Loading the network ...", file=sys.stderr, flush=True)
        from residual_encoder.inference import batch

        colorizer = batch.ready(config, plan)
    try:
        with cli.stoppable(), cli.whole_bars():
            summary = batch.colorize_files(config, plan, colorizer)
    except batch.Stopped as stop:
        _tell(f"Stopped. {_resume(stop.waiting)}")
        _show(stop.summary)
        return cli.INTERRUPTED
    except KeyboardInterrupt:  # before the first input
        _tell("Stopped; nothing was begun.")
        return cli.INTERRUPTED
    _show(summary)
    return 1 if summary.failed else 0


def _config(arguments: list[str]) -> BatchConfig:
    """Makes the settings of the flags."""
    from residual_encoder.inference.batch_config import BatchConfig

    return BatchConfig(
        inputs=tuple(arguments),
        output=_OUTPUT.value,
        compare=_COMPARE.value,
        overwrite=_OVERWRITE.value,
        skip_existing=_SKIP_EXISTING.value,
        report=_REPORT.value,
        start=_seconds("start", _START.value) or 0.0,
        end=_seconds("end", _END.value),
        **_COLORING.settings(),
        hints=_HINTS.value,
        engine=_ENGINE.value,
    )


def _seconds(name: str, text: str | None) -> float | None:
    """Returns the seconds of a time such as 95, 1:35 or 0:01:35.5; None of none."""
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?", text):
        raise ValueError(f"--{name} takes seconds or H:MM:SS, received {text!r}")
    return sum(float(part) * 60**n for n, part in enumerate(reversed(text.split(":"))))


# --- what is printed in the end -------------------------------------------------------------------


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _resume(waiting: int) -> str:
    """Tells how a stopped run is resumed."""
    how = "the same command"
    if not _SKIP_EXISTING.value:
        how += " with --skip_existing"
        how += " in place of --overwrite" if _OVERWRITE.value else ""
    return f"{waiting} to go: {how} colors the rest."


def _show(summary: BatchSummary) -> None:
    """Prints the counts, and why files were left out or failed."""
    if _OUTPUT.value == STANDARD:  # it holds a picture
        return
    parts = [f"{summary.colored} colored"]
    parts += [f"{summary.skipped} skipped"] if summary.skipped else []
    parts += [f"{len(summary.left_out)} left out"] if summary.left_out else []
    print(f"{', '.join(parts)}, {len(summary.failed)} failed; output in {_OUTPUT.value}")
    for line in _details(summary):
        print(f"  {line}")


def _details(summary: BatchSummary) -> list[str]:
    """Returns a line for each reason for which something was not colored."""
    lines = []
    if summary.skipped:
        lines.append(f"skipped: {summary.skipped}, of which the output exists")
    for reason, count in Counter(summary.left_out.values()).most_common():
        hint = _hint(reason)
        lines.append(f"left out: {count}, {reason}{hint}")
    if summary.not_colored:
        what = "pages, frames or further pictures"
        lines.append(f"{summary.not_colored} {what} not colored, see the lines above")
    if summary.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.others.most_common(SHOWN))
        more = ", ..." if len(summary.others) > SHOWN else ""
        files = _counted(summary.others.total(), "file")
        lines.append(f"no pictures or films: {files} ({kinds}{more})")
    existing = [path for path, why in summary.failed.items() if THERE_ALREADY in why]
    if existing:
        lines.append(
            f"failed: {len(existing)} outputs exist (--skip_existing keeps them, --overwrite "
            "replaces them)"
        )
    names = [Path(path).name for path in summary.failed if path not in existing]
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lines.append(f"failed: {', '.join(names[:SHOWN])}{more}; the lines above tell why")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _hint(reason: str) -> str:
    from residual_encoder.inference.batch_report import IN_COLOR

    return " (--color_inputs=recolor colors them)" if reason == IN_COLOR else ""


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True)
