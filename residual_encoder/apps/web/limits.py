"""Bounds what visitors may take: one picture at a time, so many waiting, so much of the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")

WAITING = 16  # pictures that wait while one is colored, which bounds the memory
FILMS_WAITING = 4
MAX_MEGABYTES = 50  # of a picture: a JPEG of 100 megapixels
MAX_FILM_MEGABYTES = 500
STORED_MEGABYTES = 4096  # of all visitors' files together
ENTRIES = 1024  # files of all visitors
RESULTS = 4  # files made of one picture that are kept, the newest: a ZIP may be packed meanwhile
LOOK = 16 * 2**20  # bytes of a file that comes in between two looks at the room that is left
PREVIEWS = 32  # pictures whose network output stays in memory, up to 22 MB each
KEPT = 3600  # seconds that a visitor's files are kept after their last use
SWEPT = 300  # seconds between two looks for files that are older
MOST_IN_ZIP = 200  # files


class Busy(Exception):
    """Tells that too many wait already."""


class Full(Exception):
    """Tells that the disk space for visitors is used up."""


class Gone(Exception):
    """Tells that nobody waits for an answer any more."""


class Line:
    """Runs functions in threads, one at a time; others wait in line."""

    def __init__(self, waiting: int = WAITING, kind: str = "pictures") -> None:
        """Sets how many may wait, and what they are called."""
        self.kind, self.waiting, self._inside, self._lock = kind, waiting, 0, asyncio.Lock()

    def check_room(self) -> None:
        """Looks whether one more may wait.

        Raises:
          Busy: too many wait.
        """
        if self._inside > self.waiting:
            raise Busy(f"Many {self.kind} are being colored at the moment. Please try again soon.")

    async def run(
        self,
        function: Callable[..., Answer],
        *arguments: Any,
        gone: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """Runs a function in a thread when it is its turn.

        Args:
          function: What to run.
          *arguments: Its arguments.
          gone: Returns when nobody waits for the answer any more; a function whose turn has not
            come leaves the line then.

        Raises:
          Busy: too many wait.
          Gone: nobody waited any more, and the function was not begun.
        """
        self.check_room()
        self._inside += 1
        try:
            await self._turn(gone)
            try:
                return await asyncio.to_thread(function, *arguments)
            finally:
                self._lock.release()
        finally:
            self._inside -= 1

    async def _turn(self, gone: Callable[[], Awaitable[None]] | None) -> None:
        """Takes the lock, unless nobody waits for the answer any more."""
        if gone is None:
            await self._lock.acquire()
            return
        turn = asyncio.ensure_future(self._lock.acquire())
        left = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({turn, left}, return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                raise Gone
        except BaseException:
            self._leave(turn)
            raise
        finally:
            left.cancel()

    def _leave(self, turn: asyncio.Future[Any]) -> None:
        """Gives the lock back, or no longer waits for it."""
        if turn.done() and not turn.cancelled():
            self._lock.release()
        else:
            turn.cancel()
