"""The page's control of vividness: which models have it, and what moving it does."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

# Fixtures among them are used by name; `address` below takes the place of that module's.
from test_web import browser, colored, give, photos, visit  # noqa: F401

from residual_encoder.apps.web import handlers as handlers_module
from residual_encoder.apps.web import interface, preview
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import vividness

VIVID = 0.85


@pytest.fixture(scope="module")
def colorizer(distribution_weights: Path) -> Colorizer:
    return Colorizer(distribution_weights)


@pytest.fixture
def handlers(colorizer: Colorizer, tmp_path: Path) -> handlers_module.Handlers:
    return handlers_module.Handlers(colorizer, tmp_path)


@pytest.fixture(scope="module")
def command_line(photos, distribution_weights: Path, tmp_path_factory) -> Path:
    """The folder with what tools/colorize.py makes of a picture, vivid."""
    output = tmp_path_factory.mktemp("output")
    options = f"--output={output}", f"--model={distribution_weights}", f"--vividness={VIVID}"
    command = [sys.executable, "tools/colorize.py", str(photos.jpeg), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return output


def elements(model: Colorizer, folder: Path) -> list[str]:
    """The names of the page's parts, top to bottom."""
    pytest.importorskip("gradio", reason="Gradio is not installed")
    blocks = interface.build(model, folder)
    return [block.elem_id for block in blocks.blocks.values() if block.elem_id]


# --- without a browser ----------------------------------------------------------------------------


def test_vividness_comes_first_where_there_is_a_distribution(colorizer, tmp_path) -> None:
    names = elements(colorizer, tmp_path)
    assert names.index("vividness") == names.index("saturation") - 1


def test_others_have_saturation_only(soft_weights, tmp_path) -> None:
    names = elements(Colorizer(soft_weights), tmp_path)
    assert "saturation" in names and "vividness" not in names


def test_moving_it_runs_no_network(colorizer, photos, monkeypatch) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    assert shown.logits.dtype == np.float16 and shown.logits.shape[-1] == 261
    for name in ("predict", "predict_logits", "_network", "_logits"):
        monkeypatch.setattr(colorizer, name, None)
    own = preview.render_preview(colorizer, shown, 1.0)
    vivid = preview.render_preview(colorizer, shown, 1.0, VIVID)
    assert np.ptp(vivid, axis=-1).mean() > 1.1 * np.ptp(own, axis=-1).mean()
    np.testing.assert_array_equal(preview.render_preview(colorizer, shown, 1.0, None), own)


def test_preview_is_the_picture_within_half_precision(colorizer, photos) -> None:
    shown = preview.make_preview(colorizer, photos.jpeg)
    own = preview.render_preview(colorizer, shown, 1.0)
    np.testing.assert_array_equal(own, colorizer.colorize(photos.jpeg))
    vivid = preview.render_preview(colorizer, shown, 1.0, VIVID)
    whole = colorizer.colorize(photos.jpeg, vividness=VIVID)
    assert np.abs(vivid.astype(int) - whole).max() <= 1


def test_an_unmoved_control_leaves_the_models_own_numbers(
    distribution_weights,
    photos,
    tmp_path,
    monkeypatch,
) -> None:
    """They may lie off the curve: its nearest place is shown, and nothing else is computed."""
    own = Colorizer(distribution_weights, temperature=0.9)
    handlers = handlers_module.Handlers(own, tmp_path)
    assert handlers.start == vividness.nearest(0.9, 0.0)
    _, kept, (_, first) = handlers.open_picture(photos.jpeg, 1.0, handlers.start)
    shown = preview.render_preview(own, kept[0], 1.0)
    image_io.write(tmp_path / "wanted.jpg", shown)
    assert first.read_bytes() == (tmp_path / "wanted.jpg").read_bytes()
    _, (_, moved) = handlers.change_colors(kept, 1.0, handlers.start + 0.05)
    assert moved.read_bytes() != first.read_bytes()


def test_control_starts_where_the_model_was_set(distribution_weights, soft_weights) -> None:
    vivid = Colorizer(distribution_weights, vividness=VIVID)
    assert handlers_module.start_vividness(vivid) == VIVID
    assert handlers_module.start_vividness(Colorizer(soft_weights)) is None


def test_download_is_what_the_command_line_writes(
    handlers,
    photos,
    command_line,
) -> None:
    _, kept, _ = handlers.open_picture(photos.jpeg, 1.0, 0)
    _, path = handlers.make_download(kept, 1.0, VIVID)
    assert path.read_bytes() == (command_line / photos.jpeg.name).read_bytes()


def test_a_number_out_of_range_is_a_message(handlers, photos) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed")
    _, kept, _ = handlers.open_picture(photos.jpeg, 1.0, 0)
    status, _ = handlers_module.guarded(handlers.change_colors, 2)(kept, 1.0, 3.0)
    assert "vividness must be 0 to 1. Received 3.0." in status and 'class="error"' in status


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(distribution_weights: Path) -> Iterator[str]:
    """The tool as a user runs it, with a model that has a distribution."""
    pytest.importorskip("gradio", reason="Gradio is not installed")
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
    tops = [visit.locator(f"#{name}").bounding_box()["y"] for name in ("vividness", "saturation")]
    assert tops[0] < tops[1]

    visit.fill("#vividness input[type=number]", str(VIVID))
    visit.keyboard.press("Enter")
    visit.wait_for_function(
        "old => [...document.querySelectorAll('#comparison img')].pop().src != old", arg=plain
    )
    pictures = [
        image_io.decode(visit.request.get(url).body()).rgb for url in (plain, colored(visit))
    ]
    own, vivid = (np.ptp(rgb, axis=-1).mean() for rgb in pictures)
    assert vivid > 1.1 * own

    with visit.expect_download() as download:
        visit.click("#save")
    wanted = (command_line / photos.jpeg.name).read_bytes()
    assert Path(download.value.path()).read_bytes() == wanted
