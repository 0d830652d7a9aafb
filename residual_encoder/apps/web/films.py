"""Colors visitors' films one after the other, in a thread of their own, and tells how far it is."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from absl import logging

from residual_encoder.apps.web import preview, stills
from residual_encoder.apps.web.archive import Look
from residual_encoder.apps.web.limits import FILMS_WAITING, Busy, Line
from residual_encoder.apps.web.store import Entry, Store
from residual_encoder.imaging import video_io
from residual_encoder.inference import video
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.engines import settling


class Stopped(Exception):
    """Ends the coloring of a film whose visitor removed it, or whose server ends."""


class Films:
    """The films of all visitors; one is colored at a time."""

    def __init__(self, colorizer: Colorizer, store: Store) -> None:
        """Uses a colorizer and the store that has the films."""
        # A copy: what is fastest for a film need not give a picture the bytes of the command line.
        self.colorizer, self.store = copy.copy(colorizer), store
        self.line = Line(FILMS_WAITING, "films")
        self.ending = False

    def check_room(self) -> None:
        """Looks whether there is room for a further film.

        Raises:
          Busy: too many wait.
          Full: the disk space is used up.
        """
        self.line.check_room()
        self.store.check_room()

    async def color(self, entry: Entry, saturation: float) -> None:
        """Colors a film; what becomes of it is in `entry.facts`.

        Raises:
          Busy: too many wait; its file is deleted.
        """
        entry.facts |= {"state": "waiting", "frames": 0}
        try:
            await self.line.run(self._color, entry, saturation)
        except Busy:
            self.store.remove(entry.id)
            raise
        except Exception as error:
            entry.facts |= {"state": "failed", "error": self._reason(error, entry)}

    def _reason(self, error: Exception, entry: Entry) -> str:
        if isinstance(error, ValueError | OSError | MemoryError):
            return " ".join(str(error).replace(f"{entry.path.parent}/", "").split())
        if not isinstance(error, Stopped):
            logging.exception("A film failed; the page stays up.")
            return "That went wrong, and not because of the film; the server's log has the error."
        return str(error)

    def _color(self, entry: Entry, saturation: float) -> None:
        total = video_io.inspect(entry.path).declared
        entry.facts |= {"state": "working", "total": total}
        self.colorizer.settle(total or settling.FRAMES)  # here, as `_counting` makes copies
        target = Path(tempfile.mkdtemp(dir=entry.path.parent)) / preview.colored_name(
            entry.path.name
        )
        config = video.VideoConfig(str(entry.path), str(target))
        summary = video.colorize_video(self._counting(entry, saturation), config)
        if summary.output is None:
            raise ValueError(f"{entry.path.name} is in color already, so it was left as it is")
        made = Path(summary.output)
        entry.facts |= {
            "frames": summary.frames,
            "url": self._url(entry, made, saturation),
            "still": self._url(entry, stills.write(made), saturation),
            "notes": list(summary.notes),
        }
        entry.facts["state"] = "done"

    def _url(self, entry: Entry, path: Path | None, saturation: float) -> str | None:
        if path is None:
            return None
        token = self.store.add_result(entry, path)
        entry.facts[token] = Look(saturation)
        return f"files/{token}"

    def _counting(self, entry: Entry, saturation: float) -> Colorizer:
        """Returns the colorizer, with a count of the frames that it was asked for."""
        counting: Any = copy.copy(self.colorizer)
        counting.saturation = saturation
        own = self.colorizer.network_input

        def network_input(picture: Any) -> Any:
            if self.ending or entry.facts.get("removed"):
                raise Stopped("The film was removed.")
            entry.facts["frames"] += 1
            return own(picture)

        counting.network_input = network_input
        return counting


def progress(entry: Entry) -> dict[str, Any]:
    """Returns what the page shows of a film."""
    keys = ("state", "frames", "total", "error", "url", "still")
    facts = {key: entry.facts.get(key) for key in keys}
    return facts | {"id": entry.id, "notes": entry.facts.get("notes", [])}
