"""What every tool's door does: find the package, keep TensorFlow quiet, end errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from residual_encoder.apps.cli import network_size, quiet_tensorflow, run  # noqa: E402

__all__ = ["network_size", "run"]

quiet_tensorflow()
