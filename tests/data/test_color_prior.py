"""The prior of the classes is counted from every pixel of every picture."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers.ab_classes import AB
from helpers.training_runs import SCENES

from residual_encoder.data import color_prior
from residual_encoder.imaging import ab_quantization, image_io


def test_a_color_outside_the_gamut_counts_for_the_nearest_class():
    by_cell = np.zeros(23 * 23, np.int64)
    by_cell[ab_quantization.ab_cell(tf.constant([[0.0, 0.0]])).numpy()] = 4
    by_cell[ab_quantization.ab_cell(tf.constant([[-110.0, 110.0]])).numpy()] = (
        1  # no sRGB is so green
    )
    counts = color_prior._in_gamut(by_cell)
    assert counts.sum() == 5
    assert counts[np.flatnonzero((AB == 0).all(1))] == 4
    nearest = np.argmin(((AB - [-110, 110]) ** 2).sum(1))
    assert counts[nearest] == 1


def test_prior_counts_every_pixel(tmp_path):
    path = tmp_path / "prior.txt"
    assert color_prior.measure_prior(color_prior.PriorConfig(SCENES, path, limit=3)) == 3
    rows = np.loadtxt(path, dtype=int)
    np.testing.assert_array_equal(rows[:, :2], AB)
    assert rows[:, 2].sum() == 3 * 64 * 64
    assert "12,288 pixels of 3\n" in path.read_text()
    with pytest.raises(FileExistsError):
        color_prior.measure_prior(color_prior.PriorConfig(SCENES, path, limit=3))


def test_prior_counts_a_picture_of_one_color(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        image_io.write(tmp_path / "pictures" / name, np.full((70, 80, 3), (255, 0, 0), np.uint8))
    command = [sys.executable, ROOT / "tools" / "measure_color_prior.py", "--data=folder"]
    command += [f"--data_dir={tmp_path / 'pictures'}", f"--output={tmp_path / 'prior.txt'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 photographs" in done.stdout
    counts = np.loadtxt(tmp_path / "prior.txt")[:, 2]
    assert counts[np.flatnonzero((AB == [80, 70]).all(1))] == counts.sum() == 2 * 64 * 64
