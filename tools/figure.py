"""Draws a recipe's network, from the model itself, as SVG: tools/figure.py --output=FILE."""

from __future__ import annotations

from pathlib import Path

import door
from absl import flags

from residual_encoder import diagram, files, networks
from residual_encoder.recipes import RECIPES

_RECIPE = flags.DEFINE_enum("recipe", "tinyclouds2016", sorted(RECIPES), "Whose network.")
_OUTPUT = flags.DEFINE_string("output", None, "SVG file to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Builds the network and draws it."""
    output = Path(_OUTPUT.value)
    if output.exists() and not _OVERWRITE.value:
        raise FileExistsError(f"{output} exists; pass --overwrite or another --output")
    recipe = RECIPES[_RECIPE.value]
    model = networks.build(recipe.network, train_trunk=recipe.train_trunk)
    output.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(output, diagram.network_figure(model))
    print(output)


if __name__ == "__main__":
    door.run(main)
