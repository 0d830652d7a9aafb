"""Colors files that hold several pictures: the pages of a TIFF, the frames of an animation."""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from residual_encoder.imaging import animations, image_io, image_metadata, rows, tiff_pages
from residual_encoder.imaging.animations import Animation, Frame
from residual_encoder.imaging.image_io import Picture
from residual_encoder.imaging.tiff_directory import BIG_TIFF, TIFF
from residual_encoder.inference import temporal_smoothing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.output_paths import comparison_path
from residual_encoder.inference.temporal_smoothing import SmoothingState
from residual_encoder.utils import files

T = TypeVar("T")
BATCH = 8  # frames that the network takes at once, and that are in memory, of up to:
_BATCH_PIXELS = 40_000_000  # of all of them; of larger frames fewer
_TIFF = frozenset((".tif", ".tiff"))


@dataclass(frozen=True)
class Document:
    """Describes a TIFF of several pages, or one that has more in it than its page."""

    path: Path
    pages: tuple[tiff_pages.Page, ...]
    left_out: dict[str, int]  # what is no page -> how many
    plain: bool  # whether its first page is what programs show that know no pages
    max_pixels: int | None = None  # of a page; None is the usual limit

    @property
    def count(self) -> int:
        """Returns the number of pages."""
        return len(self.pages)


Several = Document | Animation
ColorOne = Callable[[Picture, Path, list[Path]], Sequence[str]]


@dataclass(frozen=True)
class PagesSummary:
    """Summarizes a colored file of several pictures.

    Attributes:
      unit: "pages" or "frames".
      height: Pixels of the first, upright.
      width: Likewise.
      colored: How many pages or frames were colored.
      not_colored: How many were not, since the output's format holds one only.
      notes: What was left out, and other remarks, for a person.
    """

    unit: str
    height: int
    width: int
    colored: int
    not_colored: int
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """Returns what a report has of such a file, by its fields."""
        sizes = {"width": self.width, "height": self.height, self.unit: self.colored}
        more = {"not_colored": self.not_colored, "notes": list(self.notes)}
        return sizes | {name: value for name, value in more.items() if value}


def inspect(path: Path, max_pixels: int | None = None) -> Several | None:
    """Looks whether a file holds several pictures; None where it is one picture, or none at all.

    A picture whose headers are too damaged to tell counts as one: reading it gives the reason.

    Args:
      path: The file.
      max_pixels: Takes the place of `image_io.MAX_PIXELS` for pages.

    Raises:
      ValueError: it is an animation that is damaged or too large.
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start not in (*TIFF, *BIG_TIFF):
        return animations.inspect(path)
    try:
        found = tiff_pages.inspect(path)
    except ValueError:
        return None
    if not found.pages or (found.directories == 1 and not found.left_out):
        return None
    plain = found.pages[0].place == found.first
    return Document(path, found.pages, found.left_out, plain, max_pixels)


class Look(NamedTuple):
    """Holds what takes the place of a colorizer's own settings; see `Colorizer.colorize`."""

    saturation: float | None = None
    vividness: float | None = None


ITS_OWN = Look()


def colorize_pages(
    colorizer: Colorizer,
    several: Several,
    target: Path,
    wanted: list[Path],
    color_one: ColorOne,
    look: Look = ITS_OWN,
    keep: Callable[[Picture], bool] | None = None,
) -> PagesSummary:
    """Colors all pages or frames into a file of the same kind, or the first into a single picture.

    A TIFF gets every page with its own size, depth, resolution and description. Frames are colored
    with the steadiness of a film and keep their durations and the number of plays. Files are
    written whole or not at all. Memory holds one page, or `BATCH` frames.

    Args:
      colorizer: Gives the colors.
      several: As `inspect` gives it.
      target: The colored file; its folder exists.
      wanted: `target`, `comparison_path(target)`, or both.
      color_one: Colors one picture into files; takes (picture, target, those that are wanted) and
        returns remarks.
      look: How frames are colored.
      keep: Returns whether a picture is to be left as it is, such as one in color. Such pages go
        along unchanged; where there is nothing else, or the first frame is one, nothing is written.

    Returns:
      The counts and remarks; 0 colored where nothing is written.

    Raises:
      ValueError: a page or frame cannot be read, or the format cannot hold it.
      OSError: a file cannot be read or written.
    """
    suffix = target.suffix.lower()
    if isinstance(several, Document) and suffix in _TIFF and several.count > 1:
        with contextlib.suppress(_NothingToColor):
            return _color_pages(colorizer, several, target, wanted, color_one, keep)
        return PagesSummary("pages", 0, 0, 0, 0, ())
    with _first_picture(several) as picture:
        shape = picture.pixels.shape
        if keep is not None and keep(picture):
            return PagesSummary(_unit(several), shape[0], shape[1], 0, 0, ())
        if isinstance(several, Document) or suffix not in animations.HOLDS_FRAMES:
            remarks = color_one(picture, target, wanted)
            return _summary(several, shape, 1, suffix, remarks)
    return _color_frames(colorizer, several, target, wanted, look)


class _NothingToColor(Exception):
    """Ends the work on a file all of whose pages are left as they are."""


@contextmanager
def _first_picture(several: Several) -> Iterator[Picture]:
    """Reads the first frame, or the first page of a TIFF, which need not be its first picture."""
    if isinstance(several, Animation):
        yield next(iter(animations.frames(several))).picture
    elif several.plain:
        yield image_io.read(several.path, several.max_pixels)
    else:
        with tempfile.TemporaryDirectory(prefix="pages-") as folder:
            yield _read_page(several, 0, Path(folder))  # a large picture is read from it later on


# --- pages ----------------------------------------------------------------------------------------


def _read_page(document: Document, number: int, folder: Path) -> Picture:
    """Reads one page by way of a file in `folder`."""
    part = folder / "page.tiff"
    try:
        tiff_pages.extract(document.path, document.pages[number], part)
        return image_io.read(part, document.max_pixels)
    except ValueError as error:
        reason = str(error).removeprefix(str(part)).strip()
        raise ValueError(f"{document.path} has a page {number + 1} that {reason}") from error


def _color_pages(
    colorizer: Colorizer,
    document: Document,
    target: Path,
    wanted: list[Path],
    color_one: ColorOne,
    keep: Callable[[Picture], bool] | None,
) -> PagesSummary:
    """Colors each page into a file of its own and joins these."""
    shape: tuple[int, ...] = ()
    remarks, kept = list[str](), 0
    with ExitStack() as stack:
        hidden = tempfile.TemporaryDirectory(prefix=".pages-", dir=target.parent)
        folder = Path(stack.enter_context(hidden))
        part = folder / "colored.tiff"
        parts = {_renamed(path, target, part): path for path in wanted}
        joiners = {
            name: stack.enter_context(_joining(path, document, 1 if name == part else 2))
            for name, path in parts.items()
        }
        for number in _progress(range(document.count), document, "page"):
            picture = _read_page(document, number, folder)
            shape = shape or picture.pixels.shape
            if keep is not None and keep(picture):
                said: Sequence[str] = ("left as it is",)
                _keep_one(colorizer, picture, part, list(parts))
                kept += 1
            else:
                said = color_one(picture, part, list(parts))
            del picture  # so that two pages are never held
            remarks += (f"page {number + 1}: {remark}" for remark in said)
            for name, joiner in joiners.items():
                joiner.add(name, document.path, document.pages[number])
        if kept == document.count:
            raise _NothingToColor
    return _summary(document, shape, document.count, ".tiff", remarks)


def _keep_one(colorizer: Colorizer, picture: Picture, part: Path, parts: list[Path]) -> None:
    """Writes a page as it is."""
    alpha = [] if picture.alpha is None else [picture.alpha]
    pixels = np.dstack([picture.rgb, *alpha]) if alpha else picture.rgb
    for path in parts:
        both = pixels if path == part else beside_gray(colorizer, picture, pixels)
        image_io.write(path, both, picture.metadata)


def _renamed(path: Path, target: Path, part: Path) -> Path:
    return part if path == target else comparison_path(part)


@contextmanager
def _joining(path: Path, document: Document, side_by_side: int) -> Iterator[tiff_pages.Joiner]:
    """Yields a joiner whose file becomes `path` at the end."""
    size = side_by_side * sum(page.size for page in document.pages)
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        yield tiff_pages.Joiner(file, document.count, size)


# --- frames ---------------------------------------------------------------------------------------


def _color_frames(
    colorizer: Colorizer, animation: Animation, target: Path, wanted: list[Path], look: Look
) -> PagesSummary:
    """Colors the frames of an animation as those of a film."""
    drop = animation.still and target.suffix.lower() != ".png"
    shape: tuple[int, ...] = ()
    colored = 0
    with ExitStack() as stack:
        writers = {path: stack.enter_context(_writing(path, animation)) for path in wanted}
        frames = itertools.islice(animations.frames(animation), int(drop), None)
        bar = _progress(frames, animation, "frame")
        size = max(1, min(BATCH, _BATCH_PIXELS // animation.pixels))
        for frame, rgb in _steady(colorizer, bar, look, size):
            shape = shape or frame.picture.pixels.shape
            colored += 1
            marked = image_metadata.marked(frame.picture.metadata)
            for path, writer in writers.items():
                pixels = rgb if path == target else beside_gray(colorizer, frame.picture, rgb)
                writer.add(pixels, marked, frame.duration)
    return _summary(animation, shape, colored, target.suffix.lower())


@contextmanager
def _writing(path: Path, animation: Animation) -> Iterator[animations.Writer]:
    """Yields a writer whose file becomes `path` at the end."""
    with files.replacing(path) as temporary, animations.Writer(temporary, animation) as writer:
        yield writer
        writer.finish()


def _steady(
    colorizer: Colorizer, frames: Iterator[Frame], look: Look, size: int
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yields frames and their colored pixels, with chroma that is averaged along motion."""
    state: SmoothingState | None = None
    while batch := list(itertools.islice(frames, size)):
        grays = np.stack([colorizer.network_input(frame.picture) for frame in batch])
        for gray, chroma in zip(grays, _chromas(colorizer, grays, look), strict=True):
            frame = batch.pop(0)  # so that two batches are never held
            if state is None:
                state = temporal_smoothing.start(gray, chroma)
            else:
                state, _ = temporal_smoothing.update(state, gray, chroma)
            smooth = state.smooth
            yield frame, colorizer.merge(frame.picture, smooth, gray, saturation=look.saturation)
            if frame.duration is None:
                state = None  # the still picture is no part of the film


def _chromas(colorizer: Colorizer, grays: np.ndarray, look: Look) -> np.ndarray:
    if look.vividness is None:
        return colorizer.predict(grays)
    return colorizer.choose_colors(colorizer.predict_logits(grays), look.vividness)


def beside_gray(colorizer: Colorizer, picture: Picture, colored: np.ndarray) -> np.ndarray:
    """Returns a picture's gray, as the network sees it, next to its colored pixels."""
    halves = colorizer.as_gray(picture), colored
    return rows.mapped(lambda *parts: np.concatenate(parts, axis=1), *halves)


# --- remarks --------------------------------------------------------------------------------------


def _progress(parts: Iterable[T], several: Several, unit: str) -> Iterator[T]:
    name, count = several.path.name, several.count
    return iter(
        tqdm(parts, desc=name, total=count, unit=unit, file=sys.stderr, disable=None, leave=False)
    )


def _summary(
    several: Several, shape: tuple[int, ...], colored: int, suffix: str, said: Sequence[str] = ()
) -> PagesSummary:
    height, width = shape[:2]
    missing = several.count - colored
    notes = _no_pages(several) if isinstance(several, Document) else ()
    if missing:
        notes += (_not_colored(several, missing, suffix),)
    elif isinstance(several, Animation) and several.form in ("GIF", "AVIF"):
        written = "PNG" if suffix == ".png" else "WebP"
        notes += (f"{several.count} frames, written as an animated {written}",)
    return PagesSummary(_unit(several), height, width, colored, missing, (*notes, *said))


def _unit(several: Several) -> str:
    return "pages" if isinstance(several, Document) else "frames"


def _no_pages(document: Document) -> tuple[str, ...]:
    parts = [f"{count} {what}{'s' * (count > 1)}" for what, count in document.left_out.items()]
    return (f"left out, since it is no page: {', '.join(parts)}",) if parts else ()


def _not_colored(several: Several, missing: int, suffix: str) -> str:
    if missing == 1 and isinstance(several, Animation) and several.still and suffix == ".webp":
        return "the still picture for programs without animation was not colored: WebP has none"
    unit, way = ("page", "tiff") if isinstance(several, Document) else ("frame", "png or webp")
    which = f"{unit}s 2 to {several.count} were" if missing > 1 else f"{unit} 2 was"
    held = image_io.format_name(suffix)
    return f"{which} not colored: {held} holds a single picture; --format={way} keeps all"
