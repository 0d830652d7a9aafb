"""Files of corrections on the page that have settings too: written, read, shown, refused."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from helpers.web import changed, colored, correct, give, notes, pixels, saved, until

from residual_encoder.inference.hints import read

RED = {"x": 50, "y": 40, "rgb": [200, 30, 40]}


@pytest.mark.browser
def test_a_file_of_corrections_has_the_settings(visit, photos, tmp_path) -> None:
    """The command makes the page's bytes of it, and the page its own picture."""
    give(visit, photos.jpeg)
    correct(visit, 0.75, 0.5)
    assert isinstance(json.loads(saved(visit, "#save-hints")[1]), list)
    plain = colored(visit)
    visit.locator("#saturation").fill("1.7")
    visit.check("#faces")
    seen = pixels(visit, changed(visit, plain))
    name, text = saved(visit, "#save-hints")
    told = json.loads(text)
    assert {**told, "hints": 1} == {"saturation": 1.7, "faces": True, "hints": 1}
    _, data = saved(visit, "#save")
    (tmp_path / name).write_bytes(text)
    shutil.copy(photos.jpeg, tmp_path)
    tool, *words = shlex.split(visit.text_content("#again code"))
    assert not any("saturation" in word or "faces" in word for word in words)
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *words]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert data == (tmp_path / "colored" / photos.jpeg.name).read_bytes()

    visit.click("#clear")
    visit.locator("#saturation").fill("0.2")
    visit.uncheck("#faces")
    old = colored(visit)
    give(visit, tmp_path / name)  # and back
    np.testing.assert_array_equal(pixels(visit, changed(visit, old)), seen)
    assert visit.input_value("#saturation") == "1.7" and visit.is_checked("#faces")
    old = colored(visit)
    give(visit, notes(tmp_path, name, *told["hints"]))  # of a picture that had the first settings
    changed(visit, old)
    assert visit.input_value("#saturation") == "1" and not visit.is_checked("#faces")


@pytest.mark.browser
def test_work_on_a_file_of_corrections_is_seen(visit, photos, tmp_path) -> None:
    """A server that is busy answers late; a refusal ends the work, too."""
    give(visit, photos.deep)
    colored(visit)
    held: list = []
    visit.route("**/color", lambda route: held.append(route))
    for hint, seen in (
        (RED, ".mark"),
        (RED | {"x": 999}, "#alert:has-text('outside the picture')"),
    ):
        give(visit, notes(tmp_path, "deep.hints.json", hint))
        visit.wait_for_selector("#busy")
        until(visit, lambda: held)
        held.pop().continue_()
        visit.wait_for_selector(seen)
        visit.wait_for_selector("#busy", state="hidden")


@pytest.mark.browser
@pytest.mark.parametrize("setting", ["saturation", "vividness", "faces"])
def test_a_setting_that_is_null_is_refused_as_by_the_command(
    setting, visit, photos, tmp_path
) -> None:
    give(visit, photos.deep)
    colored(visit)
    path = tmp_path / "deep.hints.json"
    path.write_text(json.dumps({"hints": [RED], setting: None}))
    with pytest.raises(ValueError, match=f"{setting} must be"):
        read(path)
    give(visit, path)
    visit.wait_for_selector(f"#alert:has-text('{setting} null is no setting of a picture')")
    assert not visit.locator(".mark").count()


@pytest.mark.browser
def test_the_number_beside_a_slider_is_the_one_that_is_used(visit, photos, tmp_path) -> None:
    """A file may have one beyond the slider's end, or between its steps."""
    give(visit, photos.jpeg)
    old = colored(visit)
    path = tmp_path / "old photo.hints.json"
    for given, slider in ((3, "2"), (1.234, "1.25")):
        path.write_text(json.dumps({"hints": [], "saturation": given}))
        with visit.expect_request("**/color") as asked:
            give(visit, path)
        assert asked.value.post_data_json["saturation"] == given
        old = changed(visit, old)
        assert visit.text_content("#saturation-is") == f"{given}"
        assert visit.get_attribute("#saturation", "aria-valuetext") == f"{given}"
        assert visit.input_value("#saturation") == slider
    visit.focus("#saturation")
    visit.keyboard.press("ArrowLeft")
    changed(visit, old)
    assert visit.text_content("#saturation-is") == visit.input_value("#saturation") == "1.2"
    visit.click("#undo")
    assert visit.text_content("#saturation-is") == "1.234"
