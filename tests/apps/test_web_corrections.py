"""Corrections on the page: of one picture each, never lost, and one gesture is one step."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.web import (
    changed,
    click,
    colored,
    correct,
    give,
    notes,
    pixels,
    saved,
    until,
    wait_marks,
)

from residual_encoder.imaging import colorspace, image_io

RED = {"x": 50, "y": 40, "rgb": [200, 30, 40]}


@pytest.fixture
def framed(tmp_path: Path) -> Path:
    """A print with a white border of 30 pixels."""
    y, x = np.mgrid[:140, :180]
    gray = np.full((200, 240), 250, np.uint8)
    gray[30:-30, 30:-30] = np.rint(90 + 50 * np.sin(x / 9 + y / 7))
    image_io.write(tmp_path / "print.png", gray)
    return tmp_path / "print.png"


def drag(tab, start: tuple[float, float], end: tuple[float, float], steps: int = 5) -> None:
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(*end, steps=steps)
    tab.mouse.up()


def middle(tab, selector: str) -> tuple[float, float]:
    box = tab.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.browser
def test_files_of_corrections_go_to_their_picture_and_are_asked_about(
    visit, photos, tmp_path
) -> None:
    give(visit, photos.deep)
    colored(visit)
    give(visit, notes(tmp_path, "clear.hints.json", RED))
    visit.wait_for_selector("#alert:has-text('corrections of clear, which is not open')")
    assert not visit.locator(".mark").count()
    give(visit, notes(tmp_path, "clear.hints.json", {"x": 1, "y": 2}))
    visit.wait_for_selector("#alert:has-text('clear.hints.json has the corrections of clear')")

    visit.focus("#divider")
    visit.keyboard.press("End")
    give(visit, notes(tmp_path, "hints.json", {"x": 1, "y": 2}))
    visit.wait_for_selector("#alert:has-text('hints.json: correction 1 must be')")
    give(visit, notes(tmp_path, "hints.json", RED))
    wait_marks(visit, 1)
    assert "hints.json" in visit.text_content("#status")
    assert visit.get_attribute("#divider", "aria-valuenow") == "100"

    give(visit, photos.clear, tmp_path / "clear.hints.json")
    visit.wait_for_selector("#alert:has-text('clear.hints.json: ')")
    give(visit, notes(tmp_path, "clear.hints.json", RED, {"x": 9, "y": 9, "keep": True}))
    visit.wait_for_selector("#status:has-text('clear.png')")
    wait_marks(visit, 2)
    assert visit.input_value("#saturation") == "1"
    settings = {"hints": [RED], "saturation": 1.5, "faces": True}
    (tmp_path / "clear.hints.json").write_text(json.dumps(settings | {"faces": "yes"}))
    give(visit, tmp_path / "clear.hints.json")
    visit.wait_for_selector("#alert:has-text('faces \"yes\" is no setting of a picture')")
    (tmp_path / "clear.hints.json").write_text(json.dumps(settings))
    give(visit, tmp_path / "clear.hints.json")
    wait_marks(visit, 1)
    assert visit.input_value("#saturation") == "1.5" and visit.is_checked("#faces")
    visit.click("#undo")
    wait_marks(visit, 2)
    assert visit.input_value("#saturation") == "1" and not visit.is_checked("#faces")
    give(visit, photos.jpeg)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 3")
    give(visit, notes(tmp_path, "hints.json", RED))
    visit.wait_for_selector("#alert:has-text('does not tell its picture')")

    visit.click("#gallery button:has-text('clear.png')")
    visit.click("[aria-label='Remove clear.png']")
    visit.click("#question >> text=Keep")
    wait_marks(visit, 2)
    visit.click("[aria-label='Remove clear.png']")
    visit.click("#question >> text=/^Remove$/")
    visit.wait_for_selector("#status:has-text('deep.png')")
    asked: list[str] = []

    def answered(dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    visit.on("dialog", answered)
    visit.reload()  # all that is there came from a file
    visit.wait_for_selector("body[data-ready]")
    assert asked == []
    give(visit, photos.deep)
    colored(visit)
    correct(visit, 0.7, 0.5)
    visit.reload()
    assert asked == ["beforeunload"]


@pytest.mark.browser
def test_the_zip_has_all_corrections_and_commands(visit, photos, soft_weights, tmp_path) -> None:
    model = f"--model={soft_weights}"
    for folder, source in (("one", photos.jpeg), ("two", photos.jpeg)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "scan.jpg").write_bytes(source.read_bytes())
    give(visit, tmp_path / "one" / "scan.jpg")
    colored(visit)
    correct(visit, 0.25, 0.5)
    give(visit, tmp_path / "two" / "scan.jpg")
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    visit.locator("#gallery li > button:first-child").nth(1).click()
    wait_marks(visit, 0)
    correct(visit, 0.75, 0.5)
    old = colored(visit)
    visit.locator("#saturation").fill("1.9")
    changed(visit, old)
    _, data = saved(visit, "#zip")
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert sorted(packed.namelist()) == [
            "commands.txt",
            "scan (2).hints.json",
            "scan.hints.json",
            "scan_colored (2).jpg",
            "scan_colored.jpg",
        ]
        one, two = (
            json.loads(packed.read(name)) for name in ("scan.hints.json", "scan (2).hints.json")
        )
        assert abs(one[0]["x"] - 35) <= 1 and abs(two["hints"][0]["x"] - 105) <= 1
        assert two["saturation"] == 1.9
        assert packed.read("commands.txt").decode().splitlines() == [
            f"scan_colored.jpg: colorize scan.jpg --hints=scan.hints.json {model}",
            f"scan_colored (2).jpg: colorize scan.jpg '--hints=scan (2).hints.json' {model}",
        ]
    visit.wait_for_selector("#again:has-text('commands.txt')")
    assert json.loads(saved(visit, "#save-hints")[1]) == two
    wanted = f"colorize scan.jpg --hints=scan.hints.json {model}"
    visit.wait_for_selector("#again code")
    assert visit.text_content("#again code") == wanted


@pytest.mark.browser
def test_slow_answers_and_removed_pictures(visit, photos) -> None:
    """An answer for one picture is not dropped for a wish about another."""
    give(visit, photos.jpeg, photos.deep)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    first = visit.get_attribute("#color", "src")
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#likely button")
    held: list = []
    visit.route("**/color", lambda route: held.append(route))
    visit.locator("#likely button").nth(1).click()
    visit.click("#gallery button:has-text('deep.png')")
    visit.locator("#saturation").fill("2")
    visit.wait_for_timeout(100)
    for route in held:
        route.continue_()
    visit.unroute("**/color")
    visit.wait_for_selector("#busy", state="hidden")
    visit.click("#gallery button:has-text('old photo.jpg')")
    changed(visit, first)
    wait_marks(visit, 1)

    # A picture that is removed while it is colored does not come back.
    held.clear()
    visit.route("**/color", lambda route: held.append(route))
    give(visit, photos.clear)
    visit.wait_for_selector("[aria-label='Remove clear.png']")
    visit.wait_for_function("() => document.querySelectorAll('#gallery li').length === 3")
    until(visit, lambda: held)
    for name in ("clear.png", "deep.png", "old photo.jpg"):
        visit.click(f"[aria-label='Remove {name}']")
    visit.click("#question >> text=/^Remove$/")
    for route in held:
        route.continue_()
    visit.unroute("**/color")
    visit.wait_for_timeout(500)
    assert not visit.locator("#editor").is_visible() and not visit.locator("#gallery").is_visible()


@pytest.mark.browser
def test_borders_and_pictures_that_the_server_deleted(visit, framed, address) -> None:
    asked: list[str] = []
    visit.on("request", lambda request: asked.append(request.url))
    give(visit, framed)
    colored(visit)
    assert "60 minutes" in visit.text_content("#kept")
    click(visit, 0.05, 0.5)
    visit.wait_for_selector("#status:has-text('border of a print stays gray')")
    assert not visit.locator("#palette").is_visible() and not visit.locator(".mark").count()
    correct(visit, 0.5, 0.5)
    before = middle(visit, ".mark")
    drag(visit, before, (before[0] - 110, before[1]))
    visit.wait_for_selector("#status:has-text('border of a print stays gray')")
    assert middle(visit, ".mark") == pytest.approx(before, abs=1)
    old = colored(visit)

    (key,) = {url.split("/")[-2] for url in asked if url.endswith("/color")}
    assert visit.request.delete(f"{address}api/pictures/{key}").status == 204
    visit.locator("#saturation").fill("1.5")
    changed(visit, old)
    wait_marks(visit, 1)
    assert not visit.locator("#alert").is_visible()

    # Its file has gone as well: the same file given again is the same card.
    key = next(url.split("/")[-2] for url in reversed(asked) if url.endswith("/color"))
    assert visit.request.delete(f"{address}api/pictures/{key}").status == 204
    data = framed.read_bytes()
    framed.unlink()
    visit.locator("#saturation").fill("2")
    visit.wait_for_selector("#alert:has-text('its corrections are kept')")
    old = colored(visit)
    framed.write_bytes(data)
    give(visit, framed)
    changed(visit, old)
    wait_marks(visit, 1)
    assert visit.locator("#gallery li").count() == 1


@pytest.mark.browser
def test_one_gesture_is_one_step(visit, photos) -> None:
    give(visit, photos.jpeg)
    plain = colored(visit)
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#likely button")
    x, y = middle(visit, "#wheel")
    drag(visit, (x + 5, y), (x + 30, y + 20), steps=26)
    one = changed(visit, plain)
    ring = middle(visit, "#wheel-at")
    assert ring == pytest.approx((x + 30, y + 20), abs=3)
    visit.focus("#strength")
    for _ in range(30):
        visit.keyboard.press("ArrowLeft")
    changed(visit, one)
    steps = 0
    while visit.locator("#undo").is_enabled():
        visit.click("#undo")
        steps += 1
    assert steps == 2
    wait_marks(visit, 0)

    # The panel closes at Escape from anywhere; copying from a mark takes its color.
    correct(visit, 0.25, 0.5, likely=3)
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#likely button")
    visit.evaluate("document.activeElement.blur()")
    visit.keyboard.press("Escape")
    assert not visit.locator("#palette").is_visible()
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#likely button")
    visit.click("#pick")
    visit.locator(".mark").first.click()
    wait_marks(visit, 2)
    assert visit.locator("#palette").is_visible()
    visit.keyboard.press("Escape")
    _, text = saved(visit, "#save-hints")
    first, second = json.loads(text)
    assert first["rgb"] == second["rgb"] and first["x"] < second["x"]
    visit.wait_for_selector("#busy", state="hidden")

    # Back to the network's colors around a place.
    visit.locator(".mark").nth(1).click()
    visit.click("#keep")
    visit.click("#close")
    _, text = saved(visit, "#save-hints")
    assert json.loads(text)[1] == {"x": second["x"], "y": second["y"], "keep": True}


@pytest.mark.browser
def test_colors_used_last_are_one_click_away(visit, photos) -> None:
    """Also on another picture; a drag leaves one of them, the newest comes first."""
    give(visit, photos.jpeg)
    colored(visit)
    correct(visit, 0.25, 0.5, likely=3)
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#used button")
    assert visit.locator("#used button").count() == 1
    x, y = middle(visit, "#wheel")
    drag(visit, (x + 5, y), (x + 30, y + 20))
    visit.keyboard.press("Escape")
    _, text = saved(visit, "#save-hints")
    first, second = (one["rgb"] for one in json.loads(text))

    give(visit, photos.deep)
    visit.wait_for_selector("#status:has-text('deep.png')")
    click(visit, 0.5, 0.5)
    visit.wait_for_selector("#used button")
    colors = visit.locator("#used button").evaluate_all("all => all.map((one) => one.dataset.rgb)")
    assert colors == [",".join(map(str, rgb)) for rgb in (second, first)]
    visit.locator("#used button").nth(1).click()
    visit.wait_for_selector("#used [aria-pressed=true]")
    visit.keyboard.press("Escape")
    _, text = saved(visit, "#save-hints")
    assert [one["rgb"] for one in json.loads(text)] == [first]
    click(visit, 0.5, 0.2)
    visit.wait_for_selector("#used button")
    assert visit.locator("#used button").first.get_attribute("data-rgb") == colors[1]


@pytest.mark.browser
def test_a_copied_color_is_the_mean_of_like_pixels(visit, tmp_path) -> None:
    """Of noise around a level, without what lies beyond an edge."""
    random = np.random.default_rng(0)
    gray = 110 + random.integers(-3, 4, (150, 200))
    gray[:, 102:] = 220
    image_io.write(tmp_path / "noise.png", gray.astype(np.uint8))
    give(visit, tmp_path / "noise.png")
    colored(visit)
    click(visit, 0.2, 0.5)
    visit.wait_for_selector("#likely button")
    visit.click("#pick")
    click(visit, 0.5025, 0.5)
    wait_marks(visit, 1)
    hue = float(visit.locator("#hue").input_value())
    visit.wait_for_selector("#busy", state="hidden")
    visit.click("#close")
    _, text = saved(visit, "#save-hints")
    rgb = np.array(json.loads(text)[0]["rgb"])
    visit.click("#undo")
    visit.wait_for_selector("#busy", state="hidden")
    shown = pixels(visit, "")[73:78, 98:102].astype(int).mean((0, 1))
    assert np.abs(rgb - shown).max() <= 1.5
    _, a, b = colorspace.rgb_to_lab(rgb[None] / np.float32(255)).numpy()[0]
    assert abs(hue - np.degrees(np.arctan2(b, a)) % 360) <= 2  # the sliders follow


@pytest.mark.browser
def test_folders_and_links_that_are_dropped(visit, photos, tmp_path) -> None:
    visit.evaluate(
        """() => {
          const link = new DataTransfer();
          link.setData("text/uri-list", "https://example.org/a.jpg");
          document.body.dispatchEvent(
            new DragEvent("drop", {dataTransfer: link, bubbles: true, cancelable: true}));
        }"""
    )
    visit.wait_for_selector("#alert:has-text('drop files or folders')")
    (tmp_path / "album" / "inner").mkdir(parents=True)
    (tmp_path / "album" / "inner" / "a.jpg").write_bytes(photos.jpeg.read_bytes())
    (tmp_path / "album" / "b.png").write_bytes(photos.deep.read_bytes())
    (tmp_path / "album" / "list.txt").write_text("no picture")
    tool = visit.context.new_cdp_session(visit)
    data = {"items": [], "files": [str(tmp_path / "album")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tool.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    assert visit.locator("#gallery .name").all_text_contents() == ["b.png", "a.jpg"]


@pytest.mark.browser
def test_the_panel_leaves_the_place_to_be_seen(visit, tmp_path) -> None:
    y, x = np.mgrid[:500, :1000]
    gray = np.rint(128 + 60 * np.sin(x / 90 + y / 70)).astype(np.uint8)
    image_io.write(tmp_path / "wide.jpg", gray)
    give(visit, tmp_path / "wide.jpg")
    colored(visit)
    for width in (1280, 700):
        visit.set_viewport_size({"width": width, "height": 900})
        for at in (0.2, 0.8):
            click(visit, at, 0.5)
            visit.wait_for_selector("#likely button")
            box, mark = visit.locator("#palette").bounding_box(), middle(visit, ".mark")
            assert not box["x"] - 20 < mark[0] < box["x"] + box["width"] + 20
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            visit.keyboard.press("Escape")
    visit.set_viewport_size({"width": 600, "height": 900})
    click(visit, 0.5, 0.5)
    visit.wait_for_selector("#likely button")
    stage, box = (visit.locator(name).bounding_box() for name in ("#stage", "#palette"))
    assert box["y"] >= stage["y"] + stage["height"]
    assert visit.locator("#status").bounding_box()["y"] >= box["y"] + box["height"]
