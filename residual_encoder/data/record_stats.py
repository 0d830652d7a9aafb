"""Counts and names the records that reading left out, and ends reading above a limit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
from absl import logging

# The broken share is of this many records at least, so that one bad file ends no small run.
BAD_SHARE_OF = 1000
NAMED = 10  # broken records that an error names


class Cursor(NamedTuple):
    """A position in the endless stream: the next record to read."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which is not needed here


class RecordStats:
    """Counts the records that were read and left out. Safe to use from several threads.

    Reading runs ahead of training by a few batches, and so do the counts.

    Attributes:
      kept: Pictures put into batches.
      bad: Broken records and broken shards, counted again in every epoch.
      gray: Pictures left out because they have no color.
      names: The broken ones by name, each with the reason; the first thousand of them.
      error: Why reading ended, if it did.
    """

    def __init__(self) -> None:
        self.kept = self.bad = self.gray = 0
        self.names: dict[str, str] = {}
        self.error: str | None = None
        self._bad_of_epoch: dict[int, int] = {}
        self._lock = threading.Lock()

    @property
    def seen(self) -> int:
        """Returns how many records were read so far: kept, bad and gray ones."""
        return self.kept + self.bad + self.gray

    def add_kept(self, count: int) -> None:
        """Counts pictures that went into a batch."""
        with self._lock:
            self.kept += int(count)

    def add_gray(self) -> None:
        """Counts a picture without color.

        Raises:
          ValueError: a thousand records held no color at all.
        """
        with self._lock:
            self.gray += 1
            if not self.kept and self.gray >= BAD_SHARE_OF:
                self._end(
                    f"the first {self.gray} pictures have no color; read them with skip_gray off"
                )

    def add_broken(self, name: str, reason: str, place: Cursor, limit: float) -> None:
        """Counts and names a broken record.

        Args:
          name: The record's name.
          reason: Why it cannot be used.
          place: Where in the stream it lies.
          limit: The largest share of broken records that is allowed.

        Raises:
          ValueError: more than that are broken in this epoch.
        """
        with self._lock:
            self.bad += 1
            if name not in self.names and len(self.names) < BAD_SHARE_OF:
                self.names[name] = reason
                logging.warning("left out %s: %s", name, reason)
            bad = self._bad_of_epoch[place.epoch] = self._bad_of_epoch.get(place.epoch, 0) + 1
            read = max(place.index + 1, BAD_SHARE_OF)
            if bad > limit * read:
                self._end(self._too_many(bad, read, limit))

    def _too_many(self, bad: int, read: int, limit: float) -> str:
        first = "; ".join(f"{name} ({why})" for name, why in list(self.names.items())[:NAMED])
        return (
            f"{bad} broken records, {bad / read:.2%} of {read}, where max_bad_records allows"
            f" {limit:.2%}: {first}. Replace or remove them, or allow more"
        )

    def _end(self, error: str) -> None:
        self.error = self.error or error  # threads that still read must not change it
        raise ValueError(self.error)

    @contextlib.contextmanager
    def reraising(self) -> Iterator[None]:
        """Surrounds reading: turns TensorFlow's error into the ValueError that ended it.

        Raises:
          ValueError: too many records are broken, or none has color.
        """
        try:
            yield
        except tf.errors.OpError:
            if self.error is None:
                raise
            raise ValueError(self.error) from None
