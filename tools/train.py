"""Trains a recipe; its flags: apps/train_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import train_cli

if __name__ == "__main__":
    train_cli.run()
