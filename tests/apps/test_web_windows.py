"""What is seen on the page: places and the panel in windows of all kinds, zoom, marks, messages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import prints
from helpers.several import collection
from helpers.web import click, colored, correct, give, pixels, saved

from residual_encoder.imaging import image_io

WINDOWS = [(640, 400), (683, 384), (844, 390), (800, 600), (960, 600), (1280, 800), (390, 844)]
OTHER_WINDOWS = [(320, 256), (600, 900), (768, 1024)]
PHONE = pytest.mark.parametrize("visit", [{"width": 390, "height": 844}], indirect=True)
# Whether the middle of an element is what one sees and hits there.
HIT = """element => {
  const box = element.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2;
  return element.contains(document.elementFromPoint(x, y));
}"""


def picture(folder: Path, name: str, width: int, height: int, low: int = 60) -> Path:
    y, x = np.mgrid[:height, :width]
    gray = low + 60 + 60 * np.sin(x / 90 + y / 70)
    image_io.write(folder / name, np.rint(gray).astype(np.uint8))
    return folder / name


def box(tab, selector: str) -> dict[str, float]:
    return tab.locator(selector).bounding_box()


def middle(tab, selector: str) -> tuple[float, float]:
    at = box(tab, selector)
    return at["x"] + at["width"] / 2, at["y"] + at["height"] / 2


def within(tab, selector: str, slack: float = 1) -> bool:
    """Whether an element is in the window as a whole."""
    at, size = box(tab, selector), tab.viewport_size
    across = -slack <= at["x"] and at["x"] + at["width"] <= size["width"] + slack
    return across and -slack <= at["y"] and at["y"] + at["height"] <= size["height"] + slack


def gray_share(tab) -> int:
    """Percent of the picture, by what is seen and by what is told."""
    seen = tab.locator("#color").evaluate("image => image.style.clipPath")
    told = tab.get_attribute("#divider", "aria-valuenow")
    assert seen in (f"inset(0px 0px 0px {told}%)", f"inset(0 0 0 {told}%)")
    return int(told)


# --- the panel ------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("size", [(900, 600), (500, 900)], ids=["wide", "tall"])
def test_the_panel_and_its_place_are_seen_together(visit, tmp_path, size) -> None:
    give(visit, picture(tmp_path, "a.jpg", *size))
    colored(visit)
    for width, height in WINDOWS + OTHER_WINDOWS:
        visit.set_viewport_size({"width": width, "height": height})
        for place in ((0.2, 0.15), (0.8, 0.9)):
            click(visit, *place)
            visit.wait_for_selector("#likely button")
            assert within(visit, "#palette"), (width, height, place, box(visit, "#palette"))
            assert within(visit, ".mark"), (width, height, place, box(visit, ".mark"))
            assert visit.locator(".mark").evaluate(HIT), (width, height, place)
            assert visit.evaluate("document.documentElement.scrollWidth") <= width
            visit.keyboard.press("Escape")


@pytest.mark.browser
def test_a_message_leaves_the_panel_free(visit, photos, tmp_path) -> None:
    """Where the panel is open; in windows without much room, with colors used last, too."""
    (tmp_path / "letter.jpg").write_text("dear aunt")
    visit.set_viewport_size({"width": 390, "height": 844})
    give(visit, photos.jpeg)
    colored(visit)
    correct(visit, 0.5, 0.5)
    for width, height in ((390, 844), (320, 568), (844, 390), (1000, 600)):
        visit.set_viewport_size({"width": width, "height": height})
        click(visit, 0.7, 0.8)
        visit.wait_for_selector("#used button")
        give(visit, tmp_path / "letter.jpg")
        visit.wait_for_selector("#alert:has-text('dear aunt')")
        for selector in ("#done", "#close", "#alert button"):
            assert within(visit, selector), (width, height, selector)
            assert visit.locator(selector).evaluate(HIT), (width, height, selector)
        visit.click("#done")
        visit.click("#alert button")


@pytest.mark.browser
def test_the_panel_covers_nothing(visit, photos, tmp_path) -> None:
    """Neither the buttons under a small picture nor a part of a large one."""
    visit.set_viewport_size({"width": 1280, "height": 800})
    give(visit, photos.jpeg)
    colored(visit)
    at = box(visit, "#stage")
    click(visit, 0.75, 0.5)
    visit.locator("#likely button").nth(1).click()
    assert box(visit, "#stage")["x"] == at["x"]  # and the picture stays where it is
    visit.click("#save-hints", trial=True)
    give(visit, picture(tmp_path, "large.jpg", 1500, 1000))
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    visit.click("#gallery button:has-text('large.jpg')")
    click(visit, 0.9, 0.9)
    visit.wait_for_selector("#likely button")
    stage, panel = box(visit, "#stage"), box(visit, "#palette")
    assert stage["x"] + stage["width"] < panel["x"] and stage["width"] > 700


@pytest.mark.browser
def test_a_corrected_place_is_seen_in_color(visit, photos) -> None:
    """The divider leaves the picture at the first correction, and is then the visitor's."""
    give(visit, photos.jpeg, photos.deep)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    assert gray_share(visit) == 50
    correct(visit, 0.75, 0.5)
    assert gray_share(visit) == 0
    visit.focus("#divider")
    for _ in range(4):
        visit.keyboard.press("PageUp")
    correct(visit, 0.5, 0.5)
    assert gray_share(visit) == 40
    visit.click("#gallery button:has-text('deep.png')")
    visit.wait_for_selector("#status:has-text('deep.png')")
    assert gray_share(visit) == 40
    visit.click("#gallery button:has-text('old photo.jpg')")
    correct(visit, 0.2, 0.5)
    assert gray_share(visit) == 0


@pytest.mark.browser
@PHONE
def test_the_divider_and_the_prompt_to_copy_on_a_phone(visit, tmp_path) -> None:
    give(visit, picture(tmp_path, "a.jpg", 900, 600))
    colored(visit)
    for key, share in (("Home", 0), ("End", 100)):
        visit.focus("#divider")
        visit.keyboard.press(key)
        assert gray_share(visit) == share
        assert within(visit, "#divider span", slack=0)
    click(visit, 0.5, 0.5)
    visit.click("#pick")
    assert "place, or mark" in visit.text_content("#palette .head")
    assert within(visit, "#asking")
    visit.click("#pick")
    assert "Which color" in visit.text_content("#palette .head")


# --- zoom -----------------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_strip_is_corrected_where_it_is_enlarged(visit, tmp_path) -> None:
    give(visit, picture(tmp_path, "strip.png", 2000, 120))
    colored(visit)
    whole = box(visit, "#stage")
    while visit.locator("#larger").is_enabled():
        visit.click("#larger")
    stage, frame = box(visit, "#stage"), box(visit, "#frame")
    assert stage["width"] >= 8 * whole["width"] and frame["width"] <= whole["width"] + 1
    assert stage["height"] > 400
    click(visit, 0.5, 0.5)  # brings the middle into sight
    visit.keyboard.press("Escape")
    stage, frame = box(visit, "#stage"), box(visit, "#frame")
    x, y = frame["x"] + 0.6 * frame["width"], frame["y"] + 0.4 * frame["height"]
    visit.mouse.click(x, y)
    visit.locator("#likely button").nth(1).click()
    visit.wait_for_selector("#busy", state="hidden")
    assert visit.locator(".mark").evaluate(HIT) and box(visit, ".mark")["width"] == 24
    visit.keyboard.press("Escape")
    assert middle(visit, ".mark") == pytest.approx((x, y), abs=6)
    (hint,) = json.loads(saved(visit, "#save-hints")[1])
    wanted = [(x - stage["x"]) / stage["width"] * 2000, (y - stage["y"]) / stage["height"] * 120]
    assert [hint["x"], hint["y"]] == pytest.approx(wanted, abs=1)

    visit.mouse.move(*(before := middle(visit, ".mark")))
    visit.keyboard.down("Control")
    visit.mouse.wheel(0, 120)
    visit.keyboard.up("Control")
    visit.wait_for_function(
        "old => document.querySelector('#stage').offsetWidth < old", arg=stage["width"]
    )
    assert middle(visit, ".mark")[0] == pytest.approx(before[0], abs=2)
    visit.focus("#surface")
    visit.keyboard.press("0")
    assert box(visit, "#stage")["width"] == pytest.approx(whole["width"], abs=1)
    assert box(visit, ".mark")["width"] == 24
    visit.keyboard.press("+")
    assert box(visit, "#stage")["width"] == pytest.approx(2 * whole["width"], abs=1)
    visit.keyboard.press("-")
    assert visit.locator("#fit").is_disabled()


@pytest.mark.browser
def test_an_enlarged_picture_is_drawn_along_by_the_mouse(visit, tmp_path) -> None:
    """Which is no click; keys move the cross in smaller steps and keep it in sight."""
    give(visit, picture(tmp_path, "a.jpg", 900, 600))
    colored(visit)
    visit.click("#larger")
    visit.click("#larger")
    x, y = middle(visit, "#frame")
    old = box(visit, "#stage")
    visit.mouse.move(x, y)
    visit.mouse.down()
    visit.mouse.move(x - 100, y + 50, steps=4)
    visit.mouse.up()
    new = box(visit, "#stage")
    assert [new["x"] - old["x"], new["y"] - old["y"]] == pytest.approx([-100, 50], abs=2)
    assert not visit.locator("#palette").is_visible()
    visit.focus("#surface")
    for _ in range(60):
        visit.keyboard.press("ArrowRight")
    cross, frame = middle(visit, "#cross"), box(visit, "#frame")
    assert frame["x"] < cross[0] < frame["x"] + frame["width"]
    assert frame["y"] < cross[1] < frame["y"] + frame["height"]
    assert box(visit, "#stage")["x"] < new["x"]
    visit.mouse.click(x, y)
    visit.wait_for_selector("#likely button")


@pytest.mark.browser
@PHONE
def test_two_fingers_zoom(visit, tmp_path) -> None:
    give(visit, picture(tmp_path, "a.jpg", 900, 600))
    colored(visit)
    tool = visit.context.new_cdp_session(visit)
    tool.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    whole, (x, y) = box(visit, "#stage")["width"], middle(visit, "#stage")
    for kind, apart in [("touchStart", 20), *(("touchMove", far) for far in (30, 45, 60))]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        tool.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    tool.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert box(visit, "#stage")["width"] == pytest.approx(3 * whole, rel=0.02)
    assert not visit.locator(".mark").count()


# --- marks and keys -------------------------------------------------------------------------------


@pytest.mark.browser
def test_marks_and_likely_colors_are_those_of_a_dark_place(visit, tmp_path) -> None:
    gray = np.full((150, 200), 40, np.uint8)
    gray[:, 100:] = 150
    image_io.write(tmp_path / "dark.png", gray)
    give(visit, tmp_path / "dark.png")
    correct(visit, 0.25, 0.5)
    seen = pixels(visit, "")[72:79, 47:54].astype(int).mean((0, 1))
    background = "element => getComputedStyle(element).backgroundColor"
    shown = [int(one) for one in re.findall(r"\d+", visit.locator(".mark").evaluate(background))]
    assert np.abs(shown - seen).max() < 12, (shown, seen)
    visit.click(".mark")
    halves = visit.locator("#likely [aria-pressed=true]").evaluate("one => one.style.background")
    here = [int(one) for one in re.findall(r"\d+", halves.rpartition("rgb(")[2])[:3]]
    assert np.abs(here - seen).max() < 12, (halves, seen)


@pytest.mark.browser
def test_escape_after_a_click_shows_no_cross(visit, photos) -> None:
    give(visit, photos.jpeg)
    colored(visit)
    click(visit, 0.75, 0.5)
    visit.locator("#likely button").nth(1).click()
    visit.wait_for_selector(".mark.chosen")
    visit.keyboard.press("Escape")
    assert visit.evaluate("document.activeElement.id") == "surface"
    assert not visit.locator("#cross").is_visible()
    visit.keyboard.press("ArrowLeft")
    cross, stage = middle(visit, "#cross"), box(visit, "#stage")
    assert (cross[0] - stage["x"]) / stage["width"] == pytest.approx(0.73, abs=0.02)


@pytest.mark.browser
def test_escape_puts_a_dragged_mark_back(visit, photos) -> None:
    give(visit, photos.jpeg)
    colored(visit)
    correct(visit, 0.25, 0.5)
    before = middle(visit, ".mark")
    visit.mouse.move(*before)
    visit.mouse.down()
    visit.mouse.move(before[0] + 40, before[1] + 10, steps=3)
    assert middle(visit, ".mark") == pytest.approx((before[0] + 40, before[1] + 10), abs=2)
    visit.keyboard.press("Escape")
    assert middle(visit, ".mark") == pytest.approx(before, abs=1)
    visit.mouse.up()
    assert middle(visit, ".mark") == pytest.approx(before, abs=1)
    assert not visit.locator("#palette").is_visible() and visit.locator("#redo").is_disabled()
    visit.click("#undo")
    assert not visit.locator(".mark").count()  # the drag was no step


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.browser
def test_what_is_in_color_or_of_several_pages_is_told(visit, tmp_path) -> None:
    photograph = prints.photographs()["flower"]
    image_io.write(tmp_path / "color.png", photograph)
    pages = np.stack([photograph[..., 1]] * 3)
    tifffile.imwrite(tmp_path / "letter.tif", pages, photometric="minisblack")
    give(visit, tmp_path / "color.png", tmp_path / "letter.tif")
    visit.wait_for_selector("#status:has-text('in color already: its colors are made anew')")
    correct(visit, 0.5, 0.5)
    saved(visit, "#save-hints")
    visit.wait_for_selector("#again code:has-text('--color_inputs=recolor')")
    visit.click("#gallery button:has-text('letter.tif')")
    visit.wait_for_selector("#status:has-text('the first of 3 pages or frames')")
    click(visit, 0.5, 0.5)
    visit.wait_for_selector("#status:has-text('Corrections are for files of one picture')")
    assert not visit.locator("#palette").is_visible()
    give(visit, collection(tmp_path / "in" / "burst.heic"))
    visit.click("#gallery button:has-text('burst.heic')")
    visit.wait_for_selector(
        "#status:has-text('the main one of 3 pictures of its file: the others')"
    )


@pytest.mark.browser
def test_messages_are_in_plain_words_and_out_of_the_way(visit, photos, tmp_path) -> None:
    give(visit, photos.jpeg)
    colored(visit)
    (tmp_path / "letter.jpg").write_text("dear aunt\ndear uncle\n")
    give(visit, tmp_path / "letter.jpg")
    visit.wait_for_selector("#alert:has-text(\"begins with 'dear aunt dear uncle'\")")
    alert = box(visit, "#alert")
    for selector in ("h1", "#stage"):
        seen = box(visit, selector)
        assert seen["y"] + seen["height"] <= alert["y"]
    visit.click("#zip", trial=True)  # the last button is free as well
    visit.click("#gallery button:has-text('old photo.jpg')")
    assert not visit.locator("#alert").is_visible()

    assert visit.locator("#tip .click").is_visible()
    visit.keyboard.press("Tab")
    assert visit.locator("#tip .key").is_visible() and not visit.locator("#tip .click").is_visible()
    correct(visit, 0.75, 0.5)
    saved(visit, "#save-hints")
    visit.wait_for_selector("#again code:has-text('colorize')")
    visit.set_viewport_size({"width": 390, "height": 844})
    flag = visit.locator("#again code span:has-text('--hints=')")
    assert flag.bounding_box()["height"] < 30  # one line


@pytest.mark.browser
def test_where_no_picture_is_seen_there_is_no_color_to_copy(visit) -> None:
    """As in WebKit while the next picture is loaded."""
    color = visit.evaluate(
        """async () => {
          const { meanAround } = await import("./static/sampling.js");
          const image = new Image(20, 20);
          image.src = document.createElement("canvas").toDataURL(); // clear
          await image.decode();
          return meanAround(image, image, 10, 10);
        }"""
    )
    assert color is None
