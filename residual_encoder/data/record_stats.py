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
UNUSABLE = 1000  # reading ends where none of the first so many records can be used
NAMED = 10  # broken records that an error names
MOST_NAMES = 1000  # broken records that are remembered and logged by name


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
      names: The broken ones by name, each with the reason; the first `MOST_NAMES` of them.
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

    def add_gray(self, kept: bool) -> None:
        """Counts a picture without color.

        Args:
          kept: Whether a picture was kept before, in a batch or not yet.

        Raises:
          ValueError: of the first `UNUSABLE` records none can be kept.
        """
        with self._lock:
            self.gray += 1
            self._check_any_kept(kept)

    def add_broken(self, name: str, reason: str, place: Cursor, limit: float, kept: bool) -> None:
        """Counts and names a broken record.

        Args:
          name: The record's name.
          reason: Why it cannot be used.
          place: Where in the stream it lies.
          limit: The largest share of broken records that is allowed.
          kept: Whether a picture was kept before, in a batch or not yet.

        Raises:
          ValueError: more than that are broken in this epoch, or of the first `UNUSABLE` records
            none can be kept.
        """
        with self._lock:
            self.bad += 1
            if name not in self.names and len(self.names) < MOST_NAMES:
                self.names[name] = reason
                logging.warning("left out %s: %s", name, reason)
            bad = self._bad_of_epoch[place.epoch] = self._bad_of_epoch.get(place.epoch, 0) + 1
            read = max(place.index + 1, BAD_SHARE_OF)
            if bad > limit * read:
                self._end(
                    f"{bad} broken records, {bad / read:.2%} of {read}, where max_bad_records"
                    f" allows {limit:.2%}: {self._named()}. Replace or remove them, or allow more"
                )
            self._check_any_kept(kept)

    def _check_any_kept(self, kept: bool) -> None:
        """Ends reading that may never give a picture, however many broken records are allowed."""
        read = self.bad + self.gray
        if kept or self.kept or read < UNUSABLE:
            return
        if not self.bad:
            self._end(f"the first {read} pictures have no color; read them with skip_gray off")
        broken = f"{self.bad} are broken, as {self._named()}"
        gray = f", and {self.gray} have no color" if self.gray else ""
        self._end(f"of the first {read} records none can be used: {broken}{gray}")

    def _named(self) -> str:
        return "; ".join(f"{name} ({why})" for name, why in list(self.names.items())[:NAMED])

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
