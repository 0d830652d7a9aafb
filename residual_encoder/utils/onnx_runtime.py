"""Loads onnxruntime without its telemetry."""

from __future__ import annotations

import os
from typing import Any


def load() -> Any:
    """Imports onnxruntime; nothing is sent to its makers, and no session file is written.

    Its builds since 1.32 send events to Microsoft from the import on, unless this variable is set.

    Raises:
      ImportError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
