"""Limits of the page without a server: the disk, the memory, names, and whose requests count."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from residual_encoder.apps.web import limits, store
from residual_encoder.apps.web import server as server_module

pytest.importorskip("starlette", reason="Starlette is not installed")

from residual_encoder.apps.web import answers, routes  # noqa: E402

LOCAL_HOST = "host", "127.0.0.1:7860"


def test_files_are_kept_for_an_hour_after_their_last_use(tmp_path: Path) -> None:
    now = [0.0]
    kept = store.Store(tmp_path, lambda: now[0])
    old, used, film = (kept.add(name) for name in ("old.jpg", "used.jpg", "film.mp4"))
    for entry in (old, used, film):
        entry.path.write_bytes(b"1")
    film.facts["state"] = "working"
    token = kept.add_result(used, used.path)
    now[0] = limits.KEPT - 1
    assert kept.result(token) == used.path
    now[0] = limits.KEPT + 1
    kept.sweep()
    assert not old.path.exists() and used.path.exists() and film.path.exists()
    with pytest.raises(FileNotFoundError, match="kept for 60 minutes and is gone"):
        kept.get(old.id)
    with pytest.raises(FileNotFoundError, match="make it again"):
        kept.result("guess")


def test_room_is_counted_while_a_film_writes_and_deletes(tmp_path: Path) -> None:
    """A file that was gone when its size was asked for failed other visitors' uploads."""
    kept, done = store.Store(tmp_path), threading.Event()
    kept.add("a.jpg").path.write_bytes(bytes(1000))

    def film() -> None:
        while not done.is_set():
            parts = tmp_path / "parts"
            parts.mkdir()
            for number in range(20):
                (parts / f"{number}.nut").write_bytes(b"")
            shutil.rmtree(parts)

    worker = threading.Thread(target=film)
    worker.start()
    try:
        assert {kept.used() for _ in range(5000)} == {1000}
    finally:
        done.set()
        worker.join()


@pytest.mark.parametrize("value", ["much", [], {}, 10**400], ids=["text", "list", "object", "huge"])
def test_what_is_no_number_is_a_message(value: Any) -> None:
    with pytest.raises(ValueError, match="x must be a number. Received"):
        routes._number({"x": value}, "x", 0.0)


def test_disk_previews_and_entries_are_bounded(tmp_path: Path, monkeypatch) -> None:
    kept = store.Store(tmp_path, megabytes=1)
    first = kept.add("a.jpg")
    first.path.write_bytes(bytes(2**20))
    with pytest.raises(limits.Full, match="space for visitors"):
        kept.add("b.jpg")
    kept.remove(first.id)
    monkeypatch.setattr(store, "ENTRIES", 3)
    entries = [kept.add("c.jpg") for _ in range(3)]
    with pytest.raises(limits.Full):
        kept.add("d.jpg")
    monkeypatch.setattr(store, "PREVIEWS", 2)
    for entry in entries:
        kept.preview(entry, lambda: "made")
    assert list(kept._previews) == [entry.id for entry in entries[1:]]


def test_files_that_are_made_of_one_picture_are_bounded(tmp_path: Path) -> None:
    """Whoever downloads a picture after each change must not fill the disk."""
    kept = store.Store(tmp_path)
    entry, tokens = kept.add("a.jpg"), []
    for number in range(3 * limits.RESULTS):
        path = entry.path.parent / str(number) / "a_colored.jpg"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        tokens.append(kept.add_result(entry, path))
        entry.facts[tokens[-1]] = number
    assert kept.used() == 100 * limits.RESULTS == 100 * len(list(entry.path.parent.iterdir()))
    assert kept.result(tokens[-limits.RESULTS]).exists()
    with pytest.raises(FileNotFoundError, match="make it again"):
        kept.result(tokens[-limits.RESULTS - 1])
    assert list(entry.facts.values()) == list(range(3 * limits.RESULTS))[-limits.RESULTS :]


def answer_of(
    site: Any, path: str, chunks: Iterable[bytes], *headers: tuple[str, str], method: str = "POST"
) -> Any:
    """Sends a request in parts to the page without a server. -> status, headers and body."""
    coming = ({"type": "http.request", "body": one, "more_body": True} for one in chunks)
    last = {"type": "http.request", "body": b"", "more_body": False}
    messages = itertools.chain(coming, [last])
    sent: list[Any] = []

    async def receive() -> Any:
        message = next(messages, None)
        return await asyncio.Event().wait() if message is None else message

    async def send(message: Any) -> None:
        sent.append(message)

    place, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": place,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    asyncio.run(routes.application(site, server_module.LOCAL)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.fixture
def small_site(tmp_path: Path) -> Any:
    """A page that has room for a megabyte, and no network."""
    model: Any = SimpleNamespace(recipe=SimpleNamespace(network=None), has_distribution=False)
    return routes.Site(model, store.Store(tmp_path, megabytes=1), {}, 10, 10)


def test_the_room_is_looked_at_while_a_file_comes_in(small_site, monkeypatch) -> None:
    """Many uploads may begin while there is room for one."""
    monkeypatch.setattr(limits, "LOOK", 2**16)
    chunks = [bytes(2**14)] * 80
    status, _, body = answer_of(small_site, "/api/pictures?name=a.jpg", chunks, LOCAL_HOST)
    assert status == 507 and b"space for visitors" in body
    assert not list(small_site.store.folder.iterdir())


@pytest.mark.parametrize(("name", "value"), [("host", "[::1"), ("origin", "http://[::1")])
def test_an_address_that_is_none_is_refused(name: str, value: str, small_site) -> None:
    headers = dict([LOCAL_HOST]) | {name: value}
    assert answer_of(small_site, "/api/pictures", [], *headers.items())[0] == 403


@pytest.mark.parametrize("saturation", ["nan", "-1", "much"])
def test_a_wrong_saturation_of_a_film_is_refused_before_it_is_kept(saturation, small_site) -> None:
    path = f"/api/films?name=a.mp4&saturation={saturation}"
    status, _, body = answer_of(small_site, path, [b"film"], LOCAL_HOST)
    assert status == 422 and b"saturation must be" in body
    assert not list(small_site.store.folder.iterdir())


def crowded(site: Any) -> None:
    """Fills the line of films."""
    site.films.line._inside = limits.FILMS_WAITING + 1


def test_a_film_is_refused_before_it_is_sent_where_many_wait(small_site) -> None:
    """By the head of its request, none of whose body is read; and to whoever asks first."""
    crowded(small_site)
    chunks = iter([b"film"] * 9)
    status, _, body = answer_of(small_site, "/api/films?name=a.mp4", chunks, LOCAL_HOST)
    assert status == 503 and b"Many films are being colored" in body and len([*chunks]) == 9
    status, _, body = answer_of(small_site, "/api/films", [], LOCAL_HOST, method="GET")
    assert status == 503 and b"Many films are being colored" in body
    assert not list(small_site.store.folder.iterdir())


def test_there_is_room_for_a_film_until_the_space_is_used_up(small_site) -> None:
    assert answer_of(small_site, "/api/films", [], LOCAL_HOST, method="GET")[0] == 200
    small_site.store.add("a.jpg").path.write_bytes(bytes(2**20))
    status, _, body = answer_of(small_site, "/api/films", [], LOCAL_HOST, method="GET")
    assert status == 507 and b"space for visitors" in body


def test_a_film_that_finds_no_room_when_it_has_come_is_refused_and_deleted(small_site) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"film"
        crowded(small_site)  # others come meanwhile
        yield b"film"

    status, _, body = answer_of(small_site, "/api/films?name=a.mp4", chunks(), LOCAL_HOST)
    assert status == 503 and b"Many films are being colored" in body
    assert not list(small_site.store.folder.iterdir())


def test_a_vividness_is_refused_where_the_model_has_none(small_site) -> None:
    """A file of hints may have one, which would be seen in no preview and end the download."""
    with pytest.raises(ValueError, match="The model of this page has no vividness"):
        small_site._look({"vividness": 0.5})
    assert small_site._look({"vividness": None}).vividness is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b/c.jpg", "c.jpg"),
        ("..\\..\\c.jpg", "c.jpg"),
        ("..", "picture"),
        (".hidden.png", "hidden.png"),
        ("a\0\n.png", "a.png"),
        ("", "picture"),
    ],
)
def test_safe_names(name: str, wanted: str) -> None:
    assert store.safe_name(name) == wanted
    assert len(os.fsencode(store.safe_name("ü" * 300 + ".jpg"))) <= 255


@pytest.mark.parametrize("error", [OSError, PermissionError, FileNotFoundError])
def test_errors_of_the_system_name_no_folder_of_the_server(error: type[OSError]) -> None:
    status, reason = answers.explained(error(28, "No space left on device", "/srv/page/a.jpg"))
    assert reason == "No space left on device (a.jpg)."
    assert status == (410 if error is FileNotFoundError else 422)
