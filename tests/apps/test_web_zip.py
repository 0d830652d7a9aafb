"""A ZIP of many files on the page, made while work goes on."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

from __future__ import annotations

import json
import zipfile

import pytest
from helpers.web import address, browser, correct, give, photos, visit  # noqa: F401


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
        while not held:
            visit.wait_for_timeout(20)
        held.pop().continue_()
        while not held:
            visit.wait_for_timeout(20)
        correct(visit, 0.75, 0.5)
        given: list = []
        visit.on(
            "request", lambda asked: given.append(asked.url) if "?name=" in asked.url else None
        )
        visit.click("[aria-label='Remove deep.png']")
        held.pop().continue_()
        while not held:
            visit.wait_for_timeout(20)
        held.pop().continue_()
    with zipfile.ZipFile(download.value.path()) as packed:
        names = {"old photo_colored.jpg", "old photo.hints.json", "clear_colored.png"}
        assert {*packed.namelist()} == names | {"commands.txt"}
        assert len(json.loads(packed.read("old photo.hints.json"))) == 1
    assert not given
    visit.click("[aria-label='Remove old photo.jpg']")
    visit.wait_for_selector("#question:has-text('2 corrections')")
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
