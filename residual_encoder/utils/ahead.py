"""Runs a generator in a thread, so that it works while its consumer does."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
_END = object()


@contextlib.contextmanager
def ahead(source: Generator[T, None, None], count: int) -> Iterator[Iterator[T]]:
    """Yields an iterator over the items of a generator, made before they are asked for.

    Args:
      source: Runs in a thread of its own, in which it is also closed on exit.
      count: Items that wait at most; the thread makes one more and waits.

    Raises:
      BaseException: what `source` raised, where the item would have come.
    """
    made: queue.Queue[object] = queue.Queue(count)
    closed, failed = threading.Event(), list[BaseException]()

    def fill() -> None:
        try:
            with contextlib.closing(source):
                for item in source:
                    made.put(item)
                    del item  # or the last would be held while the next is made
                    if closed.is_set():
                        break
        except BaseException as error:
            failed.append(error)
        made.put(_END)

    def items() -> Iterator[T]:
        while (item := made.get()) is not _END:
            yield item  # type: ignore[misc]
            del item
        if failed:
            raise failed.pop()

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        closed.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                made.get(timeout=0.01)
            thread.join(timeout=0.01)
