"""The weights that come with the package: their size, their accuracy, and how they are used."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.data import sample_images
from residual_encoder.evaluation import metrics
from residual_encoder.imaging import colorspace, image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import PRETRAINED, shipped_weights

MEGABYTES = 25  # what a clone should have to carry at most


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer()


def test_small_enough_and_described():
    assert shipped_weights().stat().st_size < MEGABYTES * 1e6
    card = (PRETRAINED / "README.md").read_text()
    assert shipped_weights().name in card


def test_better_than_gray_on_photographs_it_never_saw(colorizer):
    """Summed over scikit-image's photographs: they were in no training set."""
    errors = []
    for _, truth in sample_images.photographs():
        gray = sample_images.luma_u8(truth)
        outputs = (colorizer.colorize(gray), np.repeat(gray[..., None], 3, axis=-1))
        errors.append([np.mean((output.astype(float) - truth) ** 2) for output in outputs])
    ours, gray = np.mean(errors, axis=0)
    assert metrics.psnr(ours) > metrics.psnr(gray) + 0.2


def test_the_documentation_names_its_layers(colorizer):
    page = (ROOT / "docs" / "fine_tuning.md").read_text()
    names = set(re.findall(r'get_layer\("(\w+)"\)', page))
    assert len(names) > 1 and names <= {layer.name for layer in colorizer.network.layers}


def test_keeps_the_gray(colorizer):
    gray = sample_images.luma_u8(next(sample_images.photographs())[1])
    luma = colorspace.luma_gray(colorizer.colorize(gray) / np.float32(255)).numpy()[..., 0] * 255
    assert np.abs(luma - gray).mean() < 0.5


def test_a_clone_colors_a_photograph_in_one_command(tmp_path):
    source = tmp_path / "coffee.png"
    image_io.write(source, sample_images.luma_u8(dict(sample_images.photographs())["coffee"]))
    command = [sys.executable, "tools/colorize.py", str(source), f"--output={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    colored = image_io.read(tmp_path / "out" / "coffee.png").pixels
    # The wooden table is warmer than gray.
    assert np.mean(colored[300:, :, 0].astype(int) - colored[300:, :, 2]) > 5
