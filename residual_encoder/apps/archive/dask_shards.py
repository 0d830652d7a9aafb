"""Writes the TFRecord shards of `tfrecord_writer.make_shards` on Dask, many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from residual_encoder.apps.archive import dask_cluster, processes
from residual_encoder.apps.archive.dask_cluster import ClusterConfig
from residual_encoder.apps.archive.dask_progress import Progress
from residual_encoder.apps.archive.dask_stream import Stream
from residual_encoder.utils import files


def make_shards(config: Any, cluster: ClusterConfig | None = None) -> Any:
    """Writes shards and `<name>-manifest.json`; each worker one shard after the other.

    Args:
      config: A `tfrecord_writer.ShardsConfig`; its paths are those of the workers, local or
        mounted.
      cluster: Where; None starts workers on this machine.

    Returns:
      As `tfrecord_writer.make_shards`.

    Raises:
      ValueError: as `tfrecord_writer.make_shards`; or Dask is not installed.
      OSError: the output cannot be made, the scheduler is lost, or a shard takes its workers along.
    """
    shards = processes.shards()
    planned, old = list(processes.planned(config)), shards.existing(config)
    files.make_folder(Path(config.output))
    with dask_cluster.client(cluster or ClusterConfig()) as client:
        parts = list(_parts(Stream(client), planned, asdict(config)))
    done = shards.merged(config, [shards.from_json(config, part) for part in parts])
    shards.finish(config, done, old)
    return done


def _parts(
    stream: Stream, planned: list[processes.Shard], settings: dict[str, Any]
) -> Iterator[str]:
    """Yields the parts of the manifest, a shard each, and shows how far it is."""
    total = sum(len(names) for _, names in planned)
    progress = Progress(lambda: total, "picture")
    for (_, names), part in stream.results(processes.write_shard, planned, settings):
        progress.add(len(names))
        yield part
    progress.close()
