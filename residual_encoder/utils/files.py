"""Writes files whole or not at all, hashes their contents, and lists those below a folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Set
from pathlib import Path

# Errors of a disk that is full, read-only or broken.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Makes an error that names the file of a disk that is full, read-only or broken.

    Raises:
      OSError: with the disk's own `errno`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        named = OSError(  # HDF5's own is a paragraph
            f"Cannot write {path}: {os.strerror(error.errno or 0)}. What was there before is as it "
            "was; make room or choose another place, and run it again."
        )
        named.errno = error.errno
        raise named from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`; on a clean exit it becomes `path` at once.

    Readers see the old file or the new one, never a part of it. After an error the temporary file
    is gone and an earlier `path` is as it was. The suffix is kept, so that writers which look at it
    work on the temporary name.

    Raises:
      OSError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        with writing(target):
            yield temporary
            _sync(temporary)
            os.replace(temporary, target)
            _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Deletes files that `replacing` left in a folder when its process was killed.

    Only for folders in which no other process writes.
    """
    for path in folder.glob(".*.tmp*"):
        if re.fullmatch(r"\..*\.\d+\.tmp(\.[^.]*)?", path.name):
            path.unlink(missing_ok=True)


def check_free(path: str | os.PathLike[str], overwrite: bool | None = None) -> None:
    """Refuses a path that exists, unless it may be replaced.

    Args:
      path: File or folder that is going to be written.
      overwrite: Value of the flag --overwrite; None where the command has no such flag.

    Raises:
      FileExistsError: it exists and `overwrite` is false or None.
    """
    if not overwrite and Path(path).exists():
        advice = "remove it" if overwrite is None else "pass --overwrite"
        raise FileExistsError(f"{path} exists; {advice} or choose another output.")


def make_folder(folder: Path) -> None:
    """Makes an output folder, and those above it, unless it is there.

    Raises:
      OSError: it cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"Cannot make the output folder {folder}: {error.strerror}.") from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"Cannot write into the output folder {folder}; choose another.")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(
    folder: Path,
    suffixes: Set[str] | None,
    *,
    leave_out: Path | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Lists the files below a folder, in a fixed order: folder by folder, each sorted by name.

    Args:
      folder: Where to look; hidden files and folders and links to folders are left out.
      suffixes: Endings of the files that are wanted, in lower case and with the dot; None for all.
      leave_out: A folder that is not looked into, such as one for the output.
      on_error: Called for each folder that cannot be read; None skips it.

    Yields:
      Paths that begin with `folder`; a name may belong to something else than a file, say a pipe.
    """
    closed = leave_out and leave_out.resolve()
    for parent, children, names in os.walk(folder, onerror=on_error):
        here = Path(parent)
        children[:] = sorted(
            child
            for child in children
            if not child.startswith(".") and (closed is None or (here / child).resolve() != closed)
        )
        for name in sorted(names):
            if name.startswith("."):
                continue
            if suffixes is None or Path(name).suffix.lower() in suffixes:
                yield here / name
