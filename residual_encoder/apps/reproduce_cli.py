"""Runs the article's experiments and reports which of its claims hold: report.html, report.json.

  residual-encoder-reproduce --data=tfrecord --data_dir=SHARDS --workdir=runs/small --budget=small

Given again, it resumes. Exit codes: 0 done; 1 an error, in one line; 75 stopped by
SIGTERM or Ctrl-C after saving, with a report of what is finished.
"""

from __future__ import annotations

import os
import sys

from absl import flags

from residual_encoder.apps import cli, shared_flags

_BUDGETS = ("smoke", "small", "full")
_DATA = shared_flags.data(required=True)
_DATA_DIR = shared_flags.data_dir()
_MANUAL_DIR = shared_flags.manual_dir()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of everything; a used one is resumed.", required=True
)
_BUDGET = flags.DEFINE_enum(
    "budget", "small", _BUDGETS, "smoke: minutes; small: an hour on two cores; full: the article's."
)
_VGG16 = shared_flags.vgg16_weights()


def main(_: list[str]) -> int:
    """Runs the experiments that are missing and writes the report."""
    cli.quiet_tensorflow()
    import tensorflow as tf

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
        print(f"{len(done.unfinished)} runs are left. Run again to resume.", file=sys.stderr)
        return cli.INTERRUPTED
    return 0


def run() -> None:
    """Starts the command."""
    cli.run(main)
