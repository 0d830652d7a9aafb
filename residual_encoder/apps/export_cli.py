"""Exports a model for other programs: --output=PATH, and --format for which.

--model is the shipped weights unless another is named. --vividness, --temperature and
--prior_correction are fixed in what is written. Nothing is kept that does not compute what the
network does. Flags of one format are refused with the others.
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.models.vividness import ColorChoice

# Formats, and a line of --help for each.
FORMATS = {
    "savedmodel": "a folder for TensorFlow and, with --version, TensorFlow Serving",
    "litert": "a .tflite file for phones and small computers",
    "keras": "a .keras file of Keras's own layers, which loads with Keras alone",
    "onnx": "an .onnx file for onnxruntime, OpenCV's dnn and others",
    "weights": "a .weights.h5 file of float16 for this package, and its SHA-256",
}
_MODEL = flags.DEFINE_string(
    "model", None, "Training workdir or weights file; default: shipped weights."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder or file to make; it must not exist yet.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    list(FORMATS),
    "What to write:\n" + "\n".join(f"{name}: {text}" for name, text in FORMATS.items()),
)
_AVERAGE_WITH = flags.DEFINE_string(
    "average_with",
    None,
    "For weights: another workdir or weights file of the same network, as a run that this one "
    "started from; the mean of the two is written.",
)
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "For savedmodel: makes TensorFlow Serving's layout, OUTPUT/VERSION, with requests that warm it "
    "up. OUTPUT may hold other versions.",
    lower_bound=1,
)
_MAX_MEGAPIXELS = flags.DEFINE_float(
    "max_megapixels", 50, "For savedmodel: the largest picture file that colorize_bytes takes."
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float16", ["float16", "int8"], "For litert; int8 takes its ranges from --data."
)
_SIZE = flags.DEFINE_string(
    "size",
    "any",
    "For litert and onnx: HEIGHTxWIDTH of the pictures, such as 224x224; any leaves it free, which "
    "OpenCV 4 cannot read.",
)
_DATA = shared_flags.data(
    "For litert: color photographs that set int8's ranges and verify the file; of the training "
    "split. Without them, float16 is verified with noise.",
)
_DATA_DIR = shared_flags.data_dir()
_COLORS = shared_flags.Colors()
_PHOTOGRAPHS = flags.DEFINE_integer(
    "photographs", 200, "For litert: how many are read; half set ranges, half test.", lower_bound=2
)


def _size() -> tuple[int, int] | None:
    if _SIZE.value == "any":
        return None
    parts = _SIZE.value.split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"--size takes any or HEIGHTxWIDTH, received {_SIZE.value!r}")
    return int(parts[0]), int(parts[1])


def _colors() -> ColorChoice:
    return ColorChoice(**_COLORS.settings())


def _model() -> str:
    from residual_encoder.inference.model_loading import shipped_weights

    return _MODEL.value or str(shipped_weights())


def _savedmodel() -> str:
    from residual_encoder.export import saved_model

    least, most = saved_model.LEAST_PIXELS / 1e6, saved_model.MOST_PIXELS / 1e6
    if not least <= _MAX_MEGAPIXELS.value <= most:  # also catches NaN
        raise ValueError(
            f"--max_megapixels takes {least:.3g} to {most:.0f}, received {_MAX_MEGAPIXELS.value:g}"
        )
    folder = saved_model.export_saved_model(
        _model(),
        _OUTPUT.value,
        version=_VERSION.value,
        max_pixels=round(1e6 * _MAX_MEGAPIXELS.value),
        colors=_colors(),
    )
    return f"savedmodel in {folder}; equal to the network within {saved_model.TOLERANCE:.0e}"


def _litert() -> str:
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.export import litert

    report = litert.export_litert(
        litert.LitertConfig(
            model=_model(),
            output=_OUTPUT.value,
            precision=_PRECISION.value,
            size=_size(),
            data=DataConfig(_DATA.value, data_dir=_DATA_DIR.value) if _DATA.value else None,
            photographs=_PHOTOGRAPHS.value,
            colors=_colors(),
        )
    )
    return f"litert, {_PRECISION.value}, in {_OUTPUT.value}: {report}"


def _keras() -> str:
    from residual_encoder.export import keras_model

    return f"keras in {keras_model.export_keras(_model(), _OUTPUT.value, _colors())}"


def _onnx() -> str:
    from residual_encoder.export import onnx_model
    from residual_encoder.models import onnx_graph

    saved = onnx_model.export_onnx(_model(), _OUTPUT.value, _size(), _colors())
    return f"onnx in {saved}; opset {onnx_graph.OPSET}"


def _weights() -> str:
    from residual_encoder.export import float16_weights

    difference = float16_weights.release(_model(), _OUTPUT.value, _AVERAGE_WITH.value, _colors())
    return f"weights in {_OUTPUT.value}; chroma within {difference:.1e} of the network"


# Flags that the other formats would ignore.
_OF_SOME_FORMATS = {
    "average_with": ("weights",),
    "version": ("savedmodel",),
    "max_megapixels": ("savedmodel",),
    "precision": ("litert",),
    "data": ("litert",),
    "data_dir": ("litert",),
    "photographs": ("litert",),
    "size": ("litert", "onnx"),
}
_EXPORTERS = {
    "savedmodel": _savedmodel,
    "litert": _litert,
    "keras": _keras,
    "onnx": _onnx,
    "weights": _weights,
}


def _check_flags() -> None:
    """Refuses flags that the format would ignore."""
    for name, formats in _OF_SOME_FORMATS.items():
        if flags.FLAGS[name].present and _FORMAT.value not in formats:
            wanted = " or ".join(formats)
            raise ValueError(f"--{name} goes with --format={wanted}, not {_FORMAT.value}")


def main(_: list[str]) -> None:
    """Writes the model, verified against the network, or nothing."""
    _check_flags()
    cli.quiet_tensorflow()
    print(_EXPORTERS[_FORMAT.value]())


def run() -> None:
    """Starts the command."""
    cli.run(main)
