"""Dockerfile and compose file: the targets, extras, commands and flags that they name exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_targets_exist() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    assert set(re.findall(r"^      target: (\w+)$", COMPOSE, re.MULTILINE)) == {"page", "export"}
    assert {"page", "export"} <= targets


def test_what_is_copied_is_not_ignored() -> None:
    kept = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all(name in kept and (ROOT / name).exists() for name in line.split())


def test_extras_and_commands_exist() -> None:
    extras = re.findall(r"pip install \"\.\[(\w+)\]\"", DOCKERFILE)
    assert extras and set(extras) <= set(PROJECT["optional-dependencies"])
    entry = re.search(r"^ENTRYPOINT \[(.*)\]$", DOCKERFILE, re.MULTILINE)
    written = re.search(r"(residual-encoder-export .*)\"\]$", DOCKERFILE, re.MULTILINE)
    assert entry and written
    for command in (entry[1].replace(",", " "), written[1]):
        words = shlex.split(command)
        module = PROJECT["scripts"][words[0]].partition(":")[0].rpartition(".")[2]
        tool = ROOT / "tools" / f"{module.removesuffix('_cli')}.py"
        shown = subprocess.run([sys.executable, tool, "--help"], capture_output=True, text=True)
        for word in (word for word in words if word.startswith("--")):
            assert f"  {word.partition('=')[0]}:" in shown.stdout, word


def test_the_next_version_is_one_above_the_others(tmp_path: Path) -> None:
    """By the shell that the image has: versions are whole numbers, ten behind nine."""
    counted = re.search(r"--version=(\$\(\(.*\)\))\"\]$", DOCKERFILE, re.MULTILINE)
    assert counted
    line = f"echo {counted[1].replace('/models/colorizer', str(tmp_path / 'colorizer'))}"
    for version in range(1, 12):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(version)
        (tmp_path / "colorizer" / str(version)).mkdir(parents=True)
