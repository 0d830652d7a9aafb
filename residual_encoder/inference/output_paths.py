"""Names of output files; importing it loads neither TensorFlow nor the modules for films."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from residual_encoder.imaging import film_names, heif, image_io
from residual_encoder.inference.foreign_names import NOT_READ, UNCLEAR
from residual_encoder.utils import files

FORMATS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tiff"}


def is_film(path: Path) -> bool:
    """Returns whether a name is that of a film."""
    return path.suffix.lower() in film_names.READABLE


def check_format(form: str) -> None:
    """Checks the format that pictures are to be saved in.

    Raises:
      ValueError: it is neither "keep" nor a key of `FORMATS`.
    """
    if form != "keep" and form not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"format is keep or one of {known}. Received {form!r}.")


def output_name(place: Path, form: str = "keep") -> Path:
    """Returns the name of the output: that of the input, in a format that can be written.

    Args:
      place: The input's name, or path relative to its folder.
      form: A key of `FORMATS`, which replaces a picture's suffix; or "keep", which appends .png to
        names whose format can only be read.
    """
    if is_film(place):
        return video_output_name(place)
    if form != "keep":
        same = _same_format(place.suffix, form)
        return place if same else _named(place, place.stem, FORMATS[form])
    if place.suffix.lower() in image_io.WRITABLE:
        return place
    return _named(place, place.name, ".png")


def _named(place: Path, stem: str, ending: str) -> Path:
    """Returns a path with another name, which is cut where it would be too long."""
    return place.with_name(files.fitting_name(stem, ending))


def _same_format(suffix: str, form: str) -> bool:
    wanted = image_io.format_name(FORMATS[form])
    return suffix.lower() in image_io.WRITABLE and image_io.format_name(suffix) == wanted


def video_output_name(place: str | os.PathLike[str]) -> Path:
    """Returns a film's name, with .mp4 appended where its format cannot be written."""
    path = Path(place)
    return path if path.suffix.lower() in film_names.WRITABLE else _named(path, path.name, ".mp4")


def matroska_name(source: Path, target: Path) -> Path:
    """Returns the name of a film that `target`, by its suffix, cannot hold."""
    appended = target.name == f"{source.name}.mp4"
    return _named(target, source.name if appended else target.name, ".mkv")


def is_file_name(output: Path) -> bool:
    """Returns whether an output is a file and no folder: it ends like a picture or film.

    Also like one that cannot be written, such as new.heic, which is then refused. A folder that
    exists is one whatever its name.
    """
    known = image_io.READABLE | image_io.WRITABLE | film_names.READABLE | heif.SUFFIXES
    suffix = output.suffix.lower()
    foreign = suffix in NOT_READ or suffix in UNCLEAR - {""}
    return (suffix in known or foreign) and not output.is_dir()


def check_file_name(output: Path, source: Path, form: str) -> None:
    """Checks that one input can be written into a file of this name.

    Raises:
      ValueError: a picture cannot be saved under its suffix, or `form` is another format; or one of
        the two is a film and the other is not.
    """
    suffix = output.suffix.lower()
    wanted = film_names.WRITABLE if is_film(source) else image_io.WRITABLE
    if suffix not in wanted:
        raise ValueError(
            f"cannot write {source} as {output}; wanted a name that ends in "
            f"{' '.join(sorted(wanted))}, or a folder"
        )
    if form != "keep" and not is_film(source) and not _same_format(suffix, form):
        raise ValueError(f"the output {output} and the format {form} disagree; give one of the two")


def comparison_path(target: Path) -> Path:
    """Returns the path of the picture that shows gray and colored side by side."""
    return _named(target, target.stem, f"_compare{target.suffix}")


def output_conflict(source: object, target: object) -> str:
    """Explains why an input is not colored whose output is an input or another's output."""
    return (
        f"{source} would be written onto {target}, an input or the output of another; "
        "choose another --output"
    )


def folded(name: str) -> str:
    """Returns what names have in common that some disks take for the same: case and accents."""
    return unicodedata.normalize("NFC", name).casefold()


class Taken:
    """Remembers paths that must not be written to, by any name that the disk has for them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Takes the first of them."""
        self._paths: dict[str, list[Path]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: Path) -> None:
        """Adds one more."""
        path = path.resolve()
        self._paths.setdefault(folded(str(path)), []).append(path)

    def __contains__(self, path: Path) -> bool:
        path = path.resolve()
        others = self._paths.get(folded(str(path)), [])
        return any(path == other or _same_file(path, other) for other in others)


def _same_file(path: Path, other: Path) -> bool:
    """Returns whether two names are of one file, as `a.jpg` and `A.jpg` on some disks."""
    try:
        return path.samefile(other)
    except OSError:  # there is none
        return False


def check_free(target: Path) -> None:
    """Refuses an output that exists.

    Raises:
      FileExistsError: it does.
    """
    if target.exists():
        raise FileExistsError(
            f"{target} exists; pass --skip_existing to keep such files, --overwrite to replace "
            "them, or choose another output."
        )
