"""Decides whether a film is resumed: what its finished frames depend on, and in which engine."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import WEIGHTS, kind_of
from residual_encoder.inference.video_progress import SegmentStore
from residual_encoder.models import vividness
from residual_encoder.utils import files

# How finished frames were made if a part of their signature is another than now.
_OTHERWISE = {
    "version": "by another version of this program",
    "source": "from another film, or this one has changed",
    "model": "by another model",
    "colors": "with other settings of color",
    "film": "with other settings",
}


def signature(colorizer: Colorizer, source: Path, version: int, film: list[Any]) -> dict[str, Any]:
    """Returns everything that colored frames depend on, but the engine; JSON-able.

    Args:
      colorizer: What colors them.
      source: The film.
      version: Of the program, as far as films are concerned.
      film: Settings of the job.
    """
    status = source.stat()
    colors = [colorizer.size, colorizer.saturation, colorizer.upsampling]
    return {
        "version": version,
        "source": [str(source.resolve()), status.st_size, status.st_mtime_ns],
        "model": _model(colorizer),
        "colors": [*colors, *vividness.settings(colorizer.recipe.network).values()],
        "film": film,
    }


def _model(colorizer: Colorizer) -> list[Any]:
    """Identifies a model: each export of the same weights may compute them in its own way."""
    if kind_of(colorizer.source) == WEIGHTS:
        return [colorizer.sha256]
    source = Path(colorizer.source)
    parts = sorted(path for path in source.rglob("*") if path.is_file()) or [source]
    hashes = [[str(path.relative_to(source)), files.sha256(path)] for path in parts]
    return [colorizer.sha256, *hashes]


def in_its_engine(
    colorizer: Colorizer, store: SegmentStore, job: dict[str, Any], frames: int
) -> Colorizer:
    """Returns a colorizer in the engine that began a film, or else in the fastest.

    Engines differ by 1 of 255 here and there. So the one that began a film ends it too, where it is
    left to the colorizer, even if another would be faster now.

    Args:
      colorizer: Changes its own engine where nothing was begun; see `Colorizer.settle`.
      store: What is finished.
      job: The `signature`.
      frames: About how many the film has.
    """
    before = _engine_of(store)
    if before and not store.differences({**job, "engine": before}):
        with contextlib.suppress(ValueError, OSError):  # it cannot run here anymore
            return colorizer.in_engine(*before)
    colorizer.settle(frames)
    return colorizer


def begin(colorizer: Colorizer, store: SegmentStore, job: dict[str, Any]) -> str | None:
    """Opens the store for a job.

    Args:
      colorizer: In the engine that is used.
      store: What is finished; it is kept if it is of the same job in the same engine.
      job: The `signature`.

    Returns:
      Why frames that were finished are colored again; None if none are.
    """
    frames, before = store.progress.frames, _engine_of(store)
    now = [colorizer.engine.name, colorizer.engine.precision]
    job = {**job, "engine": now}
    differences = store.differences(job)
    store.begin(job)
    if not frames or not differences:
        return None
    reason = next((text for name, text in _OTHERWISE.items() if name in differences), None)
    if reason is None:
        reason = f"by the engine {_told(before)}, and the others would be by {_told(now)}"
    return f"{frames} finished frames are colored anew: they were made {reason}"


def _engine_of(store: SegmentStore) -> list[str]:
    """Returns name and precision of the engine that made what is finished; empty if nothing is."""
    return store.signature.get("engine", [])


def _told(engine: Sequence[str]) -> str:
    return " in ".join(engine)
