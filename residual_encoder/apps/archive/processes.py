"""What worker processes of both engines need: the package, a quiet TensorFlow, one network."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from residual_encoder.apps import cli

_QUIET = threading.Lock()


def let_find_package() -> None:
    """Lets worker processes on this machine import the package from where this one has it."""
    root, known = str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")
    if root not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, known)))


def quiet_tensorflow() -> None:
    """Imports TensorFlow as `cli.quiet_tensorflow`, once, for workers and their threads.

    Workers start without a command line, which does it otherwise.
    """
    with _QUIET:
        if "tensorflow" not in sys.modules:
            cli.quiet_tensorflow()


def worker() -> Any:
    """Returns the module that imports TensorFlow, imported where it is needed."""
    quiet_tensorflow()
    from residual_encoder.apps.archive import worker

    return worker


def shards() -> Any:
    """Returns the module that writes TFRecord shards, imported where it is needed."""
    quiet_tensorflow()
    from residual_encoder.data import tfrecord_writer

    return tfrecord_writer


Shard = tuple[bytes, list[bytes]]  # its path, and those of its pictures


def planned(config: Any) -> Iterator[Shard]:
    """Yields the shards that are to be written of a `tfrecord_writer.ShardsConfig`."""
    for path, names in shards().plan(config).items():
        yield os.fsencode(path), [os.fsencode(name) for name in names]


def write_shard(shard: Shard, settings: dict[str, Any]) -> str:
    """Writes one shard and returns its part of the manifest.

    Args:
      shard: As `planned` yields it.
      settings: The fields of a `tfrecord_writer.ShardsConfig`.
    """
    writer, path = shards(), Path(os.fsdecode(shard[0]))
    config = writer.ShardsConfig(**settings)
    names = [os.fsdecode(name) for name in shard[1]]
    return str(writer.to_json(config, writer.write_shard(config, path, names)))
