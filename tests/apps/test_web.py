"""The page: in Chromium as a visitor uses it, and the code behind it."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.apps.web import preview
from residual_encoder.apps.web import server as server_module
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
VIVID = 1.7  # a saturation


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def command_line(photos, soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what tools/colorize.py makes of the pictures."""
    output = tmp_path_factory.mktemp("output")
    options = [f"--output={output}", f"--model={soft_weights}", f"--saturation={VIVID}"]
    sources = [str(path) for path in (photos.jpeg, photos.deep, photos.clear)]
    command = [sys.executable, "tools/colorize.py", *sources, *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return output


# --- previews, without Gradio ---------------------------------------------------------------------


def test_the_network_runs_once(colorizer, photos, monkeypatch) -> None:
    calls = []
    predict = colorizer.predict
    monkeypatch.setattr(
        colorizer, "predict", lambda gray: calls.append(gray.shape) or predict(gray)
    )
    shown = preview.make_preview(colorizer, photos.deep)
    none, some, more = (
        preview.render_preview(colorizer, shown, saturation) for saturation in (0, 1, 2)
    )
    assert len(calls) == 1
    assert np.ptp(none, axis=-1).max() <= 1
    assert np.ptp(some, axis=-1).mean() > 1
    assert np.ptp(more, axis=-1).mean() > 1.5 * np.ptp(some, axis=-1).mean()
    assert colorizer.saturation == 1  # other visitors' is not touched


def test_a_small_picture_is_its_own_preview(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    colored = preview.render_preview(colorizer, shown, 1.0)
    np.testing.assert_array_equal(colored, colorizer.colorize(photos.jpeg))


def test_a_large_picture_is_made_smaller(colorizer, tmp_path) -> None:
    image_io.write(tmp_path / "wide.png", np.full((400, 4000), 40_000, np.uint16))
    shown = preview.make_preview(colorizer, tmp_path / "wide.png")
    assert (shown.height, shown.width) == (400, 4000)
    assert shown.picture.pixels.shape == (160, 1600)
    assert np.unique(shown.picture.pixels) == [40_000 >> 8]


def test_what_is_clear_is_shown_on_white(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.clear)
    colored = preview.render_preview(colorizer, shown, 0.0)
    gray = image_io.read(photos.clear).pixels.astype(float)
    opacity = photos.alpha / 255
    assert np.abs(colored - (opacity * gray + (1 - opacity) * 255)[..., None]).max() <= 2


def test_the_file_is_what_the_command_line_writes(
    colorizer, photos, command_line, tmp_path
) -> None:
    for source in (photos.jpeg, photos.deep, photos.clear):
        made = preview.render_full_size(
            colorizer, preview.make_preview(colorizer, source), VIVID, tmp_path
        )
        assert made.read_bytes() == (command_line / source.name).read_bytes()


def test_a_bad_file_is_named_without_its_folder(colorizer, photos) -> None:
    with pytest.raises(ValueError, match="^broken.jpg is a truncated JPEG"):
        preview.make_preview(colorizer, photos.broken)


# --- what is said before the page opens -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"), [({"port": 70_000}, "port must be"), ({"max_megabytes": 0}, "1 or more")]
)
def test_wrong_options(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        server_module.PageConfig(**options)


def test_without_gradio(monkeypatch, tmp_path) -> None:
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that it is put back
    monkeypatch.setitem(sys.modules, "gradio", None)
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


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tool as a user runs it; at the end it leaves no file, and has asked nobody anything."""
    pytest.importorskip("gradio", reason="Gradio is not installed")
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
                (private,) = temporary.iterdir()
                assert private.stat().st_mode & 0o077 == 0
                yield line.split()[1]
                server.send_signal(signal.SIGINT)
                assert server.wait(timeout=60) == 0
            finally:
                server.kill()
        assert not list(temporary.iterdir())
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


@pytest.fixture
def visit(browser, address: str) -> Iterator[object]:
    """A fresh tab on the page; what it asks for must be asked of the page's own server."""
    tab = browser.new_page()
    tab.set_default_timeout(60_000)
    hosts = set()
    tab.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    tab.goto(address)
    tab.wait_for_selector("#picture")
    tab.wait_for_selector("#status[aria-live]", state="attached")  # the page's own script has run
    yield tab
    tab.close()
    assert hosts - {""} == {urlsplit(address).netloc}  # data: and blob: have no host


def give(tab, path: Path) -> None:
    tab.set_input_files("input[type=file]", path)


def colored(tab) -> str:
    """The address of the picture on the right, when it is there."""
    picture = tab.locator("#comparison img").last
    picture.wait_for()
    tab.wait_for_function(
        "[...document.querySelectorAll('#comparison img')].every(i => i.complete)"
    )
    return picture.get_attribute("src")


def clip(tab) -> str:
    return tab.locator("#comparison img").last.evaluate("image => image.style.clipPath")


@pytest.mark.browser
def test_upload_drag_saturate_and_download(visit, photos, command_line) -> None:
    give(visit, photos.jpeg)
    visit.wait_for_selector("#status:has-text('140 × 90 pixels')")
    plain, middle = colored(visit), clip(visit)

    box = visit.get_by_test_id("slider").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visit.mouse.move(x, y)
    visit.mouse.down()
    visit.mouse.move(x - 120, y, steps=3)
    visit.mouse.up()
    assert "50%" in middle
    assert clip(visit) != middle

    visit.fill("#saturation input[type=number]", str(VIVID))
    visit.keyboard.press("Enter")
    visit.wait_for_function(
        "old => [...document.querySelectorAll('#comparison img')].pop().src != old", arg=plain
    )
    fetch = lambda url: image_io.decode(visit.request.get(url).body()).rgb  # noqa: E731
    vivid = fetch(colored(visit))
    assert np.ptp(vivid, axis=-1).mean() > 1.3 * np.ptp(fetch(plain), axis=-1).mean()

    with visit.expect_download() as download:
        visit.click("#save")
    assert download.value.suggested_filename == photos.jpeg.name
    wanted = (command_line / photos.jpeg.name).read_bytes()
    assert Path(download.value.path()).read_bytes() == wanted


@pytest.mark.browser
def test_a_broken_file_is_a_message_and_the_next_one_works(visit, photos) -> None:
    give(visit, photos.broken)
    visit.wait_for_selector("#status .error:has-text('broken.jpg is a truncated JPEG')")
    assert not visit.locator("#comparison").is_visible()
    give(visit, photos.markup)
    visit.wait_for_selector("#status .error:has-text('<img src=x')")  # as text, not as a picture
    assert not visit.locator("#status img").count()
    give(visit, photos.clear)
    visit.wait_for_selector("#status:has-text('clear.png')")
    assert colored(visit)
    assert not visit.locator("#status .error").count()


@pytest.mark.browser
def test_too_large_a_file_is_refused_by_page_and_server(visit, photos, address) -> None:
    give(visit, photos.huge)
    visit.wait_for_selector("text=exceed the maximum allowed size of 1.0 Mb")
    sent = {"files": {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": bytes(1_100_000)}}
    assert visit.request.post(f"{address}gradio_api/upload", multipart=sent).status == 413
    visit.click("text=chelsea")
    visit.wait_for_selector("#status:has-text('chelsea.png, 451 × 300 pixels')")


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted(kind, visit, photos) -> None:
    visit.evaluate(
        """([kind, name, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const files = new DataTransfer();
          files.items.add(new File([bytes], name, {type: "image/png"}));
          document.body.dispatchEvent(kind == "drop"
            ? new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: files, bubbles: true, cancelable: true}));
        }""",
        [kind, photos.deep.name, base64.b64encode(photos.deep.read_bytes()).decode()],
    )
    visit.wait_for_selector("#status:has-text('deep.png, 140 × 90 pixels')")
    assert colored(visit)
