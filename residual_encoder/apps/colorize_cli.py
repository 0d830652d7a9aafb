"""Colors photographs and films: colorize INPUT... [--output=DIR].

INPUTs are files, folders, quoted globs, or - for standard input. Nothing is overwritten unless
--overwrite is given, and inputs never are.

Exit codes: 0 done; 1 an input failed, or an error, in one line; 75 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

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
_MODEL = shared_flags.model()
_SIZE = shared_flags.size()
_VIVIDNESS = shared_flags.vividness()
_TEMPERATURE = shared_flags.temperature()
_PRIOR_CORRECTION = shared_flags.prior_correction()
_SATURATION = shared_flags.saturation()
_UPSAMPLING = shared_flags.upsampling()
_FORMAT = shared_flags.file_format()
_COMPARE = flags.DEFINE_bool(
    "compare", False, "Also write NAME_compare: gray next to colored. For pictures."
)
_OVERWRITE = shared_flags.overwrite("Replace files that are in --output already. Inputs never are.")
_SKIP_EXISTING = flags.DEFINE_bool(
    "skip_existing", False, "Pass over inputs whose output is there already."
)
_MAX_MEGAPIXELS = flags.DEFINE_float(
    "max_megapixels",
    200.0,
    "The largest picture that is taken. Those above 200 are colored in rows, within 2 GB.",
    lower_bound=0.001,
)
_REPORT = flags.DEFINE_string(
    "json", None, "File for a report: one JSON object a line and input, with errors and times."
)
_LEVELS = shared_flags.levels()
_COLOR_INPUTS = shared_flags.color_inputs()
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
    with cli.stoppable_loading():
        from residual_encoder.inference import batch_plan

        config = _config(arguments)
        plan = batch_plan.plan(config)  # a wrong input is answered before TensorFlow is loaded
        if _OUTPUT.value != STANDARD or sys.stderr.isatty():
            print("Loading the network ...", file=sys.stderr, flush=True)
        cli.quiet_tensorflow()
        from residual_encoder.inference import batch
    try:
        with cli.stoppable(), cli.whole_bars():
            summary = batch.colorize_files(config, plan)
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
        model=_MODEL.value,
        size=shared_flags.network_size(_SIZE.value),
        saturation=_SATURATION.value,
        upsampling=_UPSAMPLING.value,
        format=_FORMAT.value,
        compare=_COMPARE.value,
        overwrite=_OVERWRITE.value,
        skip_existing=_SKIP_EXISTING.value,
        report=_REPORT.value,
        max_megapixels=_MAX_MEGAPIXELS.value,
        vividness=_VIVIDNESS.value,
        temperature=_TEMPERATURE.value,
        prior_correction=_PRIOR_CORRECTION.value,
        levels=_LEVELS.value,
        color_inputs=_COLOR_INPUTS.value,
        hints=_HINTS.value,
    )


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
        lines.append(f"{summary.not_colored} pages or frames not colored, see the lines above")
    if summary.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.others.most_common(SHOWN))
        more = ", ..." if len(summary.others) > SHOWN else ""
        lines.append(f"no pictures or films: {summary.others.total()} files ({kinds}{more})")
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


def _hint(reason: str) -> str:
    from residual_encoder.inference.batch_report import IN_COLOR

    return " (--color_inputs=recolor colors them)" if reason == IN_COLOR else ""


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True)
