"""Loads LiteRT files without LiteRT's notes on stderr."""

from __future__ import annotations

import os
from typing import Any

from residual_encoder.utils import devices


def interpreter(content: bytes, source: object) -> Any:
    """Makes an interpreter of a LiteRT file, ready to run, on all cores of the CPU.

    Args:
      content: The file.
      source: Its name, for errors.

    Raises:
      ValueError: LiteRT is not installed, or cannot run the file.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ValueError(
            'LiteRT files need LiteRT; in the project\'s folder: pip install ".[litert]"'
        ) from error
    try:
        with devices.quiet_stderr():
            made = Interpreter(model_content=content, num_threads=os.cpu_count())
            made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{source} is no LiteRT file that runs here ({error}).") from error
    return made
