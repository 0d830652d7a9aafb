"""Limits of the page against hostile visitors: only pictures, and only within its limits."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.apps.web import limits
from residual_encoder.apps.web import server as server_module
from residual_encoder.imaging import image_io

pytest.importorskip("starlette", reason="Starlette is not installed")

AT_ONCE = 32
GROWTH = 48  # MiB over rounds of `AT_ONCE`, a preview is kept a tab, and all tabs are few


class Server(NamedTuple):
    address: str
    pid: int
    folder: Path


@pytest.fixture(scope="module")
def server(soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limits")
    command = ["tools/demo.py", f"--model={soft_weights}", "--port=0", "--max_megabytes=1"]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, *command, "--max_film_megabytes=1"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().split()[1].rstrip("/").removeprefix("http://")
            yield Server(address, process.pid, folder)
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def picture() -> bytes:
    y, x = np.mgrid[:120, :160]
    return image_io.encode(np.rint(128 + 60 * np.sin(x / 9 + y / 7)).astype(np.uint8), ".jpg")


def ask(
    server: Server, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Sends one request. -> status and body of the answer."""
    line = http.client.HTTPConnection(server.address, timeout=120)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    line.request(method, path, data, headers or {})
    answer = line.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        line.close()


def upload(server: Server, data: bytes, name: str = "a.jpg", kind: str = "pictures") -> Any:
    status, body = ask(server, "POST", f"/api/{kind}?name={quote(name)}", data)
    return status, json.loads(body)


@pytest.mark.slow
def test_it_listens_at_this_computer_alone(server: Server) -> None:
    assert server_module.PageConfig().host == "127.0.0.1"
    port = int(server.address.rpartition(":")[2])
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for host in own - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((host, port), timeout=2).close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/static/../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2fserver.py",
        "/static/",
        "/samples/../visitors",
        "/samples/%2e%2e%2fvisitors",
        "/samples/etc",
        "/files/../../../../etc/passwd",
        "/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/files/",
        "/api/pictures/../../etc/passwd/gray",
        "/api/pictures/none/gray",
        "/api/films/none",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_leads_to_files_or_folders(path: str, server: Server) -> None:
    host = server.address
    with socket.create_connection(host.split(":")) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    status = int(answer.split()[1])
    assert b"root:" not in answer and b"import" not in answer
    assert b"Index of" not in answer
    assert 400 <= status < 500, (status, answer[:300])


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_other_sites_are_refused(headers: dict[str, str], server: Server, picture: bytes) -> None:
    assert ask(server, "POST", "/api/pictures?name=a.jpg", picture, headers)[0] == 403
    assert ask(server, "GET", "/api/about", None, headers)[0] == 403


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(server: Server) -> None:
    line = http.client.HTTPConnection(server.address, timeout=60)
    line.request("GET", "/")
    answer = line.getresponse()
    policy = answer.headers["Content-Security-Policy"]
    assert (
        "media-src 'self';" in policy
        and "default-src 'none'" in policy
        and "http" not in policy
        and "unsafe" not in policy
    )
    assert b"http://" not in answer.read().replace(b"http://www.w3.org", b"")


@pytest.mark.slow
def test_too_long_a_file_is_refused(server: Server) -> None:
    for kind in ("pictures", "films"):
        assert upload(server, bytes(2**20 + 1), kind=kind)[0] == 413
        line = http.client.HTTPConnection(server.address, timeout=60)
        chunks = (bytes(2**16) for _ in range(40))
        line.request("POST", f"/api/{kind}?name=a.jpg", chunks, encode_chunked=True)
        assert line.getresponse().status == 413  # also without a declared length
    assert ask(server, "POST", "/api/zip", bytes(2**20 + 1))[0] == 413
    assert not list(server.folder.rglob("a.jpg"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/traversed.jpg", "/tmp/traversed.jpg", "a\0b.jpg", "..", "", "C:\\x\\t.jpg"],
)
def test_a_name_cannot_choose_its_folder(name: str, server: Server, picture: bytes) -> None:
    status, answer = upload(server, picture, name)
    assert status == 200 and "/" not in answer["name"] and ".." not in answer["name"]
    assert not Path("/tmp/traversed.jpg").exists()
    assert ask(server, "DELETE", f"/api/pictures/{answer['id']}")[0] == 204
    assert ask(server, "GET", f"/api/pictures/{answer['id']}/gray")[0] == 410


GRAY = {"x": 9, "y": 0, "gray": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"no json", 400, "JSON object"),
        (b"[" * 10_000, 400, "JSON object"),
        ({"saturation": "much"}, 422, "saturation must be a number"),
        ({"saturation": -1}, 422, "saturation must be 0 or more"),
        ({"saturation": -1, "hints": [GRAY]}, 422, "saturation must be 0 or more"),
        ({"saturation": float("nan"), "hints": [GRAY]}, 422, "saturation must be 0 or more"),
        ({"hints": 7}, 422, "hints are a list"),
        ({"hints": [{"x": 999, "y": 0, "gray": True}]}, 422, "outside the picture"),
        ({"hints": [{"x": 9, "y": 0, "gray": True}] * 1001}, 422, "at most 1000"),
    ],
)
def test_wrong_requests(body: Any, status: int, words: str, server: Server, picture) -> None:
    key = upload(server, picture)[1]["id"]
    for what in ("color", "file"):
        got, answer = ask(server, "POST", f"/api/pictures/{key}/{what}", body)
        assert got == status and words in json.loads(answer)["error"]
    wrong = [{"files": 7}, {"files": []}, {"files": ["a"] * 201}]
    assert {ask(server, "POST", "/api/zip", one)[0] for one in wrong} == {422}
    assert ask(server, "POST", "/api/zip", {"files": ["no such file"]})[0] == 410


def visit(server: Server, picture: bytes) -> str:
    """What one tab does, from upload to a hint: "colored" or "refused"."""
    status, answer = upload(server, picture)
    if status == 503:
        return "refused"
    if status != 200:
        return f"{status} {answer}"
    hint = {"hints": [{"x": 60, "y": 50, "rgb": [200, 30, 40]}]}
    status, data = ask(server, "POST", f"/api/pictures/{answer['id']}/color", hint)
    if status == 503:
        return "refused"
    return "colored" if status == 200 and data[:2] == b"\xff\xd8" else f"{status} {data[:99]!r}"


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_32_at_once_are_served_or_refused_and_memory_stays(server: Server, picture: bytes) -> None:
    seen, ends = [], []
    for _ in range(4):
        with ThreadPoolExecutor(AT_ONCE) as crowd:
            jobs = [crowd.submit(visit, server, picture) for _ in range(AT_ONCE)]
            ends += [job.result() for job in jobs]
        seen.append(round(resident(server.pid), 1))
    counts = {end: ends.count(end) for end in set(ends)}
    print(f"page: {counts}, MiB after each {AT_ONCE}: {seen}")
    assert set(counts) <= {"colored", "refused"} and counts["colored"] >= 4 * limits.WAITING // 2
    assert seen[-1] - seen[0] < GROWTH
    assert visit(server, picture) == "colored"  # and it still serves


@pytest.mark.slow
def test_abandoned_requests_make_nobody_wait(server: Server, picture: bytes) -> None:
    key = upload(server, picture)[1]["id"]
    body = json.dumps({"faces": True}).encode()
    head = f"POST /api/pictures/{key}/color HTTP/1.1\r\nHost: {server.address}\r\n"
    for _ in range(3 * limits.WAITING):
        with socket.create_connection(server.address.split(":")) as line:
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    until = time.monotonic() + 1  # the server first has to see that they have gone
    while (end := visit(server, picture)) == "refused" and time.monotonic() < until:
        time.sleep(0.02)
    assert end == "colored"
