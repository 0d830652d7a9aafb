"""Measures how often photographs have each class of color, for --recipe=modern_classes.

The result that comes with the package is residual_encoder/imaging/ab_prior.txt.
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_DATA = shared_flags.data(required=True)
_DATA_DIR = shared_flags.data_dir()
_OUTPUT = flags.DEFINE_string("output", None, "Text file to write.", required=True)
_LIMIT = flags.DEFINE_integer("limit", None, "Photographs, at most; default: all.", lower_bound=1)
_OVERWRITE = shared_flags.overwrite()


def main(_: list[str]) -> None:
    """Counts, writes and prints how many photographs there were."""
    cli.quiet_tensorflow()
    from residual_encoder.data.color_prior import PriorConfig, measure_prior
    from residual_encoder.data.configs import DataConfig

    config = PriorConfig(
        DataConfig(_DATA.value, _DATA_DIR.value), _OUTPUT.value, _LIMIT.value, _OVERWRITE.value
    )
    print(f"{measure_prior(config)} photographs: {_OUTPUT.value}")


def run() -> None:
    """Starts the command."""
    cli.run(main)
