"""Times training, coloring and reading: [MODE...] [--json=FILE].

Modes are "train" and "infer", on pictures that are on the device already, "input", which only
reads, and "end_to_end", training that is fed by reading; "all", and none, is all of them. Prints
one JSON object a line as each is measured, and a table at the end. --peer="PYTHON torch_peer.py"
times another implementation in alternation with this one.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.recipes import RECIPES, Recipe

MODES = ("train", "infer", "input", "end_to_end")
COLUMNS = (
    "mode",
    "peer",
    "compiled",
    "images_per_second",
    "times_peer",
    "batch_size",
    "image_size",
    "precision",
    "jit",
)

shared_flags.recipe("What to time.")
flags.DEFINE_integer("batch_size", None, "Pictures a step.")
flags.DEFINE_integer("image_size", None, "Side of the squares, pixels.")
flags.DEFINE_bool("train_trunk", None, "Fine-tune the VGG16 trunk.")
shared_flags.precision()
shared_flags.jit()
shared_flags.data("What input and end_to_end read.", default="synthetic")
shared_flags.data_dir()
flags.DEFINE_integer("steps", 10, "Batches a repeat.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Timed runs, of which the median counts.", lower_bound=1)
flags.DEFINE_integer("warmup", 3, "Batches before, not timed.", lower_bound=1)
flags.DEFINE_string("peer", None, "Interpreter and script of another implementation to time, too.")
flags.DEFINE_string("json", None, "File for the rows, one JSON object a line.")
shared_flags.overwrite("Replace an earlier --json.")

FLAGS = flags.FLAGS


def _recipe() -> Recipe:
    names = ("batch_size", "image_size", "train_trunk", "precision")
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    return dataclasses.replace(RECIPES[FLAGS.recipe], **given)


def _modes(arguments: list[str]) -> tuple[str, ...]:
    """Returns the modes to time, each once, in the order given."""
    unknown = set(arguments) - {*MODES, "all"}
    if unknown:
        raise ValueError(f"takes some of {', '.join(MODES)} and all, received {sorted(unknown)}")
    return MODES if not arguments or "all" in arguments else tuple(dict.fromkeys(arguments))


def _table(rows: list[dict[str, Any]]) -> str:
    from residual_encoder.evaluation import tables

    return tables.text_table(
        [list(COLUMNS), *([str(row.get(name, "")) for name in COLUMNS] for row in rows)]
    )


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    modes = _modes(arguments)
    cli.quiet_tensorflow()
    from residual_encoder.apps.benchmark import BenchmarkConfig, benchmark
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.utils import files

    config = BenchmarkConfig(
        _recipe(),
        DataConfig(FLAGS.data, data_dir=FLAGS.data_dir),
        modes,
        FLAGS.steps,
        FLAGS.repeats,
        FLAGS.warmup,
        FLAGS.jit,
        FLAGS.peer,
    )
    if FLAGS.json:
        files.check_free(FLAGS.json, FLAGS.overwrite)
    rows = []
    for row in benchmark(config):
        print(json.dumps(row), flush=True)
        rows.append(row)
    print(_table(rows), file=sys.stderr)
    if FLAGS.json:
        files.write_text(FLAGS.json, "".join(json.dumps(row) + "\n" for row in rows))


def run() -> None:
    """Starts the command."""
    cli.run(main, positional=True)
