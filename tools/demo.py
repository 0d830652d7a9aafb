"""Serves the web page; its flags: apps/demo_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import demo_cli

if __name__ == "__main__":
    demo_cli.run()
