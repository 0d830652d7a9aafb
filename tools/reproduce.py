"""Runs the article's experiments and says which of its claims hold: report.html and report.json.

  python tools/reproduce.py --data=tfrecord --data_dir=SHARDS --workdir=runs/small --budget=small

Given again, it goes on where it stopped. Exit codes: 0 done; 1 an error, in one line; 75 stopped by
SIGTERM or Ctrl-C after saving, with a report of what is finished.
"""

from __future__ import annotations

import os
import sys

import _bootstrap
import tensorflow as tf
from absl import flags

_BUDGETS = ("smoke", "small", "full")
_DATA = flags.DEFINE_enum(
    "data", None, ["imagenet", "tfrecord", "folder", "synthetic"], "Kind of data.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data is; synthetic needs none.")
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", None, "For --data=imagenet: where the ILSVRC2012 archives are."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of everything; a used one is gone on with.", required=True
)
_BUDGET = flags.DEFINE_enum(
    "budget", "small", _BUDGETS, "smoke: minutes; small: an hour on two cores; full: the article's."
)
_VGG16 = flags.DEFINE_string(
    "vgg16_weights", "imagenet", '"imagenet", "none" or a Keras VGG16 file.'
)
INTERRUPTED = 75  # as tools/train.py


def main(_: list[str]) -> int:
    """Flags in, a report out."""
    tf.get_logger().setLevel("ERROR")  # it takes the many networks of one process for retracing
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.reproduction.experiments import BUDGETS
    from residual_encoder.reproduction.reproduce import ReproduceConfig, reproduce

    done = reproduce(
        ReproduceConfig(
            DataConfig(_DATA.value, _DATA_DIR.value, _MANUAL_DIR.value),
            os.path.expanduser(_WORKDIR.value),
            BUDGETS[_BUDGET.value],
            os.path.expanduser(_VGG16.value),
        )
    )
    print(f"Report: {done.page.resolve()}")
    if done.unfinished:
        print(f"{len(done.unfinished)} runs are left. Run again to go on.", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
