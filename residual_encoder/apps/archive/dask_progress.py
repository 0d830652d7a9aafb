"""Shows how far a run is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

EVERY = 30.0  # seconds between two lines


class Progress:
    """Shows files, files a second and the time that is left, once the number of inputs is known."""

    def __init__(self, total: Callable[[], int | None], unit: str = "file") -> None:
        """Begins.

        Args:
          total: Returns the number of inputs, or None while it is not known.
          unit: What is counted.
        """
        self._total, self._unit = total, unit
        self._start = self._told = time.monotonic()
        self.done = self.failed = 0
        terminal = sys.stderr.isatty()
        self._bar = tqdm(unit=unit, file=sys.stderr) if terminal else None

    def add(self, done: int, failed: int = 0) -> None:
        """Counts inputs, and shows it."""
        self.done += done
        self.failed += failed
        if self._bar is not None:
            self._bar.total = self._total()
            self._bar.set_postfix(failed=self.failed, refresh=False)
            self._bar.update(done)
        elif time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """Returns how far it is, in words."""
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        total = self._total()
        of = f" of {total}" if total is not None else ""
        left = f", {_span((total - self.done) / rate)} left" if total and rate else ""
        return f"{self.done}{of} {self._unit}s, {rate:.3g} a second{left}, {self.failed} failed"

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def _span(seconds: float) -> str:
    minutes = int(max(seconds, 0) / 60 + 0.5)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
