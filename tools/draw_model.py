"""Draws a network; its flags: apps/draw_model_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import draw_model_cli

if __name__ == "__main__":
    draw_model_cli.run()
