"""Colors photographs and films: tools/colorize.py INPUT... --output=DIR."""

from __future__ import annotations

import _bootstrap

from residual_encoder.apps import colorize_cli

if __name__ == "__main__":
    _bootstrap.run(colorize_cli.main, positional=True)
