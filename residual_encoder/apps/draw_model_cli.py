"""Draws a recipe's network, from the model itself, as SVG: --output=FILE."""

from __future__ import annotations

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.recipes import RECIPES

_RECIPE = shared_flags.recipe("Whose network.")
_OUTPUT = flags.DEFINE_string("output", None, "SVG file to write.", required=True)
_OVERWRITE = shared_flags.overwrite()


def main(_: list[str]) -> None:
    """Builds the network and draws it."""
    cli.quiet_tensorflow()
    from residual_encoder import models
    from residual_encoder.models import diagram
    from residual_encoder.utils import files

    files.check_free(_OUTPUT.value, _OVERWRITE.value)
    recipe = RECIPES[_RECIPE.value]
    model = models.build_recipe(recipe)
    files.write_text(_OUTPUT.value, diagram.network_figure(model))
    print(_OUTPUT.value)


def run() -> None:
    """Starts the command."""
    cli.run(main)
