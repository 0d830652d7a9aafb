"""One line of an error, for a report or a message."""

from __future__ import annotations

import re


def first_line(error: Exception) -> str:
    """Returns an error's first line without TensorFlow's node names."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\{\{.*?\}\}|\[Op:.*?\]| *name: *$", "", lines[0]).strip()


def one_line(error: Exception, name: str = "") -> str:
    """Returns an error in one line that names the input it is about, unless `name` is empty."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if name in line else f"{name}: {line}"
