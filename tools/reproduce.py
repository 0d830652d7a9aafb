"""Runs the article's experiments; its flags: apps/reproduce_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import reproduce_cli

if __name__ == "__main__":
    reproduce_cli.run()
