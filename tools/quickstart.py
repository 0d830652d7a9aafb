"""Trains, evaluates, exports and colors in minutes; its flags: apps/quickstart_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import quickstart_cli

if __name__ == "__main__":
    quickstart_cli.run()
