"""Limits of the page against hostile visitors: only pictures, and only within its limits."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.apps.web import interface
from residual_encoder.apps.web import server as server_module
from residual_encoder.imaging import image_io

pytestmark = pytest.mark.slow
httpx = pytest.importorskip("httpx", reason="httpx comes with Gradio, which is not installed")
pytest.importorskip("gradio", reason="Gradio is not installed")

AT_ONCE = 32
GROWTH = 48  # MiB over rounds of `AT_ONCE`, a preview is kept a tab, and all tabs are few


class Server(NamedTuple):
    address: str
    pid: int


@pytest.fixture(scope="module")
def server(soft_weights: Path) -> Iterator[Server]:
    command = ["tools/demo.py", f"--model={soft_weights}", "--port=0", "--max_megabytes=1"]
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield Server(process.stdout.readline().split()[1].rstrip("/"), process.pid)
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def picture() -> bytes:
    y, x = np.mgrid[:120, :160]
    return image_io.encode(np.rint(128 + 60 * np.sin(x / 9 + y / 7)).astype(np.uint8), ".jpg")


def test_it_listens_at_this_computer_alone(server: Server) -> None:
    assert server_module.PageConfig().host == "127.0.0.1"
    port = int(server.address.rpartition(":")[2])
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for host in own - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((host, port), timeout=2).close()


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../../etc/passwd",
        "/gradio_api/file=%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/../../../../etc/passwd",
        "/static/../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        f"/gradio_api/file={ROOT}/README.md",
        f"/gradio_api/file={ROOT}",
        "/gradio_api/file=/tmp",
        "/gradio_api/file=",
        "/docs",
    ],
)
def test_no_path_leads_to_files_or_folders(path: str, server: Server) -> None:
    with socket.create_connection(server.address.removeprefix("http://").split(":")) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    status = int(answer.split()[1])
    assert b"root:" not in answer and b"Residual encoder: automatic" not in answer
    assert b"pyproject.toml" not in answer and b"Index of" not in answer
    assert 400 <= status < 500, (status, answer[:300])


def upload(server: Server, data: bytes, name: str = "a.jpg") -> Any:
    sent = {"files": (name, data, "image/jpeg")}
    return httpx.post(f"{server.address}/gradio_api/upload", files=sent, timeout=120)


def test_too_long_a_file_is_refused(server: Server) -> None:
    assert upload(server, bytes(2**20 + 1)).status_code == 413


@pytest.mark.parametrize(
    "name", ["../../../../tmp/traversed.jpg", "/tmp/traversed.jpg", "a\0b.jpg"]
)
def test_a_name_cannot_choose_its_folder(name: str, server: Server, picture: bytes) -> None:
    answer = upload(server, picture, name)
    if answer.status_code == 200:
        (path,) = answer.json()
        assert "residual-encoder-page-" in path and ".." not in path
    assert not Path("/tmp/traversed.jpg").exists()


def taker(server: Server) -> int:
    """The number of what an upload starts."""
    config = httpx.get(f"{server.address}/config", timeout=60).json()
    (found,) = [
        one["id"]
        for one in config["dependencies"]
        if len(one["inputs"]) == 2 and len(one["outputs"]) == 4
    ]
    return found


def visit(server: Server, number: int, picture: bytes) -> str:
    """What one tab does, from upload to answer: "colored" or "refused"."""
    (path,) = upload(server, picture).json()
    tab = secrets.token_hex(6)
    file = {"path": path, "orig_name": "a.jpg", "meta": {"_type": "gradio.FileData"}}
    call = {"data": [file, 1.0], "fn_index": number, "session_hash": tab, "event_data": None}
    joined = httpx.post(f"{server.address}/gradio_api/queue/join", json=call, timeout=120)
    if joined.status_code != 200:
        return "refused"
    address = f"{server.address}/gradio_api/queue/data?session_hash={tab}"
    with httpx.stream("GET", address, timeout=120) as answer:
        for line in answer.iter_lines():
            message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
            if message.get("msg") == "process_completed":
                return "colored" if message["success"] and "160 × 120" in str(message) else "failed"
    return "cut off"


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_32_at_once_are_served_or_refused_and_memory_stays(server: Server, picture: bytes) -> None:
    number, seen, ends = taker(server), [], []
    for _ in range(4):
        with ThreadPoolExecutor(AT_ONCE) as crowd:
            jobs = [crowd.submit(visit, server, number, picture) for _ in range(AT_ONCE)]
            ends += [job.result() for job in jobs]
        seen.append(round(resident(server.pid), 1))
    counts = {end: ends.count(end) for end in set(ends)}
    print(f"page: {counts}, MiB after each {AT_ONCE}: {seen}")
    assert set(counts) <= {"colored", "refused"} and counts["colored"] >= 4 * interface.WAITING // 2
    assert seen[-1] - seen[0] < GROWTH
    assert visit(server, number, picture) == "colored"  # and it still serves
