"""Colors photographs that may be shown into one picture: --output=FILE.

--layout=sheet: photographs and rendered scenes, gray | output | truth. --layout=gallery: the
README's photographs in gray and, below, colored.
"""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags

_MODEL = shared_flags.model()
_COLORS = shared_flags.Colors()
_OUTPUT = flags.DEFINE_string("output", None, "Picture to write.", required=True)
_LAYOUT = flags.DEFINE_enum(
    "layout",
    "sheet",
    ["sheet", "gallery"],
    "sheet: gray, output and truth, of photographs and scenes; gallery: gray above colored, of "
    "photographs alone (needs scikit-learn).",
)
_OVERWRITE = shared_flags.overwrite()


def main(_: list[str]) -> None:
    """Writes the sheet."""
    cli.quiet_tensorflow()
    from residual_encoder.data import sample_images
    from residual_encoder.evaluation import gallery, image_grids
    from residual_encoder.imaging import image_io
    from residual_encoder.inference.colorizer import Colorizer
    from residual_encoder.utils import files

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    colorizer = Colorizer(
        _MODEL.value,
        **_COLORS.settings(),
    )
    if _LAYOUT.value == "gallery":
        picture = gallery.gallery(colorizer.colorize, sample_images.gallery_photographs())
    else:
        kinds = (sample_images.photographs(), 2), (sample_images.rendered(), 3)
        sheets = [
            image_grids.sheet(colorizer.colorize, (rgb for _, rgb in pictures), columns)
            for pictures, columns in kinds
        ]
        picture = image_grids.contact_sheet(sheets)
    image_io.write(_OUTPUT.value, picture)
    print(_OUTPUT.value)


def run() -> None:
    """Starts the command."""
    cli.run(main)
