"""Colors sample images into one sheet; its flags: apps/sample_sheet_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import sample_sheet_cli

if __name__ == "__main__":
    sample_sheet_cli.run()
