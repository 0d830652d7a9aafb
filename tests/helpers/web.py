"""The page in Chromium: pictures for it, its server, a visit, and what a visitor does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.apps.web import server as server_module
from residual_encoder.imaging import image_io

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
VIVID = 1.7  # a saturation


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Smooth pictures of several kinds, a broken one, and one that is too large."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:90, :140] / 140
    gray = 0.5 + 0.4 * np.sin(9 * x + 4 * y)
    u8, u16 = np.rint(gray * 255).astype(np.uint8), np.rint(gray * 65535).astype(np.uint16)
    alpha = np.rint(x * 255).astype(np.uint8)
    image_io.write(folder / "old photo.jpg", u8)
    image_io.write(folder / "deep.png", u16)
    image_io.write(folder / "clear.png", np.dstack([u8, u8, u8, alpha]))
    whole = (folder / "old photo.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.png").write_text("<img src=x onerror=alert(1)>")
    (folder / "huge.jpg").write_bytes(whole + bytes(1_100_000))
    return SimpleNamespace(
        folder=folder,
        jpeg=folder / "old photo.jpg",
        deep=folder / "deep.png",
        clear=folder / "clear.png",
        broken=folder / "broken.jpg",
        markup=folder / "notes.png",
        huge=folder / "huge.jpg",
        gray=u8,
        alpha=alpha,
    )


@pytest.fixture(scope="session")
def command_line(photos, soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what tools/colorize.py makes of the pictures."""
    output = tmp_path_factory.mktemp("output")
    options = [f"--output={output}", f"--model={soft_weights}", f"--saturation={VIVID}"]
    sources = [str(path) for path in (photos.jpeg, photos.deep, photos.clear)]
    command = [sys.executable, "tools/colorize.py", *sources, *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return output


@pytest.fixture(scope="session")
def address(soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tool as a user runs it; at the end it leaves no file, and has asked nobody anything."""
    pytest.importorskip("starlette", reason="Starlette is not installed")
    temporary = tmp_path_factory.mktemp("temporary")
    with socket.create_server((server_module.HOST, 0)) as proxy:
        at = "http://{}:{}".format(*proxy.getsockname())
        environment = os.environ | {"TMPDIR": str(temporary), "http_proxy": at, "https_proxy": at}
        command = ["tools/demo.py", f"--model={soft_weights}", "--port=0", "--max_megabytes=1"]
        with subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                line = server.stdout.readline()
                assert line.startswith("Open http://127.0.0.1:"), line
                (private,) = temporary.glob("residual-encoder-page-*")
                assert private.stat().st_mode & 0o077 == 0
                yield line.split()[1]
                server.send_signal(signal.SIGINT)
                assert server.wait(timeout=60) == 0
            finally:
                server.kill()
        assert not list(temporary.iterdir()), list(temporary.iterdir())
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=root)


@pytest.fixture(params=[{"width": 1280, "height": 900}], ids=["desktop"])
def visit(browser, address: str, request) -> Iterator[object]:
    """A fresh tab on the page; what it asks for must be asked of the page's own server."""
    tab = browser.new_page(viewport=request.param)
    tab.set_default_timeout(60_000)
    hosts, errors = set(), []
    tab.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(address)
    tab.wait_for_selector("body[data-ready]")
    yield tab
    tab.close()
    assert hosts - {""} == {urlsplit(address).netloc}  # data: and blob: have no host
    assert not errors


PHONE = pytest.mark.parametrize(
    "visit",
    [{"width": 1280, "height": 900}, {"width": 390, "height": 844}],
    ids=["desktop", "phone"],
    indirect=True,
)


def give(tab, *paths: Path) -> None:
    tab.set_input_files("#files", list(paths))


def colored(tab) -> str:
    """The address of the colored picture, when it is there."""
    tab.wait_for_function(
        """() => {
          const image = document.querySelector('#color');
          return image.src && image.complete && document.querySelector('#busy').hidden;
        }"""
    )
    return tab.get_attribute("#color", "src")


def changed(tab, old: str) -> str:
    tab.wait_for_function("old => document.querySelector('#color').src != old", arg=old)
    return colored(tab)


def pixels(tab, url: str) -> np.ndarray:
    """The pixels of a picture that the page shows, by its blob address."""
    numbers = tab.evaluate(
        """async (url) => {
          const image = await createImageBitmap(document.querySelector('#color'));
          const canvas = new OffscreenCanvas(image.width, image.height);
          canvas.getContext('2d').drawImage(image, 0, 0);
          const data = canvas.getContext('2d').getImageData(0, 0, image.width, image.height);
          return [image.height, image.width, ...data.data];
        }""",
        url,
    )
    height, width = numbers[:2]
    return np.array(numbers[2:], np.uint8).reshape(height, width, 4)[..., :3]


def until(tab, reached: Callable[[], object]) -> None:
    """Waits for what the page asked of the test, such as a request that it holds."""
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "the page did not ask"
        tab.wait_for_timeout(20)


def saved(tab, button: str) -> tuple[str, bytes]:
    """The name and bytes of what a button downloads."""
    with tab.expect_download() as download:
        tab.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def click(tab, x: float, y: float) -> None:
    """Clicks a place of the picture, given in shares of it."""
    tab.locator("#surface").scroll_into_view_if_needed()
    box = tab.locator("#surface").bounding_box()
    tab.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def correct(tab, x: float, y: float, likely: int = 1) -> None:
    """Gives a place one of its likely colors."""
    old = colored(tab)
    click(tab, x, y)
    tab.locator("#likely button").nth(likely).click()
    changed(tab, old)
    tab.keyboard.press("Escape")


def notes(folder: Path, name: str, *hints: dict) -> Path:
    """Writes a file of corrections."""
    (folder / name).write_text(json.dumps(hints))
    return folder / name


def wait_marks(tab, count: int) -> None:
    """Waits until so many marks are seen."""
    tab.wait_for_function("count => document.querySelectorAll('.mark').length === count", arg=count)
