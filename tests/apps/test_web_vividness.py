"""The page's control of vividness: which models have it, and what moving it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from helpers.web import changed, click, colored, correct, give, pixels, saved, until

from residual_encoder.apps.web import limits, preview
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import parse
from residual_encoder.models import vividness

VIVID = 0.85


@pytest.fixture(scope="module")
def colorizer(distribution_weights: Path) -> Colorizer:
    return Colorizer(distribution_weights)


def site(model: Colorizer, folder: Path):
    """The answers of a page, with the picture that they are about."""
    pytest.importorskip("starlette", reason="Starlette is not installed")
    from residual_encoder.apps.web import routes, store

    return routes.Site(model, store.Store(folder), {}, 1, 1)


def entry_of(page, path: Path):
    entry = page.store.add(path.name)
    entry.path.write_bytes(path.read_bytes())
    return entry


@pytest.fixture(scope="module")
def command_line(photos, distribution_weights: Path, tmp_path_factory) -> Path:
    """The folder with what tools/colorize.py makes of a picture, vivid."""
    output = tmp_path_factory.mktemp("output")
    options = f"--output={output}", f"--model={distribution_weights}", f"--vividness={VIVID}"
    command = [sys.executable, "tools/colorize.py", str(photos.jpeg), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return output


# --- without a browser ----------------------------------------------------------------------------


def test_moving_it_runs_no_network(colorizer, photos, monkeypatch) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    assert shown.logits.shape[-1] == 261
    for name in ("predict", "predict_logits"):
        monkeypatch.setattr(colorizer, name, None)
    for name in ("chroma", "logits"):
        monkeypatch.setattr(colorizer.engine, name, None)
    own = preview.render_preview(colorizer, shown, 1.0)
    vivid = preview.render_preview(colorizer, shown, 1.0, VIVID)
    assert np.ptp(vivid, axis=-1).mean() > 1.1 * np.ptp(own, axis=-1).mean()
    np.testing.assert_array_equal(preview.render_preview(colorizer, shown, 1.0, None), own)


def test_preview_is_the_picture_at_any_vividness(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    own = preview.render_preview(colorizer, shown, 1.0)
    np.testing.assert_array_equal(own, colorizer.colorize(photos.jpeg))
    for vivid in (0.0, VIVID, 1.0):
        seen = preview.render_preview(colorizer, shown, 1.0, vivid)
        np.testing.assert_array_equal(seen, colorizer.colorize(photos.jpeg, vividness=vivid))


def test_an_unmoved_control_leaves_the_models_own_numbers(
    distribution_weights, photos, tmp_path
) -> None:
    """They may lie off the curve: its nearest place is shown, and nothing else is computed."""
    own = Colorizer(distribution_weights, temperature=0.9)
    page = site(own, tmp_path)
    assert page.start == vividness.nearest(0.9, 0.0)
    entry = entry_of(page, photos.jpeg)
    unmoved = page._look({"vividness": page.start})
    assert unmoved == (1.0, None, [], False)
    shown = preview.render_preview(own, preview.make_preview(own, photos.jpeg), 1.0)
    first = page._drawn(entry, unmoved).body
    assert first == image_io.encode(shown, ".jpg")
    assert page._drawn(entry, page._look({"vividness": page.start + 0.05})).body != first


def test_control_starts_at_what_the_page_was_started_with(distribution_weights, tmp_path) -> None:
    """Between two steps of the control, too."""
    from residual_encoder.apps.web import archive

    page = site(Colorizer(distribution_weights, vividness=0.33), tmp_path)
    assert page.start == 0.35
    served = archive.Served(vividness=0.33)
    page = type(page)(page.colorizer, page.store, {}, 1, 1, served)
    assert page.start == 0.33 and page._look({"vividness": 0.33}).vividness is None
    assert page._look({"vividness": 0.35}).vividness == 0.35


def test_control_starts_where_the_model_was_set(
    distribution_weights, soft_weights, tmp_path
) -> None:
    vivid = Colorizer(distribution_weights, vividness=VIVID)
    assert site(vivid, tmp_path).start == VIVID
    assert site(Colorizer(soft_weights), tmp_path).start is None


def test_download_is_what_the_command_line_writes(
    colorizer, photos, command_line, tmp_path
) -> None:
    page = site(colorizer, tmp_path)
    made = page._made(entry_of(page, photos.jpeg), page._look({"vividness": VIVID}))
    path = page.store.result(made["url"].removeprefix("files/"))
    assert made["name"] == path.name == "old photo_colored.jpg"
    assert path.read_bytes() == (command_line / photos.jpeg.name).read_bytes()


def test_no_file_is_made_where_the_space_is_used_up(colorizer, photos, tmp_path) -> None:
    page = site(colorizer, tmp_path)
    entry = entry_of(page, photos.jpeg)
    page.store.most = 1
    with pytest.raises(limits.Full):
        page._made(entry, page._look({}))
    assert list(entry.path.parent.iterdir()) == [entry.path]


def test_a_number_out_of_range_is_a_message(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    with pytest.raises(ValueError, match=r"vividness must be 0 to 1. Received 3.0."):
        preview.render_preview(colorizer, shown, 1.0, 3.0)


def test_likely_colors_are_those_of_the_distribution(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    rgb, gray = preview.likely_at(colorizer, shown, 70, 45)
    assert rgb.shape == (6, 3) and 0 < gray < 1
    with pytest.raises(ValueError, match="outside the picture"):
        preview.likely_at(colorizer, shown, 140, 0)


def test_hints_and_vividness_together(colorizer, photos) -> None:
    hints = [{"x": 70, "y": 45, "rgb": [180, 60, 50]}]
    shown = preview.make_preview(colorizer, photos.jpeg)
    vivid = preview.render_preview(colorizer, shown, 1.0, VIVID, parse(hints))
    whole = colorizer.colorize(photos.jpeg, vividness=VIVID, hints=hints)
    np.testing.assert_array_equal(vivid, whole)


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(distribution_weights: Path) -> Iterator[str]:
    """The tool as a user runs it, with a model that has a distribution."""
    pytest.importorskip("starlette", reason="Starlette is not installed")
    command = [sys.executable, "tools/demo.py", f"--model={distribution_weights}", "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[1]
        finally:
            server.terminate()
            server.wait(timeout=60)


@pytest.mark.browser
def test_vivid_and_download(visit, photos, command_line) -> None:
    give(visit, photos.jpeg)
    visit.wait_for_selector("#status:has-text('140 × 90 pixels')")
    plain = colored(visit)
    own = np.ptp(pixels(visit, plain), axis=-1).mean()
    boxes = [visit.locator(f"#{name}").bounding_box() for name in ("vividness", "saturation")]
    assert (boxes[0]["y"], boxes[0]["x"]) < (boxes[1]["y"], boxes[1]["x"])
    visit.locator("#vividness").fill(str(VIVID))
    assert np.ptp(pixels(visit, changed(visit, plain)), axis=-1).mean() > 1.1 * own
    with visit.expect_download() as download:
        visit.click("#save")
    wanted = (command_line / photos.jpeg.name).read_bytes()
    assert Path(download.value.path()).read_bytes() == wanted


def wait_for(tab, held: list, count: int) -> None:
    """Waits for so many requests, and a little for more that would be too many."""
    until(tab, lambda: len(held) >= count)
    tab.wait_for_timeout(100)
    assert len(held) == count


@pytest.mark.browser
def test_a_drag_shows_its_pictures_meanwhile(visit, photos) -> None:
    """One request is at work, the newest color is asked for next, and no answer is lost."""
    give(visit, photos.jpeg)
    plain = colored(visit)
    click(visit, 0.75, 0.5)
    visit.wait_for_selector("#likely button")
    held, failed = [], []
    visit.on("requestfailed", lambda request: failed.append(request.url))
    visit.route("**/color", lambda route: held.append(route))
    assert not visit.locator("#palette .work").is_visible()
    box = visit.locator("#hue").bounding_box()
    y = box["y"] + box["height"] / 2
    visit.mouse.move(box["x"] + 0.1 * box["width"], y)
    visit.mouse.down()
    visit.mouse.move(box["x"] + 0.5 * box["width"], y, steps=20)
    wait_for(visit, held, 1)
    assert visit.locator("#palette .work").is_visible()
    held[0].continue_()
    visit.wait_for_function("old => document.querySelector('#color').src != old", arg=plain)
    wait_for(visit, held, 2)
    visit.mouse.move(box["x"] + 0.9 * box["width"], y, steps=20)
    wait_for(visit, held, 2)
    visit.mouse.up()
    held[1].continue_()
    wait_for(visit, held, 3)
    colors = [tuple(one.request.post_data_json["hints"][0]["rgb"]) for one in held]
    assert len(set(colors)) == 3
    held[2].continue_()
    visit.wait_for_selector("#busy", state="hidden")
    assert not visit.locator("#palette .work").is_visible()
    visit.unroute("**/color")
    _, text = saved(visit, "#save-hints")
    assert tuple(json.loads(text)[0]["rgb"]) == colors[-1]
    visit.click("#undo")  # the whole drag
    visit.wait_for_function("() => !document.querySelector('.mark')")
    assert not failed


@pytest.mark.browser
def test_undo_goes_back_in_the_order_of_what_was_done(visit, photos) -> None:
    give(visit, photos.jpeg)
    own = np.ptp(pixels(visit, colored(visit)), axis=-1).mean()
    box = visit.locator("#saturation").bounding_box()
    y = box["y"] + box["height"] / 2
    visit.mouse.move(box["x"] + 0.5 * box["width"], y)
    visit.mouse.down()
    visit.mouse.move(box["x"] + 0.9 * box["width"], y, steps=9)
    visit.mouse.up()
    correct(visit, 0.75, 0.5)
    visit.focus("#vividness")
    start = visit.locator("#vividness").input_value()
    for _ in range(3):
        visit.keyboard.press("ArrowRight")
    visit.check("#faces")

    def now() -> tuple:
        values = [visit.locator(f"#{name}").input_value() for name in ("saturation", "vividness")]
        return (*values, visit.is_checked("#faces"), visit.locator(".mark").count())

    seen = [now()]
    while visit.locator("#undo").is_enabled():
        visit.click("#undo")
        seen.append(now())
    vivid, strong = seen[0][1], seen[0][0]
    assert float(vivid) > float(start) and float(strong) > 1.5
    assert seen == [
        (strong, vivid, True, 1),
        (strong, vivid, False, 1),
        (strong, start, False, 1),
        (strong, start, False, 0),
        ("1", start, False, 0),
    ]
    visit.wait_for_selector("#busy", state="hidden")
    np.testing.assert_allclose(np.ptp(pixels(visit, ""), axis=-1).mean(), own)
    visit.click("#redo")
    assert now() == seen[3]


@pytest.mark.browser
def test_a_file_of_corrections_has_the_vividness(visit, photos, distribution_weights, tmp_path):
    """Where it was moved; the command then makes the bytes of the page."""
    give(visit, photos.jpeg)
    correct(visit, 0.75, 0.5)
    assert isinstance(json.loads(saved(visit, "#save-hints")[1]), list)
    old = colored(visit)
    visit.locator("#vividness").fill(str(VIVID))
    seen = pixels(visit, changed(visit, old))
    assert visit.text_content("#vividness-is") == str(VIVID)
    name, text = saved(visit, "#save-hints")
    assert {*json.loads(text)} == {"vividness", "hints"}
    (tmp_path / name).write_bytes(text)
    _, data = saved(visit, "#save")
    sources = [str(photos.jpeg), f"--hints={tmp_path / name}", f"--output={tmp_path}"]
    command = [sys.executable, "tools/colorize.py", *sources, f"--model={distribution_weights}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert data == (tmp_path / photos.jpeg.name).read_bytes()

    visit.reload()
    visit.wait_for_selector("body[data-ready]")
    old = colored(visit)
    visit.locator("#vividness").fill("0.1")
    old = changed(visit, old)
    give(visit, tmp_path / name)
    np.testing.assert_array_equal(pixels(visit, changed(visit, old)), seen)


@pytest.mark.browser
def test_a_file_of_corrections_has_what_the_page_was_started_with(visit, photos) -> None:
    """Its vividness is not that of the command, also where nobody moved the control."""

    def started(route) -> None:
        told = route.fetch().json()
        route.fulfill(json=told | {"given_vividness": told["vividness"]})

    visit.route("**/api/about", started)
    visit.reload()
    visit.wait_for_selector("body[data-ready]")
    give(visit, photos.jpeg)
    correct(visit, 0.75, 0.5)
    told = json.loads(saved(visit, "#save-hints")[1])
    assert str(told["vividness"]) == visit.text_content("#vividness-is")
    assert {*told} == {"vividness", "hints"}
