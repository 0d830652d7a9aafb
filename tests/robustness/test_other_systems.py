"""Systems that lack what Unix has: fcntl, folders that can be flushed, long names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from residual_encoder.training.workdir import LOCK, Workdir
from residual_encoder.utils import files

# A package of the project that needs one of these fails to import on Windows.
UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog")


def test_nothing_here_imports_what_only_unix_has() -> None:
    for path in (ROOT / "residual_encoder").rglob("*.py"):
        words = {line.strip() for line in path.read_text().splitlines()}
        assert not words & {f"import {name}" for name in UNIX_ONLY}, path


def test_modules_that_write_are_imported_without_fcntl() -> None:
    code = "import sys; sys.modules['fcntl'] = None\nimport residual_encoder.utils.files"
    code += "\nimport residual_encoder.inference.batch_plan, residual_encoder.training.workdir"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EISDIR])
def test_folders_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Windows refuses to open a folder."""
    original = os.open

    def refusing(path: Path, *rest: int) -> int:
        if os.path.isdir(path):
            raise OSError(number, os.strerror(number))
        return original(path, *rest)

    monkeypatch.setattr(os, "open", refusing)
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_folders_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some network file systems open a folder and refuse to flush it; a full disk still counts."""
    original = os.fsync

    def refusing(descriptor: int, error: int = number) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(error, os.strerror(error))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    monkeypatch.setattr(os, "fsync", lambda descriptor: refusing(descriptor, errno.EIO))
    with pytest.raises(OSError, match=f"Cannot write .*{os.strerror(errno.EIO)}"):
        files.write_text(tmp_path / "a.txt", "newer")


def test_systems_that_tell_no_longest_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pathconf")
    name = "a" * 251 + ".txt"
    files.write_text(tmp_path / name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_short_names_of_a_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted folders take 143 bytes; the temporary name has no more."""
    monkeypatch.setattr(os, "pathconf", lambda *_: 143)
    with files.replacing(tmp_path / ("a" * 139 + ".txt")) as temporary:
        assert len(temporary.name) == 143 and temporary.suffix == ".txt"
        temporary.write_text("new")


def test_what_is_left_of_long_names_is_swept(tmp_path: Path) -> None:
    with files.replacing(tmp_path / ("a" * 251 + ".txt")) as temporary:
        temporary.write_text("half")
        files.sweep(tmp_path)
        assert not temporary.exists()
        temporary.write_text("whole")


def test_a_lock_that_nobody_else_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows lets no other process read a locked byte: the holder's name is unknown then."""
    import filelock

    workdir = Workdir(tmp_path)
    (tmp_path / LOCK).write_bytes(b"")
    monkeypatch.setattr(filelock, "lock_descriptor", lambda *_, **__: False)
    with pytest.raises(OSError, match=r"is in use by another run \(unknown\)"), workdir.locked():
        pass
