"""Writes TFRecord shards; its flags: apps/make_shards_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import make_shards_cli

if __name__ == "__main__":
    make_shards_cli.run()
