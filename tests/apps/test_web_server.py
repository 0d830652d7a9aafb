"""Settings of the server that are refused before the page opens, and commands that it tells."""

from __future__ import annotations

import json
import re
import shlex
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from residual_encoder.apps.web import archive, routes
from residual_encoder.apps.web import server as server_module
from residual_encoder.apps.web.archive import Look, Served
from residual_encoder.inference.hints import Hint


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


def made_of(name: str, look: Look, in_color: bool = False) -> archive.Made:
    return archive.Made(Path(f"colored_{name}"), name, look, in_color)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("0.0.0.0", "localhost"), ("::", "localhost")],
)
def test_the_address_can_be_opened(host, wanted) -> None:
    assert server_module.address(host, 7860) == f"http://{wanted}:7860/"


def test_commands_have_the_flags_of_the_server() -> None:
    """A vividness that a visitor chose takes the place of the server's choice of colors."""
    config = server_module.PageConfig(
        model="runs/my own", temperature=0.9, prior_correction=0.1, engine="tensorflow"
    )
    served = server_module.served_with(config)
    model = [f"--model={Path('runs/my own').absolute()}", "--engine=tensorflow"]
    colors = ["--temperature=0.9", "--prior_correction=0.1"]
    assert archive.flags(made_of("a.jpg", Look(1.0)), served) == [*model, *colors]
    line = archive.command(made_of("a.jpg", Look(0.5, 0.85, faces=True), True), "", served)
    own = ["--color_inputs=recolor", "--vividness=0.85", "--saturation=0.5", "--faces"]
    assert shlex.split(line) == ["colorize", "a.jpg", *model, *own]
    open_to_all = server_module.PageConfig(model="runs/a", host="0.0.0.0", vividness=0.5)
    served = server_module.served_with(open_to_all)
    assert served == Served(["--model=runs/a"], (), 0.5)
    assert archive.flags(made_of("a.jpg", Look(1.0)), served)[1:] == ["--vividness=0.5"]
    assert server_module.served_with(server_module.PageConfig()) == Served([], [])


SHIPPED, VIVID = Served(), Served(vividness=0.5)
ANNEALED = Served(colors=["--temperature=0.9"])
HINT = Hint(9, 8, (40, 130, 50))
TOLD = {"x": 9, "y": 8, "rgb": [40, 130, 50]}


@pytest.mark.parametrize(
    ("look", "served", "wanted", "flags"),
    [
        (Look(1.0), SHIPPED, {}, []),
        (Look(1.3), SHIPPED, {"saturation": 1.3}, []),
        (Look(1.0, 0.0), SHIPPED, {"vividness": 0.0}, []),
        (Look(0.0, 0.7, faces=True), SHIPPED, dict(saturation=0, vividness=0.7, faces=True), []),
        (Look(1.0), VIVID, {"vividness": 0.5}, []),
        (Look(1.0, 0.7), VIVID, {"vividness": 0.7}, []),
        (Look(1.0), ANNEALED, {}, ["--temperature=0.9"]),
        (Look(1.0, 0.7), ANNEALED, {"vividness": 0.7}, []),
    ],
)
def test_a_file_of_hints_has_what_is_not_the_commands_own(look, served, wanted, flags) -> None:
    """What it has is no flag of the command, too."""
    look = look._replace(hints=[HINT])
    told = json.loads(archive.hints_text(look, served))
    assert told == ({**wanted, "hints": [TOLD]} if wanted else [TOLD])
    line = archive.command(made_of("a.jpg", look), "a.hints.json", served)
    assert shlex.split(line) == ["colorize", "a.jpg", "--hints=a.hints.json", *flags]


def test_a_number_of_a_command_is_the_number_itself() -> None:
    line = archive.command(made_of("a.jpg", Look(1.23456789, 1 / 3)), "", SHIPPED)
    values = [float(flag.partition("=")[2]) for flag in shlex.split(line)[2:]]
    assert values == [1 / 3, 1.23456789]
    config = server_module.PageConfig(temperature=1 / 3)
    assert server_module.served_with(config).colors == [f"--temperature={1 / 3}"]


@pytest.mark.parametrize("name", ["-a.jpg", "--model=a.jpg", "it's a.jpg"])
def test_commands_name_their_picture(name) -> None:
    """A name that begins like a flag is none."""
    _, source, *flags = shlex.split(archive.command(made_of(name, Look(1.5)), "", Served()))
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


def test_webkit_knows_what_cannot_be_selected() -> None:
    """Safari and its kin take this property by its prefixed name alone."""
    css = (routes.STATIC / "page.css").read_text()
    plain = re.findall(r"(?<!-)\buser-select: (\w+)", css)
    assert plain and plain == re.findall(r"-webkit-user-select: (\w+)", css)
