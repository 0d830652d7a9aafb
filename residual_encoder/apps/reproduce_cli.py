"""Runs the article's experiments and reports which of its claims hold: report.html, report.json.

  residual-encoder-reproduce --data=tfrecord --data_dir=SHARDS --workdir=runs/small --budget=small

Given again, it resumes. With --released no experiment is run: it rebuilds the author's released
model and measures it on the article's pictures: released.json, weights and strips, in --workdir.

  residual-encoder-reproduce --released=DECODER.npz --vgg16_weights=FILE --strips=DIR --workdir=OUT

Exit codes: 0 done; 1 an error, in one line; 75 stopped by
SIGTERM or Ctrl-C after saving, with a report of what is finished.
"""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.data.configs import DataConfig
from residual_encoder.reproduction.experiments import BUDGETS

_DATA = shared_flags.data(
    "Kind of data; with --released optional: photographs for the statistics of VGG16's layers."
)
_DATA_DIR = shared_flags.data_dir()
_MANUAL_DIR = shared_flags.manual_dir()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of everything; a used one is resumed.", required=True
)
_BUDGET = flags.DEFINE_enum(
    "budget",
    "small",
    list(BUDGETS),
    "smoke: minutes; small: an hour on two cores; full: the article's.",
)
_VGG16 = shared_flags.vgg16_weights()
_RELEASED = flags.DEFINE_string(
    "released", None, "The released model's decoder, an .npz file; docs/reproduction.md lists it."
)
_STRIPS = flags.DEFINE_string(
    "strips", None, "With --released: folder of the article's strips gray | output | truth."
)


def main(_: list[str]) -> int:
    """Runs what the flags ask for."""
    _check_flags()
    cli.quiet_tensorflow()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # it takes the many networks of one process for retracing
    return _measure_released() if _RELEASED.value else _run_experiments()


def _check_flags() -> None:
    """Checks flags that depend on others.

    Raises:
      ValueError: one is missing, or has no use.
    """
    if _RELEASED.value and not _STRIPS.value:
        raise ValueError("--released needs --strips=DIR, the article's strips gray|output|truth")
    if _STRIPS.value and not _RELEASED.value:
        raise ValueError("--strips has no use without --released=DECODER.npz")
    if not _RELEASED.value and not _DATA.value:
        raise ValueError("--data is missing: the experiments need photographs; see --help")


def _data() -> DataConfig:
    return DataConfig(_DATA.value, _DATA_DIR.value, _MANUAL_DIR.value)


def _measure_released() -> int:
    """Measures the released model on the article's pictures and prints its figures."""
    from residual_encoder.evaluation import tables
    from residual_encoder.reproduction import released_model

    report = released_model.measure_released(
        released_model.ReleasedConfig(
            _RELEASED.value,
            _VGG16.value,
            _STRIPS.value,
            _WORKDIR.value,
            _data() if _DATA.value else None,
        )
    )
    for table in released_model.tables_of(report):
        print(tables.text_table(table), end="\n\n")
    print(f"Report: {(Path(_WORKDIR.value) / released_model.REPORT).resolve()}")
    return 0


def _run_experiments() -> int:
    """Runs the experiments that are missing and writes the report."""
    from residual_encoder.reproduction.reproduce import ReproduceConfig, reproduce

    done = reproduce(
        ReproduceConfig(
            _data(),
            _WORKDIR.value,
            BUDGETS[_BUDGET.value],
            _VGG16.value,
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
