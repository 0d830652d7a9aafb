"""Colors photographs that may be shown into one picture: tools/sample_sheet.py --output=FILE.

--layout=sheet: photographs and rendered scenes, gray | output | truth. --layout=gallery: the
README's photographs in gray and, below, colored.
"""

from __future__ import annotations

import _bootstrap
from absl import flags

_MODEL = flags.DEFINE_string(
    "model", None, "Training workdir, weights file or SavedModel; default: shipped weights."
)
_OUTPUT = flags.DEFINE_string("output", None, "Picture to write.", required=True)
_LAYOUT = flags.DEFINE_enum(
    "layout",
    "sheet",
    ["sheet", "gallery"],
    "sheet: gray, output and truth, of photographs and scenes; gallery: gray above colored, of "
    "photographs alone (needs scikit-learn).",
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Writes the sheet."""
    from residual_encoder.data import sample_images
    from residual_encoder.evaluation import showcase
    from residual_encoder.imaging import image_io
    from residual_encoder.inference.colorizer import Colorizer
    from residual_encoder.utils import files

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    colorizer = Colorizer(_MODEL.value)
    if _LAYOUT.value == "gallery":
        picture = showcase.gallery(colorizer.colorize, sample_images.gallery_photographs())
    else:
        picture = showcase.sheet(colorizer)
    image_io.write(_OUTPUT.value, picture)
    print(_OUTPUT.value)


if __name__ == "__main__":
    _bootstrap.run(main)
