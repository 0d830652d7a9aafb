"""Measures a model; its flags: apps/evaluate_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import evaluate_cli

if __name__ == "__main__":
    evaluate_cli.run()
