"""Measures a model on photographs: tools/evaluate.py --model=PATH --data=... --output=report.json.

Prints a table of the model, of gray and of the oracle (the true chroma merged with the model's
gray), each with its 95 % interval, and writes all of it as JSON.
"""

from __future__ import annotations

import _bootstrap
from absl import flags

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Training workdir, weights file or exported SavedModel; default: shipped weights.",
)
_DATA = flags.DEFINE_enum(
    "data",
    None,
    ["imagenet", "tfrecord", "folder", "synthetic"],
    "Kind of data; its validation split is read.",
    required=True,
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data is; synthetic needs none.")
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", None, "For --data=imagenet: where the ILSVRC2012 archives are."
)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", required=True)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 224, "Side of the center squares that are compared, pixels.", lower_bound=11
)
_SIZE = flags.DEFINE_string(
    "size", "auto", "Short side in pixels that the network sees; auto is the model's own."
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    ["float32", "bfloat16", "auto"],
    "Arithmetic of the network; auto is bfloat16 where the device is quick at it.",
)
_LIMIT = flags.DEFINE_integer("limit", None, "Stop after so many photographs.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Photographs at a time.", lower_bound=1)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier --output.")


def main(arguments: list[str]) -> None:
    """Evaluates and prints the table."""
    size = _bootstrap.network_size(_SIZE.value)
    # after the flags, so that a wrong one is answered at once
    from residual_encoder.data.input_pipeline import DataConfig
    from residual_encoder.evaluation import tables
    from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
    from residual_encoder.inference.colorizer import Colorizer

    result = evaluate_model(
        EvaluateConfig(
            data=DataConfig(_DATA.value, data_dir=_DATA_DIR.value, manual_dir=_MANUAL_DIR.value),
            output=_OUTPUT.value,
            image_size=_IMAGE_SIZE.value,
            limit=_LIMIT.value,
            batch_size=_BATCH_SIZE.value,
            overwrite=_OVERWRITE.value,
        ),
        Colorizer(_MODEL.value, size=size, precision=_PRECISION.value),
    )
    compared = {"model": result} | result["baselines"]
    print(f"{result['n']} photographs, mean and 95 % interval")
    print(tables.text_table(tables.metrics_table(compared)))
    print(f"written to {_OUTPUT.value}")


if __name__ == "__main__":
    _bootstrap.run(main)
