"""Bounds what visitors may take: one picture at a time, so many waiting, so much of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")

WAITING = 16  # pictures that wait while one is colored, which bounds the memory
FILMS_WAITING = 4
MAX_MEGABYTES = 50  # of a picture: a JPEG of 100 megapixels
MAX_FILM_MEGABYTES = 500
STORED_MEGABYTES = 4096  # of all visitors' files together
ENTRIES = 1024  # files of all visitors
PREVIEWS = 32  # pictures whose network output stays in memory, up to 15 MB each
KEPT = 3600  # seconds that a visitor's files are kept after their last use
SWEPT = 300  # seconds between two looks for files that are older
MOST_IN_ZIP = 200  # files


class Busy(Exception):
    """Tells that too many wait already, or that the disk space for visitors is used up."""


class Line:
    """Runs functions in threads, one at a time; others wait in line."""

    def __init__(self, waiting: int = WAITING) -> None:
        """Sets how many may wait."""
        self.waiting, self._inside, self._lock = waiting, 0, asyncio.Lock()

    async def run(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """Runs a function in a thread when it is its turn.

        Raises:
          Busy: too many wait.
        """
        if self._inside > self.waiting:
            raise Busy("Many pictures are being colored at the moment. Please try again soon.")
        self._inside += 1
        try:
            async with self._lock:
                return await asyncio.to_thread(function, *arguments)
        finally:
            self._inside -= 1
