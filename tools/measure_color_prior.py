"""Measures how often photographs have each class of color, for --recipe=modern_classes.

The result that comes with the package is residual_encoder/imaging/ab_prior.txt.
"""

from __future__ import annotations

import _bootstrap
from absl import flags

from residual_encoder.data.color_prior import PriorConfig, measure_prior
from residual_encoder.data.configs import KINDS, DataConfig

_DATA = flags.DEFINE_enum("data", None, KINDS, "Kind of data.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Shards, pictures, or TFDS's prepared data sets.")
_OUTPUT = flags.DEFINE_string("output", None, "Text file to write.", required=True)
_LIMIT = flags.DEFINE_integer("limit", None, "Photographs, at most; default: all.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Counts, writes and says how many photographs there were."""
    config = PriorConfig(
        DataConfig(_DATA.value, _DATA_DIR.value), _OUTPUT.value, _LIMIT.value, _OVERWRITE.value
    )
    print(f"{measure_prior(config)} photographs: {_OUTPUT.value}")


if __name__ == "__main__":
    _bootstrap.run(main)
