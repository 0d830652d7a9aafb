"""Times training, coloring and reading: tools/benchmark.py [train|infer|input|all] [--json=FILE].

"train" and "infer" run on pictures that are on the device already, "input" only reads, and "all"
adds training that is fed by reading. Prints one JSON object a line as each is measured, and a table
at the end. --peer="PYTHON torch_peer.py" runs another implementation in turns with ours.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any

import _bootstrap
from absl import flags

from residual_encoder import recipes
from residual_encoder.data.input_pipeline import KINDS, DataConfig
from residual_encoder.recipes import RECIPES, Recipe
from residual_encoder.utils import devices

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

flags.DEFINE_enum("recipe", "tinyclouds2016", sorted(RECIPES), "What to time.")
flags.DEFINE_integer("batch_size", None, "Pictures a step.")
flags.DEFINE_integer("image_size", None, "Side of the squares, pixels.")
flags.DEFINE_bool("train_trunk", None, "Fine-tune the VGG16 trunk.")
flags.DEFINE_enum("precision", "auto", recipes.PRECISIONS, "Arithmetic of the layers.")
flags.DEFINE_enum("jit", "auto", devices.JITS, "XLA; auto is on for a single GPU.")
flags.DEFINE_enum("data", "synthetic", KINDS, "What input and all read.")
flags.DEFINE_string("data_dir", None, "Where the data is; synthetic needs none.")
flags.DEFINE_integer("steps", 10, "Batches a repeat.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Timed runs, of which the median counts.", lower_bound=1)
flags.DEFINE_integer("warmup", 3, "Batches before, not timed.", lower_bound=1)
flags.DEFINE_string("peer", None, "Interpreter and script of another implementation to run beside.")
flags.DEFINE_string("json", None, "File for the rows, one JSON object a line.")
flags.DEFINE_bool("overwrite", False, "Replace an earlier --json.")

FLAGS = flags.FLAGS


def _recipe() -> Recipe:
    names = ("batch_size", "image_size", "train_trunk", "precision")
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    return dataclasses.replace(RECIPES[FLAGS.recipe], **given)


def _modes(arguments: list[str]) -> tuple[str, ...]:
    from residual_encoder.apps.benchmark import MODES

    if len(arguments) > 1:
        raise ValueError(f"takes one of train, infer, input and all, received {arguments}")
    return MODES if arguments in ([], ["all"]) else (arguments[0],)


def _table(rows: list[dict[str, Any]]) -> str:
    from residual_encoder.evaluation import tables

    return tables.text_table(
        [list(COLUMNS), *([str(row.get(name, "")) for name in COLUMNS] for row in rows)]
    )


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    from residual_encoder.apps.benchmark import BenchmarkConfig, benchmark
    from residual_encoder.utils import files

    folder = FLAGS.data_dir and os.path.expanduser(FLAGS.data_dir)
    config = BenchmarkConfig(
        _recipe(),
        DataConfig(FLAGS.data, data_dir=folder),
        _modes(arguments),
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


if __name__ == "__main__":
    _bootstrap.run(main, positional=True)
