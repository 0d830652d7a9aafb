"""Settings of the server that are refused before the page opens, and commands that it tells."""

from __future__ import annotations

import shlex
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from residual_encoder.apps.web import archive
from residual_encoder.apps.web import server as server_module
from residual_encoder.apps.web.archive import Look


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70_000}, "port must be"),
        ({"max_megabytes": 0}, "max_megabytes must be 1 or more"),
        ({"max_film_megabytes": 0}, "max_film_megabytes must be 1 or more"),
    ],
)
def test_wrong_options(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        server_module.PageConfig(**options)


def test_without_the_packages_of_the_page(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(OSError, match=r"pip install .\.\[web\]"):
        server_module.serve(server_module.PageConfig(model=str(tmp_path)))


def test_ports(monkeypatch) -> None:
    with socket.create_server((server_module.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port}: Address already in use"):
            server_module._listen(server_module.HOST, port)
        monkeypatch.setattr(server_module, "FIRST_PORT", port)
        with server_module._listen(server_module.HOST, None) as found:
            assert port < found.getsockname()[1] < port + server_module.PORTS


@pytest.mark.parametrize("name", ["-a.jpg", "--model=a.jpg", "it's a.jpg"])
def test_commands_name_their_picture(name) -> None:
    """A name that begins like a flag is none."""
    _, source, *flags = shlex.split(archive.command(name, Look(1.5), ""))
    assert not source.startswith("-") and Path(source).name == name
    assert flags == ["--saturation=1.5"]


def test_names_in_a_zip_differ_on_every_disk() -> None:
    """On Windows and macOS A.jpg is a.jpg, and macOS takes both spellings of an accent for one."""
    taken: set[str] = set()
    made = [
        archive.Made(Path(f"{stem}_colored.jpg"), f"{stem}.jpg", Look(1.0))
        for stem in ("A", "a", "caf\u00e9", "cafe\u0301", "b")
    ]
    names = [name for one in made for name in archive._free(one, taken)]
    assert names[:4] == [
        *("A_colored.jpg", "A.hints.json"),
        *("a_colored (2).jpg", "a (2).hints.json"),
    ]
    assert len({unicodedata.normalize("NFC", name).lower() for name in names}) == 10
    assert names[8:] == ["b_colored.jpg", "b.hints.json"]
    archive._free(archive.Made(Path("COMMANDS.txt"), "", Look(1.0)), taken)
    assert archive._numbered("commands.txt", taken) == "commands (2).txt"
