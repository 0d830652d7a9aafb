"""Draws a recipe's network, from the model itself, as SVG: tools/draw_model.py --output=FILE."""

from __future__ import annotations

import _bootstrap
from absl import flags

from residual_encoder import models
from residual_encoder.models import diagram
from residual_encoder.recipes import RECIPES
from residual_encoder.utils import files

_RECIPE = flags.DEFINE_enum("recipe", "tinyclouds2016", sorted(RECIPES), "Whose network.")
_OUTPUT = flags.DEFINE_string("output", None, "SVG file to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an earlier file.")


def main(_: list[str]) -> None:
    """Builds the network and draws it."""
    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    recipe = RECIPES[_RECIPE.value]
    model = models.build(recipe.network, train_trunk=recipe.train_trunk)
    files.write_text(_OUTPUT.value, diagram.network_figure(model))
    print(_OUTPUT.value)


if __name__ == "__main__":
    _bootstrap.run(main)
