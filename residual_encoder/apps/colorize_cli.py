"""Colors photographs and films: colorize INPUT... --output=DIR."""

from __future__ import annotations

import sys

from absl import flags

from residual_encoder.apps import cli

_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for the colored files; made if need be. - is standard output, for one picture.",
    required=True,
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Training workdir, weights file or exported SavedModel; default: shipped weights.",
)
_SIZE = flags.DEFINE_string(
    "size",
    "auto",
    "Short side in pixels that the network sees, from 8 up; auto is the model's own. The output "
    "has the size of the input whatever this is.",
)
_SATURATION = flags.DEFINE_float(
    "saturation", 1.0, "Factor on the colors: 0 is gray, 1 what the network says.", lower_bound=0.0
)
_UPSAMPLING = flags.DEFINE_enum(
    "upsampling",
    "guided",
    ["guided", "bilinear"],
    "How colors are enlarged: along the edges of the picture's gray, or without looking at it.",
)
_FORMAT = flags.DEFINE_enum(
    "format", "keep", ["keep", "jpeg", "png", "webp", "tiff"], "What colored pictures are saved as."
)
_COMPARE = flags.DEFINE_bool(
    "compare", False, "Also write NAME_compare: gray beside colored. For pictures."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace files that are in --output already. Inputs never are."
)
_SKIP_EXISTING = flags.DEFINE_bool(
    "skip_existing", False, "Pass over inputs whose output is there already."
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
    size = cli.network_size(_SIZE.value)
    # after the flags, so that a wrong one is answered at once
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
        )
    )
    if _OUTPUT.value != "-":  # standard output holds a picture then
        skipped = f", {summary.skipped} skipped" if summary.skipped else ""
        counts = f"{summary.colored} colored{skipped}, {len(summary.failed)} failed"
        print(f"{counts}; output in {_OUTPUT.value}")
    return 1 if summary.failed else 0


def colorize() -> None:
    """The console script."""
    sys.modules["__main__"].__doc__ = __doc__  # what --help begins with
    cli.quiet_tensorflow()
    cli.run(main, positional=True)
