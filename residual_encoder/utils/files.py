"""Writes files whole or not at all, hashes their contents, and lists those below a folder."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
from collections.abc import Callable, Iterator, Set
from pathlib import Path

# Errors of a disk that is full, read-only or broken.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LONGEST_NAME = 255  # bytes; of nearly all file systems
_LONGEST_SUFFIX = 32  # bytes; what is longer is no suffix that a writer looks at
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # proc(5): another one at each start of a kernel
# Names by `replacing`, of any machine; those of earlier versions had a process number alone.
_TEMPORARY = re.compile(r"\..*\.(?:([0-9a-f]{8})-[0-9a-f]{16}|\d+)\.tmp(\.[^.]*)?")
_ABANDONED = 86_400  # seconds after which nobody writes a file anymore that has not changed


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
    """Waits until a file is on the disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows refuses to flush what is open for reading only
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Waits until a folder's names are on the disk, where the system can: Windows cannot."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _DISK:
            raise
    finally:
        os.close(descriptor)


# --- names ----------------------------------------------------------------------------------------


def longest_name(folder: Path) -> int:
    """Returns how many bytes a name in a folder may have; the folder need not exist yet."""
    for place in (folder, *folder.parents):
        try:
            return os.pathconf(place, "PC_NAME_MAX")
        except FileNotFoundError:
            continue
        except (AttributeError, OSError, ValueError):  # Windows has no such function
            break
    return _LONGEST_NAME


def fitting_name(stem: str, ending: str, longest: int = _LONGEST_NAME) -> str:
    """Joins a stem and an ending; a stem that is too long for the file system is cut.

    A cut stem ends in a hash of the whole, so that different names stay different.

    Args:
      stem: Beginning of the name.
      ending: Its end, which is kept.
      longest: Bytes that the name may have.
    """
    if len(os.fsencode(stem + ending)) <= longest:
        return stem + ending
    mark = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"
    room = longest - len(os.fsencode(mark + ending))
    cut = os.fsencode(stem)[: max(room, 0)]
    while not stem.startswith(os.fsdecode(cut)):  # inside a character
        cut = cut[:-1]
    return os.fsdecode(cut) + mark + ending


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], folder: Path | None = None) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`; on a clean exit it becomes `path` at once.

    Readers see the old file or the new one, never a part of it. After an error the temporary file
    is gone and an earlier `path` is as it was. The suffix is kept, so that writers which look at it
    work on the temporary name.

    Args:
      path: The file to write.
      folder: Another one of the same disk for the temporary file.

    Raises:
      OSError: the folder cannot be written, or the disk is full.
    """
    target = Path(path)
    if not target.parent.is_dir():  # else the error would name the temporary file
        reason = errno.ENOTDIR if target.parent.exists() else errno.ENOENT
        raise OSError(reason, "There is no such folder to write into", str(target.parent))
    temporary = _temporary(folder / target.name if folder else target)
    try:
        with writing(target):
            yield temporary
            _sync(temporary)
            os.replace(temporary, target)
            _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def version(path: Path) -> tuple[int, ...] | None:
    """Returns what changes when a file is replaced or written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@functools.cache
def _machine() -> str:
    """Returns 8 digits of the running kernel: containers share them, machines do not."""
    try:
        known = _BOOT.read_text(encoding="ascii")
    except OSError:  # no Linux
        known = platform.node()
    return hashlib.sha256(known.encode()).hexdigest()[:8]


def _temporary(target: Path) -> Path:
    """Returns a new hidden name next to a file, which `sweep` knows.

    A process number would not do: machines and containers that share a folder have the same ones.
    """
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    ending = f".{_machine()}-{secrets.token_hex(8)}.tmp{suffix}"
    return target.with_name(
        fitting_name(f".{target.name.removesuffix(suffix)}", ending, longest_name(target.parent))
    )


def sweep(folder: Path) -> None:
    """Deletes files that `replacing` left in a folder when its process was killed.

    Those of other machines, on which a lock may not hold, only after a day without a change.

    Args:
      folder: One in which no other process of this machine writes.
    """
    for path in folder.glob(".*.tmp*"):
        fits = _TEMPORARY.fullmatch(path.name)
        if fits and (fits[1] == _machine() or _is_abandoned(path)):
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    """Returns whether a file has not changed for a day, by the clock of its disk."""
    probe = _temporary(path.with_name("clock"))
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime > _ABANDONED
    except FileNotFoundError:  # it is whole by now, or gone
        return False
    finally:
        probe.unlink(missing_ok=True)


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


def check_can_be_made(path: str | os.PathLike[str]) -> None:
    """Checks that a file or folder can be made, with the folders above it, before work is done.

    Raises:
      FileExistsError: it exists.
      OSError: something above it is no folder, or a folder that cannot be written.
    """
    check_free(path)
    place = next(folder for folder in Path(path).absolute().parents if folder.exists())
    if not place.is_dir():
        raise NotADirectoryError(f"Cannot write {path}: {place} is no folder; choose another.")
    if not os.access(place, os.W_OK):
        raise PermissionError(f"Cannot write {path}: {place} cannot be written; choose another.")


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
    suffixes: Set[str] | None = None,
    *,
    leave_out: Path | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[Path]:
    """Lists the files below a folder, in a fixed order: folder by folder, each sorted by name.

    Args:
      folder: Where to look; hidden files and folders and links to folders are left out.
      suffixes: Endings of the files that are wanted, in lower case and with the dot; None lists
        all files.
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
            wanted = suffixes is None or Path(name).suffix.lower() in suffixes
            if wanted and not name.startswith("."):
                yield here / name
