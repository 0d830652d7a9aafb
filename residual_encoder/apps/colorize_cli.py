"""Colors photographs and films: colorize INPUT... --output=DIR."""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for the colored files; made if need be. - is standard output, for one picture.",
    required=True,
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


def main(arguments: list[str]) -> int:
    """Colors files, folders and globs; exit code 1 if any input failed."""
    if not arguments:
        raise ValueError(
            "takes pictures, films, folders, globs or - for standard input; received none: "
            "INPUT... --output=DIR"
        )
    size = shared_flags.network_size(_SIZE.value)
    cli.quiet_tensorflow()
    from residual_encoder.inference import batch

    summary = batch.colorize_files(
        batch.BatchConfig(
            inputs=tuple(arguments),
            output=_OUTPUT.value,
            model=_MODEL.value,
            size=size,
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
        )
    )
    if _OUTPUT.value != "-":  # standard output holds a picture then
        skipped = f", {summary.skipped} skipped" if summary.skipped else ""
        counts = f"{summary.colored} colored{skipped}, {len(summary.failed)} failed"
        counts += f", {len(summary.left_out)} left out" if summary.left_out else ""
        if summary.not_colored:
            counts += f"; {summary.not_colored} pages or frames not colored"
        print(f"{counts}; output in {_OUTPUT.value}")
    return 1 if summary.failed else 0


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True)
