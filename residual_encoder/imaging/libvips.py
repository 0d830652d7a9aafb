"""Loads libvips where a picture is read or written: training and its commands do without it."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

# libvips keeps the messages of all threads in one place. Who reads them there holds this lock from
# before the first can be written, and calls nothing else that takes it from another thread.
MESSAGES = threading.RLock()


@functools.cache
def load() -> Any:
    """Loads the module `pyvips`, set up to be silent and to keep no picture in memory.

    Raises:
      ImportError: it is not installed.
    """
    os.environ.setdefault("VIPS_WARNING", "0")  # what it cannot read is an error here
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    import pyvips

    # Its handler runs Python at every warning. Where that collects garbage, images are closed,
    # which may warn, too, and GLib ends the program at a warning within one ("recursed").
    pyvips._remove_log_handler()
    pyvips.cache_set_max(0)
    return pyvips


def tiff_of(stream: Any, errors: list[BaseException], access: str = "sequential") -> Any:
    """Opens a TIFF that a stream gives.

    Args:
      stream: Has `read(size)` and `seek(offset, whence)`.
      errors: What these raise is put here; libvips only tells that reading failed.
      access: "sequential" or "random".
    """
    source = load().SourceCustom()

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except BaseException as error:  # it must not leave libvips' callback
            errors.append(error)
            return b""

    source.on_read(read)
    source.on_seek(stream.seek)
    return load().Image.new_from_source(source, "", access=access, fail_on="error")


def dtype(image: Any) -> Any:
    """Returns NumPy's type of an image's samples, which have 8 or 16 bits."""
    return np.dtype(np.uint8 if image.format == "uchar" else np.uint16)


def row_fetcher(image: Any) -> Callable[[slice], np.ndarray]:
    """Returns a function that computes rows of an image, [rows, W, C]."""
    region = load().Region.new(image)

    def fetch(rows: slice) -> np.ndarray:
        height = rows.stop - rows.start
        samples = np.frombuffer(region.fetch(0, rows.start, image.width, height), dtype(image))
        return samples.reshape(height, image.width, image.bands)

    return fetch


def reason(error: Exception) -> str:
    """Returns libvips' own words for an error, in one line without the names of its functions."""
    lines = [line.strip().split(": ", 1)[-1] for line in str(error).splitlines()[1:]]
    return next((line for line in lines if line), "damaged data")[:120]
