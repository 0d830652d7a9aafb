"""Exports a trained model for other programs: tools/export.py --model=PATH --output=DIR."""

from __future__ import annotations

import door
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "Training workdir or weights file.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder to make; it must not exist yet.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format", "savedmodel", ["savedmodel"], "What to write; a SavedModel needs TensorFlow only."
)


def main(_: list[str]) -> None:
    """Writes the model, proven equal to the network, or nothing."""
    from residual_encoder import export

    folder = export.export_saved_model(_MODEL.value, _OUTPUT.value)
    print(f"{_FORMAT.value} in {folder}; equal to the network within {export.TOLERANCE:.0e}")


if __name__ == "__main__":
    door.run(main)
