"""Defines the flags that choose where many pictures are worked on: here, on Dask, on Beam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags

if TYPE_CHECKING:
    from residual_encoder.apps.archive.dask_cluster import ClusterConfig

flags.disclaim_key_flags()  # they belong to the command that asks for them


class Engine:
    """Defines --engine, and the flags of Dask."""

    def __init__(self, engines: tuple[str, ...]) -> None:
        """Defines the flags; the first engine is the default."""
        self._engine = flags.DEFINE_enum("engine", engines[0], engines, "What runs the workers.")
        self._dask = {
            "scheduler": flags.DEFINE_string(
                "scheduler", None, "With --engine=dask: a cluster's, tcp://HOST:8786."
            ),
            "workers": flags.DEFINE_integer(
                "workers", None, "With --engine=dask: processes to start here."
            ),
        }

    @property
    def name(self) -> str:
        """Returns the engine that was chosen.

        Raises:
          ValueError: flags of Dask were given for another one.
        """
        given = [f"--{name}" for name, flag in self._dask.items() if flag.value is not None]
        if given and self._engine.value != "dask":
            raise ValueError(f"{' and '.join(given)}: for --engine=dask only")
        return str(self._engine.value)

    def cluster(self, foreign: list[str]) -> ClusterConfig:
        """Returns Dask's settings.

        Args:
          foreign: Flags that are not this tool's.

        Raises:
          ValueError: there are any, or a setting is wrong.
        """
        from residual_encoder.apps.archive.dask_cluster import ClusterConfig

        if foreign:
            raise ValueError(f"{' '.join(foreign)}: no flags of this tool, and --engine is dask")
        return ClusterConfig(**{name: flag.value for name, flag in self._dask.items()})
