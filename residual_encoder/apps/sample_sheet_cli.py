"""Colors photographs and scenes into one sheet, gray | output | truth: --output=FILE."""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_MODEL = shared_flags.model()
_OUTPUT = flags.DEFINE_string("output", None, "Picture to write.", required=True)
_OVERWRITE = shared_flags.overwrite()


def main(_: list[str]) -> None:
    """Writes the sheet."""
    cli.quiet_tensorflow()
    from residual_encoder.evaluation import showcase
    from residual_encoder.imaging import image_io
    from residual_encoder.inference.colorizer import Colorizer
    from residual_encoder.utils import files

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    image_io.write(_OUTPUT.value, showcase.sheet(Colorizer(_MODEL.value)))
    print(_OUTPUT.value)


def run() -> None:
    """Starts the command."""
    cli.run(main)
