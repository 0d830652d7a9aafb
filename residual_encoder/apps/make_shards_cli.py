"""Writes a folder of pictures as TFRecord shards for --data=tfrecord.

With --engine=dask Dask writes many shards at a time, here or on a cluster (--scheduler). With
--engine=beam, or --beam, Apache Beam does, whose flags may follow:
--direct_num_workers=4 --direct_running_mode=multi_processing, or --runner=FlinkRunner ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

from residual_encoder.apps import cli, engine_flags, shared_flags

if TYPE_CHECKING:
    from residual_encoder.data.tfrecord_writer import ShardsConfig, Summary

_IMAGES = flags.DEFINE_string(
    "images", None, "Folder of pictures, with any subfolders.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write the shards to.", required=True)
_NAME = flags.DEFINE_string("name", None, "The split: train or val.", required=True)
_SHARDS = flags.DEFINE_integer("shards", None, "How many files; default: one per 1,024 pictures.")
_RESIZE = flags.DEFINE_integer("resize", None, "Make the short side at most so many pixels.")
_SKIP_GRAY = flags.DEFINE_bool("skip_gray", False, "Leave out pictures without color.")
_OVERWRITE = shared_flags.overwrite("Replace shards of this name.")
_BEAM = flags.DEFINE_bool("beam", False, "The same as --engine=beam.")
_ENGINE = engine_flags.Engine(("plain", "dask", "beam"))


def main(arguments: list[str]) -> None:
    """Writes the shards and prints how many pictures they hold."""
    from residual_encoder.apps.archive import beam_runner

    inputs, beam = beam_runner.split(arguments)
    engine = _engine()
    if inputs or (beam and engine != "beam"):
        raise ValueError(f"takes flags only, and Beam's with --engine=beam; received {arguments}")
    cli.quiet_tensorflow()
    from residual_encoder.data import tfrecord_writer

    config = tfrecord_writer.ShardsConfig(
        images=_IMAGES.value,
        output=_OUTPUT.value,
        name=_NAME.value,
        shards=_SHARDS.value,
        resize=_RESIZE.value,
        skip_gray=_SKIP_GRAY.value,
        overwrite=_OVERWRITE.value,
    )
    done = _made(engine, config, beam)
    print(f"{done.written} of {done.found} pictures in {len(done.shards)} shards")
    if done.skipped:
        print(f"{len(done.skipped)} left out, named in {done.manifest}")


def _engine() -> str:
    """Returns the engine that --engine or --beam names.

    Raises:
      ValueError: they name two.
    """
    name = _ENGINE.name
    if not _BEAM.value:
        return name
    if flags.FLAGS["engine"].present and name != "beam":
        raise ValueError(f"--beam is --engine=beam, and --engine={name} was given; choose one")
    return "beam"


def _made(engine: str, config: ShardsConfig, beam: list[str]) -> Summary:
    """Writes the shards with an engine."""
    from residual_encoder.apps.archive import beam_shards, dask_shards
    from residual_encoder.data import tfrecord_writer

    if engine == "beam":
        return beam_shards.make_shards(config, beam)
    if engine == "dask":
        return dask_shards.make_shards(config, _ENGINE.cluster(beam))
    return tfrecord_writer.make_shards(config)


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True, foreign=True)
