"""Finds and colors the tasks of a collection, in a worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from residual_encoder.apps.archive import listing, remote
from residual_encoder.apps.archive.tasks import CollectionConfig, Task
from residual_encoder.imaging import color_detection, image_headers, image_io
from residual_encoder.inference import batch, file_discovery, output_paths, pages
from residual_encoder.inference.batch_report import IN_COLOR, others_left_out
from residual_encoder.inference.colorizer import Colorizer, configured
from residual_encoder.utils import errors

# --- finding --------------------------------------------------------------------------------------


def check(config: CollectionConfig) -> list[str]:
    """Checks that there is anything to do.

    Returns:
      What of the inputs cannot be read here, a line for each reason.

    Raises:
      FileNotFoundError: an input does not exist.
      ValueError: no picture was found, or the output is the input folder.
    """
    if config.records:
        shards(config.inputs)
        return []
    if config.files_from or any(map(remote.is_remote, config.inputs)):
        listing.check(config)
        return []
    found = file_discovery.find(config.inputs, Path(config.output), config.format)
    if not found.jobs and not found.unreadable:
        raise file_discovery.nothing(config.inputs, found)
    file_discovery.check_folder(config.inputs, Path(config.output), found.jobs)
    return file_discovery.left_out_lines(found) + list(found.unreadable.values())


def shards(patterns: tuple[str, ...]) -> list[str]:
    """Returns the TFRecord files that are named, each once.

    Raises:
      FileNotFoundError: a pattern fits no file.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        fits = [path for path in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(path)]
        if not fits:
            raise FileNotFoundError(f"{pattern} fits no TFRecord file; try DIR/train-*.")
        found |= dict.fromkeys(sorted(fits))
    return list(found)


def record_tasks(shard: str, config: CollectionConfig) -> Iterator[Task]:
    """Yields a task for each record; one with an error, the last, where the shard is broken."""
    number = -1
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(shard).as_numpy_iterator()):
            yield _record_task(shard, number, record, config)
    except tf.errors.OpError as error:
        why = f"{shard} is broken after {number + 1} records: {errors.first_line(error)}"
        yield Task(shard, error=why)


def _record_task(shard: str, number: int, record: bytes, config: CollectionConfig) -> Task:
    task = Task(f"{shard}@{number}", shard=shard, number=number)
    try:
        data, name = _contents(record)
        name = name or f"{Path(shard).name}@{number}{image_headers.suffix_of(data)}"
        place = Path(name)
        if place.is_absolute() or ".." in place.parts or "\0" in name or not place.name:
            raise ValueError(f"{name!r} is no name for a file below the output folder")
        target = Path(config.output) / output_paths.output_name(place, config.format)
    except ValueError as error:
        return replace(task, error=errors.one_line(error, task.source))
    return replace(task, name=name, target=str(target))


def _contents(record: bytes) -> tuple[bytes, str]:
    """Returns the picture's bytes and its name; both may be empty.

    Raises:
      ValueError: the record is no `tf.train.Example`.
    """
    text = tf.io.FixedLenFeature([], tf.string, default_value="")
    features = {"image/encoded": text, "image/filename": text}
    try:
        example = tf.io.parse_single_example(record, features)
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        # TensorFlow quotes the record, and fails where that is not UTF-8.
        raise ValueError("the record is no tf.train.Example") from error
    return example["image/encoded"].numpy(), os.fsdecode(example["image/filename"].numpy())


# --- coloring -------------------------------------------------------------------------------------


def load(config: CollectionConfig) -> Colorizer:
    """Loads the network with its settings."""
    return configured(config)


class Staging(Protocol):
    """Has outputs written in another place first, so that their rows are kept before them."""

    def place(self, target: Path) -> Path:
        """Returns where an output is written first: its own name, in a folder of its own."""

    def keep(self, source: str, line: str, written: Path, target: Path) -> None:
        """Keeps a row, and then moves what was written to its place."""


class _LeftOut(Exception):
    """Ends the work on a picture that is not to be colored; its message is the reason."""


def color(
    colorizer: Colorizer,
    task: Task,
    record: bytes | None = None,
    config: CollectionConfig | None = None,
    staging: Staging | None = None,
) -> str:
    """Colors a file, or a record's picture.

    Args:
      colorizer: Gives the chroma.
      task: What to color.
      record: Its bytes, of a record.
      config: How; the defaults where it is left out.
      staging: Where outputs are written first; None writes them in their places.

    Returns:
      A line of JSON: `file`, and `error`, or `left_out`, or `output` and its facts.
    """
    first = task
    try:
        if task.error:
            raise ValueError(task.error)
        if task.left_out:
            raise _LeftOut(task.left_out)
        for path in (Path(task.target), *_matroska(task)):
            if path.exists():
                return _line(task, output=str(path))
        if staging:
            first = replace(task, target=str(staging.place(Path(task.target))))
        staged = staging is not None  # where what a lost worker left may be replaced
        work = partial(_film, staged=staged) if _is_film(task) else _picture
        with remote.fetched(first) as here:
            facts = {"output": first.target} | work(colorizer, here, record, config)
        written, model = Path(str(facts["output"])), {"model": colorizer.sha256}
        facts["output"] = str(Path(task.target).with_name(written.name))
        line = _line(task, **facts, **model)
        if staging:
            staging.keep(task.source, line, written, Path(str(facts["output"])))
        return line
    except _LeftOut as why:
        return _line(task, left_out=str(why))
    except batch.INPUT_ERRORS as error:
        reason = errors.one_line(error, task.name)
        return _line(task, error=reason.replace(first.target, task.target) if staging else reason)


Paint = Callable[[Colorizer, Task, bytes | None, CollectionConfig | None], str]


def colorize_records(
    colorizer: Colorizer,
    tasks: Iterable[Task],
    config: CollectionConfig | None = None,
    waits: Callable[[Task], bool] = lambda task: False,
    paint: Paint = color,
) -> Iterator[tuple[Task, str]]:
    """Colors records of one shard, which is read only where there is something to do.

    Args:
      colorizer: Gives the chroma.
      tasks: The records.
      config: How; the defaults where it is left out.
      waits: Returns whether a record is not begun, since the run is stopped.
      paint: Colors one; as `color`.

    Yields:
      Each task and its line, as `color` gives it.
    """
    ordered = sorted(tasks, key=lambda task: task.number)
    waiting = [task for task in ordered if not (task.closed or Path(task.target).exists())]
    for task in ordered:
        if task not in waiting:
            yield task, paint(colorizer, task, None, config)
    if not waiting:
        return
    places = {task.number: task for task in waiting}
    first, last = waiting[0].number, waiting[-1].number
    records = tf.data.TFRecordDataset(waiting[0].shard).skip(first).take(last - first + 1)
    for number, record in enumerate(records.as_numpy_iterator(), first):
        if number in places and not waits(places[number]):
            yield places[number], paint(colorizer, places[number], record, config)


def _line(task: Task, **facts: object) -> str:
    return json.dumps({"file": task.source, **facts})


def _matroska(task: Task) -> list[Path]:
    """Returns the other name that a film may have got."""
    if not _is_film(task):
        return []
    return [output_paths.matroska_name(Path(task.source), Path(task.target))]


def _is_film(task: Task) -> bool:
    return not task.shard and output_paths.is_film(Path(task.source))


def _film(
    colorizer: Colorizer,
    task: Task,
    _: bytes | None,
    config: CollectionConfig | None,
    staged: bool = False,
) -> dict[str, object]:
    choice = "recolor" if config is None else config.color_inputs
    source, target = Path(task.source), Path(task.target)
    film = batch.colorize_video_to_file(
        colorizer, source, target, color_inputs=choice, overwrite=staged
    )
    if film.output is None:
        raise _LeftOut(IN_COLOR)
    facts: dict[str, object] = {"output": film.output, "frames": film.frames}
    return facts | ({"notes": list(film.notes)} if film.notes else {})


def _picture(
    colorizer: Colorizer, task: Task, record: bytes | None, config: CollectionConfig | None
) -> dict[str, object]:
    target = Path(task.target)
    fit = config is not None and config.format != "keep"
    skip = config is not None and config.color_inputs == "skip"
    most = config.max_pixels if config else None
    if record is None and (several := pages.inspect(Path(task.source), most)):
        keep = color_detection.in_color if skip else None
        done = batch.colorize_pages_to_files(colorizer, several, target, [target], fit, keep)
        if not done.colored:
            raise _LeftOut(IN_COLOR)
        return done.facts()
    if record is None:
        picture = image_io.read(task.source, most)
    else:
        picture = _decoded(task, record, most)
    if skip and color_detection.in_color(picture):
        raise _LeftOut(IN_COLOR)
    notes = batch.colorize_to_files(colorizer, picture, target, [target], fit)
    height, width = picture.pixels.shape[:2]
    facts: dict[str, object] = {"width": width, "height": height}
    if picture.others:
        facts["not_colored"], notes = picture.others, [*notes, others_left_out(picture.others)]
    return facts | ({"notes": notes} if notes else {})


def _decoded(task: Task, record: bytes, max_pixels: int | None) -> image_io.Picture:
    try:
        return image_io.decode(_contents(record)[0], max_pixels)
    except ValueError as error:
        raise ValueError(f"{task.name} {error}") from error
