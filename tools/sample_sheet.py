"""Colors photographs and scenes into one sheet, gray | output | truth: tools/sample_sheet.py."""

from __future__ import annotations

import _bootstrap
from absl import flags

_MODEL = flags.DEFINE_string(
    "model", None, "Training workdir, weights file or SavedModel; default: shipped weights."
)
_OUTPUT = flags.DEFINE_string("output", None, "Picture to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Writes the sheet."""
    from residual_encoder.evaluation import image_grids, showcase
    from residual_encoder.imaging import image_io
    from residual_encoder.inference.colorizer import Colorizer
    from residual_encoder.utils import files

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    colorize = Colorizer(_MODEL.value).colorize
    sheets = [
        image_grids.sheet(colorize, (rgb for _, rgb in pictures), columns)
        for pictures, columns in ((showcase.photographs(), 2), (showcase.rendered(), 3))
    ]
    image_io.write(_OUTPUT.value, image_grids.contact_sheet(sheets))
    print(_OUTPUT.value)


if __name__ == "__main__":
    _bootstrap.run(main)
