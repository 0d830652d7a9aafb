"""Weights files and checkpoints: strict, whole or not at all."""

import h5py
import keras
import numpy as np
import pytest

from residual_encoder.models import weights
from residual_encoder.training import checkpoints
from residual_encoder.utils import files

RECIPE = {"name": "test"}


def small(units=3, name="dense"):
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(units, name=name)(x))


def test_weights_return_and_carry_their_recipe(tmp_path):
    model, other, path = small(), small(), tmp_path / "w.weights.h5"
    weights.save_weights(model, path, RECIPE)
    weights.load_weights(other, path)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    assert weights.read_recipe(path) == RECIPE


def test_float16_files_load_into_float32(tmp_path):
    model, path = small(), tmp_path / "half.weights.h5"
    half = {v.path: v.numpy().astype(np.float16) for v in model.weights}
    weights.write_arrays(path, half, {"recipe": RECIPE})
    weights.load_weights(model, path)
    assert model.weights[0].dtype == "float32"
    np.testing.assert_array_equal(model.get_weights()[0], half["dense/kernel"].astype(np.float32))


def test_everything_that_differs_is_named_and_nothing_is_changed(tmp_path):
    path, model = tmp_path / "w.weights.h5", small()
    arrays = {"dense/kernel": np.zeros((4, 5)), "other/kernel": np.zeros(2)}
    weights.write_arrays(path, arrays, {"recipe": RECIPE})
    before = model.get_weights()[0]
    with pytest.raises(ValueError) as error:
        weights.load_weights(model, path)
    assert "Missing: ['dense/bias']" in str(error.value)
    assert "Unexpected: ['other/kernel']" in str(error.value)
    assert "dense/kernel is (4, 5), wanted (4, 3)" in str(error.value)
    np.testing.assert_array_equal(model.get_weights()[0], before)


@pytest.mark.parametrize("content", [b"", b"no HDF5 at all", None])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "w.weights.h5"
    weights.save_weights(small(), path, RECIPE)
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(ValueError, match="damaged or no weights file"):
        weights.load_weights(small(), path)


def test_a_keras_file_is_refused_by_name(tmp_path):
    small().save_weights(tmp_path / "keras.weights.h5")
    with pytest.raises(ValueError, match="was written by Keras, without a recipe. Load it by"):
        weights.load_weights(small(), tmp_path / "keras.weights.h5")


def test_find_weights(tmp_path):
    best = tmp_path / "checkpoints" / weights.BEST
    with pytest.raises(FileNotFoundError, match="holds no checkpoints/best.weights.h5"):
        weights.find_weights(tmp_path)
    best.parent.mkdir()
    weights.save_weights(small(), best, RECIPE)
    assert weights.find_weights(tmp_path) == weights.find_weights(best) == best
    with pytest.raises(FileNotFoundError, match="There is no"):
        weights.find_weights(tmp_path / "nowhere")


def test_newest_checkpoint_wins_and_three_are_kept(tmp_path):
    model = small()
    for step in (5, 10, 15, 20):
        model.weights[1].assign(np.full(3, step, np.float32))
        checkpoints.save(tmp_path, step, model.weights, {"cursor": [0, step]})
    assert checkpoints.steps(tmp_path) == [10, 15, 20]
    model.weights[1].assign(np.zeros(3))
    assert checkpoints.restore(tmp_path, model.weights) == (20, {"cursor": [0, 20]})
    np.testing.assert_array_equal(model.weights[1], np.full(3, 20))


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints.restore(tmp_path, small().weights) is None


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "w.weights.h5"
    weights.save_weights(small(), path, RECIPE)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        weights.save_weights(small(), path, RECIPE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_shows_nothing_before_the_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert files.sha256(path) == (
        "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"
    )
