"""Colors photographs and scenes into one sheet, gray | output | truth: tools/showcase.py."""

from __future__ import annotations

import door
from absl import flags

_MODEL = flags.DEFINE_string(
    "model", None, "Training workdir, weights file or SavedModel; default: shipped weights."
)
_OUTPUT = flags.DEFINE_string("output", None, "Picture to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Writes the sheet."""
    from residual_encoder import files, images, showcase
    from residual_encoder.inference import Colorizer

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    images.write(_OUTPUT.value, showcase.sheet(Colorizer(_MODEL.value)))
    print(_OUTPUT.value)


if __name__ == "__main__":
    door.run(main)
