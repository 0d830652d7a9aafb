"""Colors photographs and films; its flags: apps/colorize_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import colorize_cli

if __name__ == "__main__":
    colorize_cli.run()
