"""Measures how frequent colors are; its flags: apps/measure_color_prior_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import measure_color_prior_cli

if __name__ == "__main__":
    measure_color_prior_cli.run()
