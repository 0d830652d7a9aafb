"""Exports a trained model for other programs: --model=PATH --output=PATH.

A SavedModel (with --version=N as TensorFlow Serving takes it), a LiteRT file, or weights alone.
--vividness, --temperature and --prior_correction are fixed in what is written.
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.models.vividness import ColorChoice

_MODEL = flags.DEFINE_string("model", None, "Training workdir or weights file.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder or file to make; it must not exist yet.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    ["savedmodel", "litert", "weights"],
    "A SavedModel needs TensorFlow only; litert is one .tflite for phones; weights are one float16 "
    ".weights.h5 and its SHA-256.",
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
    "size", "any", "For litert: HEIGHTxWIDTH of its pictures, such as 224x224; any leaves it free."
)
_DATA = shared_flags.data(
    "For litert: color photographs that set int8's ranges and verify the file; of the training "
    "split. Without them, float16 is verified with noise.",
)
_DATA_DIR = shared_flags.data_dir()
_VIVIDNESS = shared_flags.vividness()
_TEMPERATURE = shared_flags.temperature()
_PRIOR_CORRECTION = shared_flags.prior_correction()
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
    return ColorChoice(_VIVIDNESS.value, _TEMPERATURE.value, _PRIOR_CORRECTION.value)


def _export_litert() -> None:
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.export import litert

    report = litert.export_litert(
        litert.LitertConfig(
            model=_MODEL.value,
            output=_OUTPUT.value,
            precision=_PRECISION.value,
            size=_size(),
            data=DataConfig(_DATA.value, data_dir=_DATA_DIR.value) if _DATA.value else None,
            photographs=_PHOTOGRAPHS.value,
            colors=_colors(),
        )
    )
    print(f"litert, {_PRECISION.value}, in {_OUTPUT.value}: {report}")


def main(_: list[str]) -> None:
    """Writes the model, verified against the network, or nothing."""
    if _AVERAGE_WITH.value and _FORMAT.value != "weights":
        raise ValueError("--average_with goes with --format=weights; export its file then")
    cli.quiet_tensorflow()
    from residual_encoder.export import float16_weights, saved_model

    if _FORMAT.value == "weights":
        difference = float16_weights.release(
            _MODEL.value, _OUTPUT.value, _AVERAGE_WITH.value, _colors()
        )
        print(f"weights in {_OUTPUT.value}; chroma within {difference:.1e} of the network")
        return
    if _FORMAT.value == "litert":
        _export_litert()
        return
    folder = saved_model.export_saved_model(
        _MODEL.value,
        _OUTPUT.value,
        version=_VERSION.value,
        max_pixels=round(1e6 * _MAX_MEGAPIXELS.value),
        colors=_colors(),
    )
    print(f"{_FORMAT.value} in {folder}; equal to the network within {saved_model.TOLERANCE:.0e}")


def run() -> None:
    """Starts the command."""
    cli.run(main)
