"""Whole files or none: atomic writes and content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name beside `path`; on a clean exit it becomes `path` at once.

    Readers see the old file or the new one, never a part of it. After an error the temporary file
    is gone and an earlier `path` is as it was. The suffix is kept, so that writers which look at it
    work on the temporary name.

    Raises:
      OSError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_free(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Refuses a path that something lies at, unless it may be replaced.

    Raises:
      FileExistsError: it exists and `overwrite` is false.
    """
    if not overwrite and Path(path).exists():
        raise FileExistsError(f"{path} exists; pass --overwrite or choose another output.")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
