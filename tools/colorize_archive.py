"""Colors collections with Apache Beam; its flags: apps/colorize_archive_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import colorize_archive_cli

if __name__ == "__main__":
    colorize_archive_cli.run()
