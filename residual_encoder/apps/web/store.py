"""Keeps visitors' files for a while, each under a name that nobody can guess."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from residual_encoder.apps.web.limits import (
    ENTRIES,
    KEPT,
    PREVIEWS,
    RESULTS,
    STORED_MEGABYTES,
    Full,
)
from residual_encoder.utils import files

FULL = "The space for visitors' files is used up. Please try again later."
LONGEST = 180  # bytes of a name


@dataclass
class Entry:
    """One file that a visitor gave, and what was made of it.

    Attributes:
      id: What the visitor asks for it by.
      path: The file, alone in its folder.
      used: When it was last asked for, seconds of `time.monotonic`.
      results: Files made of it, by unguessable names.
      facts: What else is known, such as a film's progress.
    """

    id: str
    path: Path
    used: float
    results: dict[str, Path] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Store:
    """All visitors' files. Safe to use from several threads."""

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.monotonic, megabytes: int = 0
    ) -> None:
        """Uses a private folder, which the caller deletes.

        Args:
          folder: Where the files go.
          clock: Seconds.
          megabytes: Takes the place of `STORED_MEGABYTES`.
        """
        self.folder, self.clock = folder, clock
        self.most = (megabytes or STORED_MEGABYTES) * 2**20
        self._entries: dict[str, Entry] = {}
        self._previews: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.RLock()

    def add(self, name: str) -> Entry:
        """Makes a place for a file of a visitor.

        Raises:
          Full: there is no room.
        """
        with self._lock:
            self.sweep()
            if len(self._entries) >= ENTRIES:
                raise Full(FULL)
            self.check_room()
            key = secrets.token_urlsafe(18)
            place = self.folder / key
            place.mkdir(mode=0o700)
            entry = Entry(key, place / safe_name(name), self.clock())
            self._entries[key] = entry
            return entry

    def check_room(self) -> None:
        """Looks whether there is room for further bytes.

        Raises:
          Full: there is none.
        """
        if self.used() >= self.most:
            raise Full(FULL)

    def get(self, key: str) -> Entry:
        """Returns a visitor's file.

        Raises:
          FileNotFoundError: there is none, or it is gone.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                minutes = KEPT // 60
                raise FileNotFoundError(
                    f"The file was kept for {minutes} minutes and is gone; give it again."
                )
            entry.used = self.clock()
            return entry

    def result(self, token: str) -> Path:
        """Returns a file that was made.

        Raises:
          FileNotFoundError: there is none, or it is gone.
        """
        return self.owner(token).results[token]

    def owner(self, token: str) -> Entry:
        """Returns the visitor's file that a file was made of.

        Raises:
          FileNotFoundError: there is none, or it is gone.
        """
        with self._lock:
            for entry in self._entries.values():
                if token in entry.results:
                    entry.used = self.clock()
                    return entry
        raise FileNotFoundError("That file is gone; make it again.")

    def add_result(self, entry: Entry, path: Path) -> str:
        """Returns the name under which a file that was made can be asked for.

        Of one entry the newest `RESULTS` are kept.
        """
        token = secrets.token_urlsafe(18)
        with self._lock:
            entry.results[token] = path
            for old in list(entry.results)[:-RESULTS]:
                entry.facts.pop(old, None)
                gone = entry.results.pop(old)
                with contextlib.suppress(OSError):
                    gone.unlink()
                    gone.parent.rmdir()  # made for this file, or not empty
        return token

    def remove(self, key: str) -> None:
        """Deletes a visitor's file and all that was made of it."""
        with self._lock:
            entry = self._entries.pop(key, None)
            self._previews.pop(key, None)
        if entry is not None:
            entry.facts["removed"] = True  # a film at work stops
            shutil.rmtree(entry.path.parent, ignore_errors=True)

    def preview(self, entry: Entry, make: Callable[[], Any]) -> Any:
        """Returns what `make` returns, which is kept for the pictures used last."""
        with self._lock:
            if entry.id in self._previews:
                self._previews.move_to_end(entry.id)
                return self._previews[entry.id]
        made = make()
        with self._lock:
            self._previews[entry.id] = made
            while len(self._previews) > PREVIEWS:
                self._previews.popitem(last=False)
        return made

    def used(self) -> int:
        """Returns the bytes of all files; those that a film at work deletes meanwhile are 0."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.stat(os.path.join(folder, name)).st_size
        return total

    def sweep(self) -> None:
        """Deletes files that were not asked for in `KEPT` seconds; films at work stay."""
        old = self.clock() - KEPT
        with self._lock:
            entries = list(self._entries.values())
        for entry in entries:
            if entry.used < old and entry.facts.get("state") not in ("waiting", "working"):
                self.remove(entry.id)


def safe_name(name: str) -> str:
    """Returns the last part of a visitor's file name, without what could choose a folder."""
    last = PurePosixPath(name.replace("\\", "/")).name
    last = re.sub(r"[\x00-\x1f\x7f]", "", last).strip().lstrip(".") or "picture"
    path = PurePosixPath(last)
    return files.fitting_name(path.stem, path.suffix[:20], LONGEST)
