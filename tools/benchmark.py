"""Times this machine; its flags: apps/benchmark_cli.py."""

import _bootstrap  # noqa: F401  finds the package

from residual_encoder.apps import benchmark_cli

if __name__ == "__main__":
    benchmark_cli.run()
