"""Files that are written whole or not at all, in folders that several machines share."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from residual_encoder.utils import files

KILLED = """
import os, sys
from residual_encoder.utils import files
with files.replacing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""
ELSEWHERE = ".step-4.01234567-0123456789abcdef.tmp.h5"
EARLIER = ".step-4.345.tmp.h5"  # of a version whose names tell no machine


def test_two_writers_of_one_process_number(tmp_path: Path) -> None:
    """As two containers on one folder, which count their processes from 1 each."""
    path = tmp_path / "result.txt"
    with contextlib.ExitStack() as first, files.replacing(path) as second:
        one = first.enter_context(files.replacing(path))
        one.write_text("one")
        second.write_text("two")
        first.close()
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A half-written file of a process that was killed on this machine."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "step-4.h5")]
    assert subprocess.run(command, check=False).returncode == 9
    (path,) = tmp_path.iterdir()
    return path


def test_what_a_killed_process_of_this_machine_left_goes_at_once(left: Path) -> None:
    files.sweep(left.parent)
    assert not left.exists()


@pytest.mark.parametrize("name", [ELSEWHERE, EARLIER])
def test_what_another_machine_may_be_writing_stays_for_a_day(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("half")
    now = time.time()
    for age, stays in ((0, True), (80_000, True), (90_000, False)):
        os.utime(path, (now, now - age))
        files.sweep(tmp_path)
        assert path.exists() == stays
    assert not list(tmp_path.iterdir())


def test_age_is_told_by_the_clock_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine whose own clock is years ahead takes no live file for an old one."""
    (tmp_path / ELSEWHERE).write_text("half")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ELSEWHERE]


def test_systems_that_tell_no_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """macOS and Windows have no boot_id: the machine's name takes its place."""
    monkeypatch.setattr(files, "_BOOT", tmp_path / "none")
    here = files._machine.__wrapped__()
    assert here == files._machine.__wrapped__() and len(here) == 8
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    assert files._machine.__wrapped__() != here
