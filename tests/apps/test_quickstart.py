"""`make demo` in small, and the README's Python run on what it leaves."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder.apps import quickstart
from residual_encoder.data import scenes
from residual_encoder.imaging import colorspace, image_io
from residual_encoder.training.workdir import read_metrics

slow = pytest.mark.slow  # a minute: training, evaluation, export and coloring


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    tool = [
        sys.executable,
        str(ROOT / "tools" / "quickstart.py"),
        f"--workdir={folder}",
        "--steps=6",
    ]
    result = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr
    return folder, result


@slow
def test_it_ends_by_saying_where_the_report_is(finished):
    folder, result = finished
    assert f"Report:   {folder / 'report.html'}" in result.stdout
    assert "Traceback" not in result.stderr and "oneDNN" not in result.stderr


@slow
def test_the_page_holds_every_part(finished):
    page = (finished[0] / "report.html").read_text()
    for heading in ("Training", "Against gray", "fresh process", "shipped weights"):
        assert heading in page
    assert page.count("<img") == 3 + 6 + 4 + 4  # network, curve, strips; scenes; photographs twice
    assert "PSNR pooled over gray, dB" in page
    assert not re.search(r'(src|href)="http', page)


@slow
def test_colored_pictures_keep_their_gray(finished):
    for name in ("scene-0", "coffee"):
        gray = image_io.read(finished[0] / "gray" / f"{name}.png").pixels
        color = image_io.read(finished[0] / "color" / f"{name}.png").rgb
        luma = colorspace.luma_gray(color / 255).numpy()[..., 0] * 255
        inside = np.all((color > 0) & (color < 255), axis=-1)
        assert np.abs(luma - gray)[inside].max() <= 1.0
    truth = scenes.render(2, 0, 192)
    np.testing.assert_allclose(
        image_io.read(finished[0] / "gray" / "scene-0.png").pixels,
        colorspace.luma_gray(truth / 255).numpy()[..., 0] * 255,
        atol=0.51,
    )


@slow
def test_loss_falls_even_in_six_steps(finished):
    losses = [row["loss"] for row in read_metrics(finished[0] / "training") if "loss" in row]
    assert losses[-1] < losses[0]


def readme_blocks():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@slow
def test_readme_python_runs_as_printed(finished, tmp_path):
    """In a folder that has what the README's commands have made by then."""
    folder, _ = finished
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "modern").symlink_to(folder / "training")
    (tmp_path / "saved_model").symlink_to(folder / "saved_model")
    image_io.write(tmp_path / "portrait.png", scenes.render(2, 1, 100)[:70])
    blocks = readme_blocks()
    assert len(blocks) == 2
    for block in blocks:
        subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=True,
            timeout=200,
        )
    colored = tf.io.decode_png((tmp_path / "colored.png").read_bytes())
    assert colored.shape == (70, 100, 3)


def test_a_process_that_fails_tells_why(monkeypatch, tmp_path):
    monkeypatch.setattr(quickstart, "COLOR_FILES", "import sys; sys.exit(f'no {sys.argv[1]}')")
    with pytest.raises(ValueError, match=f"process of its own failed: no {tmp_path}. Remove"):
        quickstart._color_alone(tmp_path, [])
