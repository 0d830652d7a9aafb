"""Colors collections with Dask or Apache Beam: INPUT... --output=DIR [BEAM'S FLAGS].

INPUTs are files, folders and quoted globs, as colorize takes them, or with --records TFRecord
files. Files that are there already are skipped. On four processes of this machine: --engine=dask
--workers=4; on a Dask cluster: --engine=dask --scheduler=tcp://HOST:8786. With Beam:
--direct_num_workers=4 --direct_running_mode=multi_processing; elsewhere: --runner=FlinkRunner ...

Exit codes: 0 done; 1 an input failed, or an error, in one line; 75 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from residual_encoder.apps import cli, engine_flags, shared_flags
from residual_encoder.apps.archive import manifests

if TYPE_CHECKING:
    from residual_encoder.apps.archive.manifests import CollectionSummary
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
_FILES_FROM = flags.DEFINE_string("files_from", None, "Text file that lists files, a path a line.")
_ENGINE = engine_flags.Engine(("beam", "dask"))
_COLORING = shared_flags.Coloring()


def main(arguments: list[str]) -> int:
    """Colors a collection; exit code 1 if any input failed."""
    from residual_encoder.apps.archive import beam_runner

    inputs, beam = beam_runner.split(arguments)
    if not (inputs or _FILES_FROM.value):
        raise ValueError("takes INPUT... --output=DIR, then Beam's flags; received no input")
    color = {"beam": _on_beam, "dask": _on_dask}[_ENGINE.name]
    done = color(_config(inputs), beam)
    if done.waiting is not None:
        print(f"Stopped. {done.waiting} to go: the same command colors the rest.", file=sys.stderr)
    left_out = f", {done.left_out} left out" if done.left_out else ""
    print(f"{done.colored} colored, {done.skipped} skipped{left_out}, {done.failed} failed")
    print(f"output, {manifests.names(Path(_OUTPUT.value))} in {_OUTPUT.value}")
    if done.waiting is not None:
        return cli.INTERRUPTED
    return 1 if done.failed else 0


def _on_beam(config: CollectionConfig, beam: list[str]) -> CollectionSummary:
    from residual_encoder.apps.archive import beam_pipeline

    with cli.stoppable_loading():
        prepared = beam_pipeline.prepare(config, beam)
        for line in (*prepared.lines, "Loading the network ..."):
            _tell(line)
        beam_pipeline.load(prepared)
    return beam_pipeline.colorize(prepared, _tell_that_it_stops)


def _on_dask(config: CollectionConfig, beam: list[str]) -> CollectionSummary:
    from residual_encoder.apps.archive import dask_engine

    cluster = _ENGINE.cluster(beam)
    return dask_engine.colorize_archive(config, cluster, _tell_that_it_stops, _tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tell_that_it_stops() -> None:
    os.write(2, b"Stopping: what is being colored is finished first. Once more ends at once.\n")


def _config(inputs: list[str]) -> CollectionConfig:
    """Makes the settings of the flags."""
    from residual_encoder.apps.archive.tasks import CollectionConfig

    return CollectionConfig(
        inputs=tuple(inputs),
        output=_OUTPUT.value,
        records=_RECORDS.value,
        files_from=_FILES_FROM.value,
        **_COLORING.settings(),
    )


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True, foreign=True)
