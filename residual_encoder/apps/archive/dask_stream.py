"""Gives Dask a bounded number of tasks at a time, and those of lost workers again."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

AHEAD = 3  # tasks a thread that the scheduler holds, so that no thread waits for the client
RESENT = 20  # times that a task is sent anew whose workers are lost
_LOST = "The Dask scheduler is lost; the same command does what is left"
_LOOK = 2.0  # seconds between two looks at the size of the cluster

Item = TypeVar("Item")


class Stream:
    """Runs a function over any number of items; the scheduler holds few of them at a time."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._threads, self._looked = 1, 0.0

    def results(
        self,
        function: Callable[..., Any],
        items: Iterable[Item],
        *fixed: Any,
        lost: Callable[..., Any] | None = None,
    ) -> Iterator[tuple[Item, Any]]:
        """Yields each item and what a worker makes of it, in the order in which they are ready.

        Args:
          function: Called with an item and `fixed` in a worker.
          items: Taken as workers need them.
          fixed: Further arguments.
          lost: Called as `function`, with the number of attempts after, for an item whose workers
            were lost `RESENT` times; None raises an error.

        Raises:
          OSError: the scheduler is lost, or an item's workers are.
        """
        from distributed import as_completed

        ready, sent = as_completed(loop=self.client.loop), dict[Any, tuple[Item, int]]()

        def send(item: Item, attempt: int) -> None:
            arguments = (item, *fixed)
            work = function
            if attempt > RESENT:
                if lost is None:
                    raise OSError(f"{attempt} times workers were lost that ran {function.__name__}")
                work, arguments = lost, (item, *fixed, attempt)
            future = self.client.submit(work, *arguments, pure=False)
            sent[future] = item, attempt
            ready.add(future)

        def received() -> Iterator[tuple[Item, Any]]:
            future = next(ready)
            if future.status == "lost":  # its worker, before it was asked; Dask computes it again
                ready.add(future)
                return
            item, attempt = sent.pop(future)
            if _is_lost(future):
                send(item, attempt + 1)
            else:
                yield item, future.result()

        with _connected():
            for item in items:
                send(item, 1)
                while len(sent) >= self._room():
                    yield from received()
            while sent:
                yield from received()

    def ordered(
        self, function: Callable[..., Any], items: Iterable[Item], *fixed: Any
    ) -> Iterator[Any]:
        """Yields what workers make of items, in the items' order, a few of them ahead."""
        left = iter(items)
        submit = self.client.submit
        with _connected():
            waiting = [submit(function, item, *fixed) for item in itertools.islice(left, AHEAD)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [submit(function, item, *fixed) for item in itertools.islice(left, 1)]

    def _room(self) -> int:
        """Returns how many tasks the scheduler is to hold; clusters grow and shrink."""
        if time.monotonic() - self._looked > _LOOK:
            self._threads = max(1, sum(self.client.nthreads().values()))
            self._looked = time.monotonic()
        return AHEAD * self._threads


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Explains what is raised when the scheduler is lost.

    Raises:
      OSError: it is.
    """
    from distributed.comm import CommClosedError

    try:
        yield
    except CommClosedError as error:
        raise OSError(_LOST) from error


def _is_lost(future: Any) -> bool:
    """Returns whether a task's workers were lost too often for the scheduler.

    Raises:
      OSError: the scheduler itself is lost.
    """
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise OSError(_LOST)
    return future.status == "error" and isinstance(future.exception(), KilledWorker)
