"""Reads inputs from object stores by their URLs, with fsspec and the driver of each store."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from residual_encoder.apps.archive.tasks import Task
from residual_encoder.inference import file_discovery


def is_remote(source: str) -> bool:
    """Returns whether an input is a URL, such as s3://BUCKET/FOLDER."""
    return "://" in source


def walk(url: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Yields URL, path below the folder of the pictures and films in it, folder by folder.

    Hidden names are left out; what is read is decided by the suffix.

    Args:
      url: Of a folder, or of a file.

    Raises:
      FileNotFoundError: there is none.
      ValueError: the driver of the store is not installed.
    """
    system, root = _opened(url)
    if not system.exists(root):
        raise FileNotFoundError(f"There is no {url}; wanted a folder or a file in an object store.")
    if system.isfile(root):
        yield url, PurePosixPath(PurePosixPath(root).name)
        return
    for folder, folders, names in system.walk(root):
        for hidden in [name for name in folders if name.startswith(".")]:
            folders.remove(hidden) if isinstance(folders, list) else folders.pop(hidden)
        for name in sorted(names):
            path = PurePosixPath(folder) / name
            if not name.startswith(".") and path.suffix.lower() in file_discovery.READABLE:
                yield system.unstrip_protocol(str(path)), path.relative_to(root)


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs

        system, root = url_to_fs(url)
    except ImportError as error:
        raise ValueError(f"{url} cannot be read here: {error}") from error
    return system, root.rstrip("/")


@contextlib.contextmanager
def fetched(task: Task) -> Iterator[Task]:
    """Yields a task whose source is a file on this machine, which is gone in the end."""
    if not is_remote(task.source):
        yield task
        return
    system, path = _opened(task.source)
    with tempfile.TemporaryDirectory() as folder:
        here = str(Path(folder) / PurePosixPath(path).name)
        try:
            system.get_file(path, here)
            yield replace(task, source=here)
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(here, task.source)) from error
