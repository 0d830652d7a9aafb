"""Colors collections with Apache Beam: INPUT... --output=DIR [BEAM'S FLAGS].

INPUTs are files, folders and quoted globs, as colorize takes them, or with --records TFRecord
files. Files that are there already are skipped. On four processes of this machine:
--direct_num_workers=4 --direct_running_mode=multi_processing; elsewhere: --runner=FlinkRunner ...

Exit codes: 0 done; 1 an input failed, or an error, in one line; 75 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from absl import flags

from residual_encoder.apps import cli, shared_flags

if TYPE_CHECKING:
    from residual_encoder.apps.archive.tasks import CollectionConfig

_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for the colored files, manifest.jsonl and errors.jsonl; made if need be.",
    required=True,
)
_RECORDS = flags.DEFINE_bool(
    "records", False, "INPUTs are TFRecord files with image/encoded, such as ImageNet's shards."
)
_COLORING = shared_flags.Coloring()


def main(arguments: list[str]) -> int:
    """Colors a collection; exit code 1 if any input failed."""
    from residual_encoder.apps.archive import beam_pipeline, beam_runner

    inputs, beam = beam_runner.split(arguments)
    if not inputs:
        raise ValueError("takes INPUT... --output=DIR, then Beam's flags; received no input")
    with cli.stoppable_loading():
        prepared = beam_pipeline.prepare(_config(inputs), beam)
        for line in (*prepared.lines, "Loading the network ..."):
            print(line, file=sys.stderr, flush=True)
        beam_pipeline.load(prepared)
    done = beam_pipeline.colorize(prepared, _tell_that_it_stops)
    if done.waiting is not None:
        print(f"Stopped. {done.waiting} to go: the same command colors the rest.", file=sys.stderr)
    left_out = f", {done.left_out} left out" if done.left_out else ""
    print(f"{done.colored} colored, {done.skipped} skipped{left_out}, {done.failed} failed")
    print(f"output, {beam_pipeline.MANIFEST} and {beam_pipeline.ERRORS} in {_OUTPUT.value}")
    if done.waiting is not None:
        return cli.INTERRUPTED
    return 1 if done.failed else 0


def _tell_that_it_stops() -> None:
    os.write(2, b"Stopping: what is being colored is finished first. Once more ends at once.\n")


def _config(inputs: list[str]) -> CollectionConfig:
    """Makes the settings of the flags."""
    from residual_encoder.apps.archive.tasks import CollectionConfig

    return CollectionConfig(
        inputs=tuple(inputs),
        output=_OUTPUT.value,
        records=_RECORDS.value,
        **_COLORING.settings(),
    )


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True, foreign=True)
