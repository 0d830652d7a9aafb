"""Reads and writes hints, which say what color a place of a picture has, without TensorFlow."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from residual_encoder.inference.coloring_config import checked_saturation

MOST = 1000  # hints of one picture
MAX_BYTES = 1 << 20  # of a file of hints
SUFFIX = ".hints.json"
FORM = (
    '{"x": 10, "y": 20, "rgb": [200, 30, 40]}, {"x": 10, "y": 20, "gray": true} or '
    '{"x": 10, "y": 20, "keep": true}'
)
_KINDS = "rgb", "gray", "keep"


class Hint(NamedTuple):
    """Says what color one place has.

    Attributes:
      x: Pixels from the left edge of the upright, full-size picture.
      y: Pixels from its top edge.
      rgb: Three numbers from 0 to 255, of whose color only the chroma is taken; None is gray.
      keep: Whether the region keeps the network's own colors; `rgb` is None then.
    """

    x: float
    y: float
    rgb: tuple[int, int, int] | None
    keep: bool = False


# What `Colorizer.colorize` takes: hints, or mappings as in a file.
Hints = Sequence[Hint | Mapping[str, Any]]


SETTINGS = "saturation", "vividness", "faces"


@dataclass(frozen=True)
class HintsFile:
    """Holds what a file of hints says of a picture; None leaves a setting to the command.

    Attributes:
      hints: What colors places have.
      saturation: As of `Colorizer`.
      vividness: As of `Colorizer`.
      faces: As of `Colorizer`.
    """

    hints: Sequence[Hint] = ()
    saturation: float | None = None
    vividness: float | None = None
    faces: bool | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Returns the settings that it has, by name."""
        found = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def arguments(self) -> dict[str, Any]:
        """Returns arguments of `Colorizer.colorize`."""
        return {"hints": self.hints, **self.settings}

    @property
    def notes(self) -> list[str]:
        """Returns a line that tells which settings of the command it replaces; none without."""
        told = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return [f"by its file of hints: {told}"] if told else []

    @property
    def is_empty(self) -> bool:
        """Returns whether it has neither hints nor settings."""
        return not (self.hints or self.settings)


NOTHING = HintsFile()


def read(path: str | os.PathLike[str]) -> HintsFile:
    """Reads a file of hints.

    It is a JSON object with a list of hints, as `parse` takes it, as its `hints`, and any of
    `SETTINGS`; or only such a list.

    Raises:
      ValueError: no JSON, or a wrong hint or setting; the message begins with the path.
      OSError: the file cannot be read.
    """
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is over 1 MiB; a file of hints was wanted: a list of {FORM}")
    try:
        return _of_json(json.loads(path.read_bytes()))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply for a list of hints") from error
    except ValueError as error:  # of json and of a text that is no UTF-8 too
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            raise ValueError(f"{path} is no JSON: {error}; wanted a list of {FORM}") from error
        raise ValueError(f"{path}: {error}") from error


def _of_json(value: Any) -> HintsFile:
    if not isinstance(value, Mapping):
        return HintsFile(parse(value))
    if "hints" not in value or {*value} - {"hints", *SETTINGS}:
        raise ValueError(
            f"hints are a list of {FORM}, or an object with that list as hints, and with any of "
            f"{', '.join(SETTINGS)}. Received {_short([*value])}."
        )
    told = {name: _CHECKS[name](value[name]) for name in SETTINGS if name in value}
    return HintsFile(parse(value["hints"]), **told)


def _checked_vividness(value: Any) -> Any:
    if not (_is_number(value) and 0 <= value <= 1):
        raise ValueError(f"vividness must be 0 to 1. Received {_short(value)}.")
    return value


def _checked_faces(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"faces must be true or false. Received {_short(value)}.")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "saturation": checked_saturation,
    "vividness": _checked_vividness,
    "faces": _checked_faces,
}


def parse(value: Any) -> list[Hint]:
    """Checks hints and returns them as `Hint`.

    Args:
      value: A sequence of `Hint`, or of mappings with `x`, `y`, and one of `rgb` (three whole
        numbers from 0 to 255), `gray` (true) and `keep` (true).

    Raises:
      ValueError: it is something else; the message has the number of the hint, from 1.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"hints are a list of {FORM}. Received {_short(value)}.")
    if len(value) > MOST:
        raise ValueError(f"at most {MOST} hints are taken. Received {len(value)}.")
    return [_parsed(hint, f"hint {number}") for number, hint in enumerate(value, start=1)]


def _parsed(hint: Any, name: str) -> Hint:
    fields: Any = _fields(hint) if isinstance(hint, Hint) else hint
    if not isinstance(fields, Mapping) or set(fields) not in [{*"xy", kind} for kind in _KINDS]:
        raise ValueError(f"{name} must be {FORM}. Received {_short(hint)}.")
    for key in "xy":
        if not _is_number(fields[key]):
            raise ValueError(f"{name}: {key} must be a number. Received {_short(fields[key])}.")
    if "rgb" in fields:
        return Hint(fields["x"], fields["y"], _rgb(fields["rgb"], name))
    kind = "keep" if "keep" in fields else "gray"
    if fields[kind] is not True:
        raise ValueError(f"{name}: {kind} must be true. Received {_short(fields[kind])}.")
    return Hint(fields["x"], fields["y"], None, kind == "keep")


def _fields(hint: Hint) -> dict[str, Any]:
    """Returns a hint as a file has it."""
    place = {"x": hint.x, "y": hint.y}
    if hint.keep:
        return place | {"keep": True}
    return place | ({"gray": True} if hint.rgb is None else {"rgb": list(hint.rgb)})


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    try:
        return number and math.isfinite(value)
    except (OverflowError, TypeError):  # a whole number that no float holds, or a complex one
        return False


def _rgb(value: Any, name: str) -> tuple[int, int, int]:
    numbers = list(value) if isinstance(value, list | tuple | np.ndarray) else []
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != 3 or not whole or not all(0 <= n <= 255 for n in numbers):
        raise ValueError(
            f"{name}: rgb must be three whole numbers from 0 to 255. Received {_short(value)}."
        )
    red, green, blue = map(int, numbers)
    return red, green, blue


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_json(
    hints: Sequence[Hint],
    saturation: float | None = None,
    vividness: float | None = None,
    faces: bool | None = None,
) -> Any:
    """Returns hints and settings as a file has them; a list where there are no settings.

    Earlier versions read such a list only.

    Args:
      hints: The hints.
      saturation: See `HintsFile`.
      vividness: See `HintsFile`.
      faces: See `HintsFile`.
    """
    told, settings = [_fields(hint) for hint in hints], HintsFile((), saturation, vividness, faces)
    return {**settings.settings, "hints": told} if settings.settings else told


def for_picture(place: Path, source: Path) -> HintsFile:
    """Reads the hints of one picture.

    Args:
      place: A file of hints, or a folder in which `NAME.hints.json` belongs to NAME with any
        suffix.
      source: The picture.

    Returns:
      The hints; `NOTHING` where the folder has none for it.
    """
    if not place.is_dir():
        return read(place)
    own = place / f"{source.stem}{SUFFIX}"
    return read(own) if own.is_file() else NOTHING


def check_one_picture(source: Path, given: bool) -> None:
    """Refuses hints for a file of several pages or frames, or a film.

    Args:
      source: The file.
      given: Whether there are some.

    Raises:
      ValueError: there are.
    """
    if given:
        raise ValueError(
            f"{source} holds several pictures; hints are for one: save the page or frame as a file "
            "of its own, or leave the hints out"
        )
