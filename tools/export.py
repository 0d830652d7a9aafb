"""Exports a trained model for other programs: tools/export.py --model=PATH --output=DIR."""

from __future__ import annotations

import door
from absl import flags

_MODEL = flags.DEFINE_string("model", None, "Training workdir or weights file.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder or file to make; it must not exist yet.", required=True
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "savedmodel",
    ["savedmodel", "weights"],
    "A SavedModel needs TensorFlow only; weights are one float16 .weights.h5 and its SHA-256.",
)


def main(_: list[str]) -> None:
    """Writes the model, proven equal to the network, or nothing."""
    from residual_encoder import export, release

    if _FORMAT.value == "weights":
        difference = release.release(_MODEL.value, _OUTPUT.value)
        print(f"weights in {_OUTPUT.value}; chroma within {difference:.1e} of the network")
        return
    folder = export.export_saved_model(_MODEL.value, _OUTPUT.value)
    print(f"{_FORMAT.value} in {folder}; equal to the network within {export.TOLERANCE:.0e}")


if __name__ == "__main__":
    door.run(main)
