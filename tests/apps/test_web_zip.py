"""Many files on the page: added, packed into a ZIP, and there again after a reload."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from helpers.web import changed, click, colored, correct, give, pixels, saved, until


@pytest.mark.browser
def test_work_goes_on_while_a_zip_is_made(visit, photos) -> None:
    """What is corrected then is not in the ZIP, and is asked about; what is removed stays away."""
    give(visit, photos.jpeg, photos.deep, photos.clear)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 3")
    correct(visit, 0.25, 0.5)
    held: list = []
    visit.route("**/file", lambda route: held.append(route))
    with visit.expect_download() as download:
        visit.click("#zip")
        until(visit, lambda: held)
        held.pop().continue_()
        until(visit, lambda: held)
        correct(visit, 0.75, 0.5)
        given: list = []
        visit.on(
            "request", lambda asked: given.append(asked.url) if "?name=" in asked.url else None
        )
        visit.click("[aria-label='Remove deep.png']")
        held.pop().continue_()
        until(visit, lambda: held)
        held.pop().continue_()
    with zipfile.ZipFile(download.value.path()) as packed:
        names = {"old photo_colored.jpg", "old photo.hints.json", "clear_colored.png"}
        assert {*packed.namelist()} == names | {"commands.txt"}
        assert len(json.loads(packed.read("old photo.hints.json"))) == 1
    assert not given
    visit.click("[aria-label='Remove old photo.jpg']")
    visit.wait_for_selector("#question:has-text('2 corrections')")
    visit.keyboard.press("Control+z")  # not behind the question
    assert visit.locator(".mark").count() == 2
    visit.click("#question >> text=/^Remove$/")


@pytest.mark.browser
def test_too_many_files_for_a_zip_are_told_before_they_are_made(visit, photos) -> None:
    def few(route) -> None:
        route.fulfill(json=route.fetch().json() | {"most_in_zip": 1})

    visit.route("**/api/about", few)
    visit.reload()
    visit.wait_for_selector("body[data-ready]")
    made: list = []
    visit.on("request", lambda asked: made.append(asked.url) if "/file" in asked.url else None)
    give(visit, photos.jpeg, photos.deep)
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    visit.click("#zip")
    visit.wait_for_selector("text=/A ZIP takes up to 1 files, and there are 2/")
    assert not made


@pytest.mark.browser
def test_a_zip_tells_what_it_lacks(visit, photos) -> None:
    """Of files that are not ready when it is made, or that could not be colored."""
    held: list = []
    visit.route("**/gray", lambda route: held.append(route))
    give(visit, photos.jpeg, photos.broken, photos.deep, photos.clear)
    visit.wait_for_selector("#zip:has-text('None of the 4 files is ready')")
    assert visit.locator("#zip").is_disabled()

    def ready(count: int, so_far: str = " so far") -> None:
        until(visit, lambda: held)
        held.pop().continue_()
        visit.wait_for_selector(f"#zip:has-text('Download {count} of 4 files{so_far} (ZIP)')")

    ready(1)
    assert not visit.locator("#zip-told").text_content()
    ready(2)
    _, data = saved(visit, "#zip")
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        pictures = ["old photo_colored.jpg", "deep_colored.png"]
        assert packed.namelist() == [*pictures, "commands.txt"]
    told = (
        "The ZIP has 2 of 4 files. Not ready when it was made: clear.png. Not colored: broken.jpg."
    )
    visit.wait_for_selector(f"#zip-told:has-text('{told}')")
    ready(3, "")
    visit.click("[aria-label='Remove broken.jpg']")
    visit.wait_for_selector("#zip:has-text('Download all (ZIP)')")
    saved(visit, "#zip")
    visit.wait_for_function("() => !document.querySelector('#zip-told').textContent")


@pytest.mark.browser
def test_a_file_added_to_an_open_one_is_shown_or_told_of(visit, photos) -> None:
    visit.set_viewport_size({"width": 1280, "height": 800})
    give(visit, photos.jpeg)
    visit.wait_for_selector("#status:has-text('old photo.jpg')")
    colored(visit)
    held: list = []
    visit.route("**/gray", lambda route: held.append(route))

    def arrive() -> None:
        until(visit, lambda: held)
        held.pop().continue_()

    give(visit, photos.deep)
    visit.wait_for_selector("#arrived:has-text('Adding deep.png')")
    arrive()
    visit.wait_for_selector("#status:has-text('deep.png')")
    assert not visit.locator("#arrived").is_visible()

    give(visit, photos.clear, photos.jpeg)  # to somebody who corrects another one meanwhile
    visit.wait_for_selector("#arrived:has-text('Adding 2 files')")
    click(visit, 0.5, 0.5)
    visit.wait_for_selector("#palette")
    arrive()
    arrive()
    visit.wait_for_selector("#arrived:has-text('2 files are added')")
    box = visit.locator("#arrived").bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] <= 800
    assert visit.locator("#palette").is_visible()
    visit.click("#arrived-show")
    visit.wait_for_selector("#status:has-text('clear.png')")
    assert not visit.locator("#arrived").is_visible()


@pytest.mark.browser
def test_files_are_there_after_a_reload(visit, photos, address, tmp_path) -> None:
    own = tmp_path / "own.jpg"
    own.write_bytes(photos.jpeg.read_bytes())
    give(visit, photos.deep)
    visit.wait_for_selector("#status:has-text('deep.png')")
    asked: list[str] = []
    visit.on("request", lambda a: asked.append(a.url) if a.url.endswith("/color") else None)
    give(visit, own)
    visit.wait_for_selector("#status:has-text('own.jpg')")
    correct(visit, 0.25, 0.5)
    old = colored(visit)
    visit.locator("#saturation").fill("1.9")
    changed(visit, old)
    key = asked[-1].split("/")[-2]
    before = pixels(visit, "")
    visit.on("dialog", lambda dialog: dialog.accept())

    visit.reload()
    visit.wait_for_selector("#status:has-text('own.jpg, 140 × 90 pixels')")
    visit.wait_for_function("() => document.querySelectorAll('#gallery img').length === 2")
    colored(visit)
    np.testing.assert_array_equal(pixels(visit, ""), before)
    assert visit.locator(".mark").count() == 1
    assert visit.locator("#saturation").input_value() == "1.9"

    # Meanwhile the server deleted it: the same file given again has its corrections.
    assert visit.request.delete(f"{address}api/pictures/{key}").status == 204
    visit.reload()
    visit.wait_for_selector("#alert:has-text('own.jpg is no longer at the server')")
    visit.wait_for_selector("#status:has-text('deep.png')")
    give(visit, own)
    visit.wait_for_selector("#status:has-text('own.jpg')")
    assert visit.locator(".mark").count() == 1 and visit.locator("#gallery li").count() == 2
    np.testing.assert_array_equal(pixels(visit, ""), before)
    for name in ("own.jpg", "deep.png"):
        visit.click(f"[aria-label='Remove {name}']")
        if name == "own.jpg":
            visit.click("#question >> text=/^Remove$/")
    visit.reload()
    visit.wait_for_selector("#samples button")
    assert not visit.locator("#gallery li").count()


@pytest.mark.browser
def test_files_wait_until_the_page_knows_what_the_server_takes(visit, photos) -> None:
    held: list = []
    visit.route("**/api/about", lambda route: held.append(route))
    visit.reload()
    give(visit, photos.jpeg)
    until(visit, lambda: held)
    visit.wait_for_timeout(100)
    held[0].continue_()
    colored(visit)
    assert visit.locator("#gallery img").count() == 1


@pytest.mark.browser
def test_a_file_that_is_moved_or_cut_before_it_is_sent_is_told(visit, photos, tmp_path) -> None:
    """Firefox and WebKit would send it without an end."""
    gone, cut = (tmp_path / name for name in ("gone.jpg", "cut.jpg"))
    for path in (gone, cut):
        shutil.copy(photos.jpeg, path)
    held: list = []
    visit.route("**/api/about", lambda route: held.append(route))
    visit.reload()
    give(visit, gone, cut)
    until(visit, lambda: held)
    gone.unlink()
    cut.write_bytes(b"short")
    held[0].continue_()
    for name in ("gone.jpg", "cut.jpg"):
        visit.wait_for_selector(f"#gallery .bad:has-text('{name} cannot be read any more')")
