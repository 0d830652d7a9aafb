"""Measures a model on photographs: --model=PATH --data=... --output=report.json.

Prints a table of the model, of luma gray and of the oracle (the true chroma merged with the model's
gray), each with its 95 % interval, and writes all of it as JSON. With --classifier, --features and
--classes it also tells how many of the pictures a classifier recognizes, and how many photographs.
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_MODEL = shared_flags.model()
_DATA = shared_flags.data("Kind of data; its validation split is read.", required=True)
_DATA_DIR = shared_flags.data_dir()
_MANUAL_DIR = shared_flags.manual_dir()
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", required=True)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 224, "Side of the center squares that are compared, pixels.", lower_bound=11
)
_SIZE = shared_flags.size()
_PRECISION = shared_flags.precision()
_COLORS = shared_flags.Colors()
_ENGINE = shared_flags.engine("tensorflow")
_LIMIT = flags.DEFINE_integer("limit", None, "Stop after so many photographs.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Photographs at a time.", lower_bound=1)
_OVERWRITE = shared_flags.overwrite("Replace an earlier --output.")
_CLASSIFIER = flags.DEFINE_string(
    "classifier", None, "LiteRT file that scores classes of uint8 RGB squares, as MobileNetV2."
)
_FEATURES = flags.DEFINE_string(
    "features", None, "LiteRT file that gives features of uint8 RGB squares, as MobileNetV1."
)
_CLASSES = flags.DEFINE_string(
    "classes",
    None,
    "Text file, a class's name a line; the stem of a photograph's file name is its class.",
)


def _recognition_files() -> dict[str, str]:
    """Returns the values of three flags, which are given together or not at all."""
    flag_holders = (_CLASSIFIER, _FEATURES, _CLASSES)
    given = {flag.name: flag.value for flag in flag_holders if flag.value}
    missing = [f"--{flag.name}" for flag in flag_holders if flag.name not in given]
    if given and missing:
        raise ValueError(
            "--classifier, --features and --classes are given together; "
            f"missing: {', '.join(missing)}"
        )
    return given


def main(arguments: list[str]) -> None:
    """Evaluates and prints the table."""
    size = shared_flags.network_size(_SIZE.value)
    recognition_files = _recognition_files()
    cli.quiet_tensorflow()
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.evaluation import tables
    from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
    from residual_encoder.evaluation.recognition import RecognitionConfig
    from residual_encoder.inference.colorizer import Colorizer

    result = evaluate_model(
        EvaluateConfig(
            data=DataConfig(_DATA.value, data_dir=_DATA_DIR.value, manual_dir=_MANUAL_DIR.value),
            output=_OUTPUT.value,
            image_size=_IMAGE_SIZE.value,
            limit=_LIMIT.value,
            batch_size=_BATCH_SIZE.value,
            overwrite=_OVERWRITE.value,
            recognition=RecognitionConfig(**recognition_files) if recognition_files else None,
        ),
        Colorizer(
            _MODEL.value,
            size=size,
            precision=_PRECISION.value,
            **_COLORS.settings(),
            engine=_ENGINE.value,
        ),
    )
    compared = {"model": result} | result["baselines"]
    print(f"{result['n']} photographs, mean and 95 % interval")
    print(tables.text_table(tables.metrics_table(compared)))
    print(f"written to {_OUTPUT.value}")


def run() -> None:
    """Starts the command."""
    cli.run(main)
