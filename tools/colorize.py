"""Colors photographs: tools/colorize.py INPUT... --output=DIR."""

from __future__ import annotations

import door
from absl import flags

_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the colored pictures; made if need be.", required=True
)
_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Training workdir, weights file or exported SavedModel; default: shipped weights.",
)
_SIZE = flags.DEFINE_string(
    "size",
    "auto",
    "Short side in pixels that the network sees, from 8 up; auto is the model's own. The output "
    "has the size of the input whatever this is.",
)
_SATURATION = flags.DEFINE_float(
    "saturation", 1.0, "Factor on the colors: 0 is gray, 1 what the network says.", lower_bound=0.0
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace pictures that are in --output already. Inputs never are."
)


def main(arguments: list[str]) -> int:
    """Colors files and folders; exit code 1 if any picture failed."""
    if not arguments:
        raise ValueError(
            "takes pictures or folders, received none: colorize.py INPUT... --output=DIR"
        )
    size = door.network_size(_SIZE.value)
    from residual_encoder import album  # after the flags, so that a wrong one is answered at once

    summary = album.colorize_files(
        album.AlbumConfig(
            inputs=tuple(arguments),
            output=_OUTPUT.value,
            model=_MODEL.value,
            size=size,
            saturation=_SATURATION.value,
            overwrite=_OVERWRITE.value,
        )
    )
    print(f"{summary.colored} colored, {len(summary.failed)} failed; output in {_OUTPUT.value}")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    door.run(main, positional=True)
