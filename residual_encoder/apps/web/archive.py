"""Packs colored files into a ZIP, with the hints they were made with and how to make them again."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from residual_encoder.inference import hints
from residual_encoder.inference.output_paths import folded

COMMANDS = "commands.txt"
_MADE = "_colored"


class Look(NamedTuple):
    """How a visitor wants a picture; in the order of the arguments of `preview`."""

    saturation: float
    vividness: float | None = None  # None leaves the colorizer's own choice of colors
    hints: Sequence[hints.Hint] = ()
    faces: bool = False


class Served(NamedTuple):
    """What the server was started with, as flags of `colorize`."""

    model: Sequence[str] = ()  # hold for every file
    colors: Sequence[str] = ()  # hold where a visitor chose no vividness
    vividness: float | None = None  # the same, where it is the only choice of colors: no flag


AS_SHIPPED = Served()


class Made(NamedTuple):
    """A colored file, and what it was made of."""

    path: Path
    source: str  # name of the picture or film that was given
    look: Look
    in_color: bool = False  # whether that was a picture in color, which `colorize` leaves out


def settings(look: Look, served: Served) -> dict[str, Any]:
    """Returns the settings of a look that are not those of `colorize` without flags, by name."""
    vividness = served.vividness if look.vividness is None else look.vividness
    found = {"vividness": vividness, "saturation": look.saturation, "faces": look.faces}
    usual = {"vividness": None, "saturation": 1.0, "faces": False}
    return {name: value for name, value in found.items() if value != usual[name]}


def hints_text(look: Look, served: Served) -> str:
    """Returns the file of a look's hints, with its `settings` where it has some; JSON."""
    return json.dumps(hints.as_json(look.hints, **settings(look, served)), indent=1)


def flags(made: Made, served: Served) -> list[str]:
    """Returns the flags of `colorize` for what no file of hints says; none for the defaults.

    A look with hints has its settings in their file, and none here.
    """
    found, look = [*served.model], made.look
    if made.in_color:
        found.append("--color_inputs=recolor")
    if look.vividness is None:
        found += served.colors
    if look.hints:
        return found
    return found + [as_flag(*setting) for setting in settings(look, served).items()]


def as_flag(name: str, value: float) -> str:
    """Returns a setting as a flag, which is read as the same number."""
    return f"--{name}" if value is True else f"--{name}={str(float(value)).removesuffix('.0')}"


def command(made: Made, hints_name: str, served: Served) -> str:
    """Returns the command that colors a picture as the page did.

    Args:
      made: Of what, and how, it was made.
      hints_name: Name of the file of its hints.
      served: What the server was started with.
    """
    given = [f"--hints={hints_name}"] if made.look.hints else []
    source = f"./{made.source}" if made.source.startswith("-") else made.source  # not a flag
    return shlex.join(["colorize", source, *given, *flags(made, served)])


def hints_name(source: str) -> str:
    """Returns the name of the file of a picture's hints: NAME.hints.json."""
    return f"{Path(source).stem}{hints.SUFFIX}"


def pack(target: Path, made: Sequence[Made], served: Served) -> bool:
    """Writes a ZIP of files, which are compressed already, their hints and their commands.

    Where two files have one name, but for its case, the second and its hints are numbered alike:
    `a_colored (2).jpg` and `a (2).hints.json`.

    Returns:
      Whether there were commands to write.
    """
    taken = set[str]()  # folded
    lines = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for one in made:
            picture, notes = _free(one, taken)
            packed.write(one.path, picture)
            if one.look.hints:
                packed.writestr(notes, hints_text(one.look, served))
            if one.look.hints or flags(one, served):
                lines.append(f"{picture}: {command(one, notes, served)}\n")
        if lines:
            packed.writestr(_numbered(COMMANDS, taken), "".join(lines))
    return bool(lines)


def _free(one: Made, taken: set[str]) -> tuple[str, str]:
    """Returns names of a file and of its hints that are not taken, and takes them."""
    stem = one.path.stem.removesuffix(_MADE)
    end = _MADE if stem != one.path.stem else ""
    for number in range(1, len(taken) + 2):
        nth = f" ({number})" if number > 1 else ""
        names = f"{stem}{end}{nth}{one.path.suffix}", f"{stem}{nth}{hints.SUFFIX}"
        if not taken.intersection(map(folded, names)):
            break
    taken.update(map(folded, names))
    return names


def _numbered(name: str, taken: set[str]) -> str:
    """Returns a name that is not taken."""
    path, number = Path(name), 1
    while folded(name) in taken:
        number += 1
        name = f"{path.stem} ({number}){path.suffix}"
    return name
