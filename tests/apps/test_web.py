"""The page: in Chromium as a visitor uses it, and the code behind it."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.apps.web import preview
from residual_encoder.apps.web import server as server_module
from residual_encoder.imaging import borders, face_detection, image_io
from residual_encoder.imaging.borders import Box
from residual_encoder.inference import face_detail
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import Hint, parse

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


# --- previews, without a server -------------------------------------------------------------------


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
    hints = [{"x": 50, "y": 40, "rgb": [200, 30, 40]}]
    hinted = preview.render_preview(colorizer, shown, 1.0, None, parse(hints))
    np.testing.assert_array_equal(hinted, colorizer.colorize(photos.jpeg, hints=hints))
    assert (hinted != colored).any()


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


def test_small_faces_are_colored_as_by_the_command_line(
    colorizer, photos, tmp_path, monkeypatch
) -> None:
    face, hint = Box(20, 50, 30, 60), Hint(45, 35, (200, 30, 40))

    def pasted(picture, colored, faces, color) -> np.ndarray:
        for one in faces:
            part = color(borders.cropped(picture, one))
            colored[one.top : one.bottom, one.left : one.right] = part
        return colored

    monkeypatch.setattr(face_detection, "frontal_faces", lambda _: [face])
    monkeypatch.setattr(face_detail, "with_close_ups", pasted)
    near = copy.copy(colorizer)
    near.faces = True
    shown = preview.make_preview(colorizer, photos.jpeg)
    plain, faces = (
        preview.render_preview(colorizer, shown, 1.0, faces=some) for some in (False, True)
    )
    np.testing.assert_array_equal(faces, near.colorize(photos.jpeg))
    assert (faces != plain).any()
    hinted = preview.render_preview(colorizer, shown, 1.0, None, [hint], True)
    np.testing.assert_array_equal(hinted, colorizer.colorize(photos.jpeg, hints=[hint]))
    deep = preview.make_preview(colorizer, photos.deep)
    made = preview.render_full_size(colorizer, deep, 1.0, tmp_path, faces=True)
    np.testing.assert_array_equal(image_io.read(made).pixels, near.colorize(photos.deep))
    assert not colorizer.faces


def test_the_file_is_what_the_command_line_writes(
    colorizer, photos, command_line, tmp_path
) -> None:
    for source in (photos.jpeg, photos.deep, photos.clear):
        made = preview.render_full_size(
            colorizer, preview.make_preview(colorizer, source), VIVID, tmp_path
        )
        assert made.name == f"{source.stem}_colored{source.suffix}"
        assert made.read_bytes() == (command_line / source.name).read_bytes()


def test_a_bad_file_is_named_without_its_folder(colorizer, photos) -> None:
    with pytest.raises(ValueError, match="^broken.jpg is a truncated JPEG"):
        preview.make_preview(colorizer, photos.broken)


# --- what is said before the page opens -----------------------------------------------------------


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


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
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


def saved(tab, button: str) -> tuple[str, bytes]:
    """The name and bytes of what a button downloads."""
    with tab.expect_download() as download:
        tab.click(button)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.browser
def test_upload_divide_saturate_and_download(visit, photos, command_line) -> None:
    give(visit, photos.jpeg)
    visit.wait_for_selector("#status:has-text('140 × 90 pixels')")
    plain = colored(visit)
    before = pixels(visit, plain)

    handle = visit.locator("#divider span").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    visit.mouse.move(x, y)
    visit.mouse.down()
    visit.mouse.move(x - 30, y, steps=3)
    visit.mouse.up()
    dragged = int(visit.get_attribute("#divider", "aria-valuenow"))
    assert dragged < 40
    visit.focus("#divider")
    visit.keyboard.press("ArrowLeft")
    assert int(visit.get_attribute("#divider", "aria-valuenow")) == dragged - 2
    visit.keyboard.press("End")
    assert "100%" in visit.locator("#color").evaluate("image => image.style.clipPath")
    assert "old photo.jpg" in visit.get_attribute("#color", "alt")

    visit.locator("#saturation").fill(str(VIVID))
    moved = changed(visit, plain)
    vivid = pixels(visit, moved)
    assert np.ptp(vivid, axis=-1).mean() > 1.3 * np.ptp(before, axis=-1).mean()

    visit.check("#faces")  # there are none
    changed(visit, moved)
    name, data = saved(visit, "#save")
    assert name == "old photo_colored.jpg"
    assert data == (command_line / photos.jpeg.name).read_bytes()


@pytest.mark.browser
@PHONE
def test_the_brush(visit, photos, soft_weights, tmp_path) -> None:
    """Click, choose, see it; the file is that of the command line with the saved hints."""
    give(visit, photos.jpeg)
    plain = colored(visit)
    before = pixels(visit, plain)
    box = visit.locator("#surface").bounding_box()
    visit.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    visit.wait_for_selector("#likely button")
    assert visit.locator("#likely button").count() == 6
    visit.locator("#likely button").nth(1).click()
    one = changed(visit, plain)
    assert (pixels(visit, one) != before).any()
    visit.click("#close")
    assert visit.locator(".mark").count() == 1

    mark = visit.locator(".mark").bounding_box()
    visit.mouse.move(mark["x"] + 5, mark["y"] + 5)
    visit.mouse.down()
    visit.mouse.move(mark["x"] - 40, mark["y"] + 5, steps=4)
    visit.mouse.up()
    two = changed(visit, one)
    visit.click("#undo")
    three = changed(visit, two)
    visit.click("#undo")
    np.testing.assert_array_equal(pixels(visit, changed(visit, three)), before)
    assert not visit.locator(".mark").count()
    visit.click("#redo")
    visit.wait_for_selector(".mark")

    name, text = saved(visit, "#save-hints")
    assert name == "old photo.hints.json"
    (hint,) = json.loads(text)
    assert abs(hint["x"] - 105) <= 1 and abs(hint["y"] - 45) <= 1 and len(hint["rgb"]) == 3
    _, data = saved(visit, "#save")
    (tmp_path / name).write_bytes(text)
    command = [sys.executable, "tools/colorize.py", str(photos.jpeg), f"--output={tmp_path}"]
    options = [f"--model={soft_weights}", f"--hints={tmp_path / name}"]
    subprocess.run([*command, *options], cwd=ROOT, check=True, capture_output=True)
    assert data == (tmp_path / photos.jpeg.name).read_bytes()

    visit.click("#clear")
    visit.wait_for_function("() => !document.querySelector('.mark')")
    give(visit, tmp_path / name)  # and back
    visit.wait_for_selector(".mark")


@pytest.mark.browser
def test_the_brush_by_keyboard(visit, photos) -> None:
    give(visit, photos.jpeg)
    plain = colored(visit)
    visit.focus("#divider")
    visit.keyboard.press("Shift+Tab")
    assert visit.evaluate("document.activeElement.id") == "surface"
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        visit.keyboard.press(key)
    visit.wait_for_selector("#likely button:focus")
    visit.keyboard.press("Tab")
    visit.keyboard.press("Enter")
    one = changed(visit, plain)
    visit.keyboard.press("Escape")
    assert not visit.locator("#palette").is_visible()
    assert visit.evaluate("document.activeElement.id") == "surface"
    visit.focus(".mark")
    visit.keyboard.press("ArrowLeft")
    two = changed(visit, one)
    visit.keyboard.press("Control+z")
    three = changed(visit, two)
    visit.focus(".mark")
    visit.keyboard.press("Delete")
    changed(visit, three)
    assert not visit.locator(".mark").count()


@pytest.mark.browser
def test_three_files_are_three_files(visit, photos) -> None:
    give(visit, photos.jpeg, photos.deep, photos.clear)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length == 3")
    name, data = saved(visit, "#zip")
    assert name == "colored.zip"
    (photos.folder / "colored.zip").write_bytes(data)
    with zipfile.ZipFile(photos.folder / "colored.zip") as packed:
        names = packed.namelist()
        assert names == ["old photo_colored.jpg", "deep_colored.png", "clear_colored.png"]
        assert image_io.decode(packed.read(names[1])).pixels.dtype == np.uint16
    visit.click("#gallery button:has-text('clear.png')")
    visit.wait_for_selector("#status:has-text('clear.png')")
    visit.click("[aria-label='Remove clear.png']")
    visit.wait_for_selector("#status:has-text('old photo.jpg')")


@pytest.mark.browser
@PHONE
def test_a_broken_file_is_a_message_where_one_looks(visit, photos) -> None:
    give(visit, photos.broken)
    visit.wait_for_selector("#alert:has-text('broken.jpg is a truncated JPEG')")
    box, height = visit.locator("#alert").bounding_box(), visit.viewport_size["height"]
    assert 0 <= box["y"] and box["y"] + box["height"] <= height
    assert not visit.locator("#color").is_visible()
    give(visit, photos.markup)
    visit.wait_for_selector("#alert:has-text('notes.png')")
    assert not visit.locator("#alert img").count()  # a name or reason is text
    give(visit, photos.clear)
    visit.wait_for_selector("#status:has-text('clear.png')")
    assert colored(visit)
    assert not visit.locator("#alert").is_visible()
    assert visit.evaluate("document.documentElement.scrollWidth") <= visit.viewport_size["width"]


@pytest.mark.browser
def test_too_large_a_file_is_refused_by_page_and_server(visit, photos, address) -> None:
    give(visit, photos.huge)
    visit.wait_for_selector("#alert:has-text('huge.jpg is larger than 1 MB')")
    sent = visit.request.post(f"{address}api/pictures?name=a.jpg", data=bytes(1_100_000))
    assert sent.status == 413 and "larger than 1 MB" in sent.json()["error"]
    visit.reload()
    visit.click("text=chelsea")
    visit.wait_for_selector("#status:has-text('chelsea.jpg, 451 × 300 pixels')")


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted(kind, visit, photos) -> None:
    visit.evaluate(
        """([kind, name, bytes]) => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
          document.body.dispatchEvent(kind == "drop"
            ? new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: files, bubbles: true, cancelable: true}));
        }""",
        [kind, photos.deep.name, list(photos.deep.read_bytes())],
    )
    visit.wait_for_selector("#status:has-text('deep.png, 140 × 90 pixels')")
    assert colored(visit)
