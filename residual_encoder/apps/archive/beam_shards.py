"""Writes the TFRecord shards of `tfrecord_writer.make_shards` on Apache Beam, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from residual_encoder.apps.archive import beam_runner, processes
from residual_encoder.utils import files


def make_shards(config: Any, flags: Sequence[str] = ()) -> Any:
    """Writes shards and `<name>-manifest.json`; each worker one shard after the other.

    Args:
      config: A `tfrecord_writer.ShardsConfig`; its paths are those of the workers, local or
        mounted.
      flags: Beam's, such as --runner; see `beam_runner.options`.

    Returns:
      As `tfrecord_writer.make_shards`.

    Raises:
      ValueError: as `tfrecord_writer.make_shards`; or Beam does not know a flag.
      OSError: the output cannot be made.
      RuntimeError: the pipeline failed.
    """
    chosen, shards = beam_runner.options(flags), processes.shards()
    shards.plan(config)  # reports a wrong folder at once
    old = shards.existing(config)
    files.make_folder(Path(config.output))
    beam_runner.run(chosen, lambda root: _build(root, asdict(config)))
    done = shards.from_json(config, shards.manifest_of(config).read_text())
    shards.finish(config, done, old)
    return done


def _build(root: Any, settings: dict[str, Any]) -> None:
    """Plans the shards, spreads them over the workers, writes them, joins their manifests."""
    import apache_beam as beam

    planned = root | beam.Create([settings]) | "plan" >> beam.FlatMap(_plan)
    parts = planned | beam.Reshuffle() | "write" >> beam.Map(processes.write_shard, settings)
    parts | "all" >> beam.GroupBy(_one) | "join" >> beam.Map(_join, settings)


def _plan(settings: dict[str, Any]) -> Iterator[processes.Shard]:
    yield from processes.planned(processes.shards().ShardsConfig(**settings))


def _one(_: str) -> int:
    """Returns the same key for all parts, so that they go to one worker."""
    return 0


def _join(parts: tuple[int, Iterable[str]], settings: dict[str, Any]) -> None:
    """Writes the manifest."""
    shards = processes.shards()
    config = shards.ShardsConfig(**settings)
    done = shards.merged(config, [shards.from_json(config, part) for part in parts[1]])
    files.write_text(done.manifest, shards.to_json(config, done))
