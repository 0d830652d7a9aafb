"""Loads libvips where a picture is read or written: training and its commands do without it."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any


@functools.cache
def load() -> Any:
    """Loads the module `pyvips`, set up to be silent and to keep no picture in memory.

    Raises:
      ImportError: it is not installed.
    """
    os.environ.setdefault("VIPS_WARNING", "0")  # what it cannot read is an error here
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips


def reason(error: Exception) -> str:
    """Returns libvips' own words for an error, in one line without the names of its functions."""
    lines = [line.strip().split(": ", 1)[-1] for line in str(error).splitlines()[1:]]
    return next((line for line in lines if line), "damaged data")[:120]
