"""The page in Chromium as a visitor uses it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from helpers.web import PHONE, VIVID, changed, colored, give, pixels, saved

from residual_encoder.imaging import image_io


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
def test_the_brush(visit, photos, tmp_path) -> None:
    """Click, choose, see it; the file is that of the command that the page tells."""
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
    shutil.copy(photos.jpeg, tmp_path)
    tool, *words = shlex.split(visit.text_content("#again code"))
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *words]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert data == (tmp_path / "colored" / photos.jpeg.name).read_bytes()

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
        colored_names = ["old photo_colored.jpg", "deep_colored.png", "clear_colored.png"]
        assert names == [*colored_names, "commands.txt"]  # as the server has a --model
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
