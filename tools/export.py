"""Exports a model; its flags: apps/export_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import export_cli

if __name__ == "__main__":
    export_cli.run()
