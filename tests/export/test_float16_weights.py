"""Shipped weights: half the bytes, the same chroma, a hash that holds."""

import hashlib

import numpy as np
import pytest

from residual_encoder.export import float16_weights
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights


def test_half_the_bytes_and_the_same_colors(soft_weights, tmp_path):
    path = tmp_path / "small.weights.h5"
    assert float16_weights.release(soft_weights, path) < 0.5 / 255
    assert path.stat().st_size < 0.55 * soft_weights.stat().st_size
    ours, about = weights.read_arrays(path)
    theirs, before = weights.read_arrays(soft_weights)
    assert about == before
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=2**-11, atol=6e-8, err_msg=name)
    gray = np.random.default_rng(1).integers(0, 256, (40, 50), np.uint8)
    pair = [Colorizer(model).colorize(gray).astype(int) for model in (soft_weights, path)]
    assert np.abs(pair[0] - pair[1]).max() <= 1


def test_variances_beyond_float16_survive():
    halved = float16_weights.halved(
        {"a/kernel": np.ones((2, 2)), "a/moving_variance": np.float32([1e6])}
    )
    assert halved["a/kernel"].dtype == np.float16
    assert halved["a/moving_variance"] == [1e6]


def test_hash_is_that_of_the_file(soft_weights, tmp_path):
    path = tmp_path / "small.weights.h5"
    float16_weights.release(soft_weights, path)
    line = (tmp_path / "small.weights.h5.sha256").read_text()
    assert line == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  small.weights.h5\n"


def test_an_earlier_file_stays(soft_weights, tmp_path):
    path = tmp_path / "small.weights.h5"
    path.write_text("earlier")
    with pytest.raises(FileExistsError, match="exists; remove it or choose another output"):
        float16_weights.release(soft_weights, path)
    assert path.read_text() == "earlier"


def test_the_mean_of_two(soft_weights, tmp_path):
    arrays, about = weights.read_arrays(soft_weights)
    other, path = tmp_path / "other.weights.h5", tmp_path / "mean.weights.h5"
    arrays["uv/kernel"] = arrays["uv/kernel"] * 3
    arrays["uv_bn/beta"] = arrays["uv_bn/beta"] + 2
    weights.write_arrays(other, arrays, about)
    float16_weights.release(soft_weights, path, average_with=other)
    theirs, (ours, recipe) = weights.read_arrays(soft_weights)[0], weights.read_arrays(path)
    assert recipe == about
    np.testing.assert_allclose(ours["uv/kernel"], 2 * theirs["uv/kernel"], rtol=2**-11, atol=6e-8)
    np.testing.assert_allclose(ours["uv_bn/beta"], theirs["uv_bn/beta"] + 1, rtol=1e-6)
    np.testing.assert_array_equal(ours["uv_bn/gamma"], theirs["uv_bn/gamma"])


def test_only_weights_of_one_network_have_a_mean():
    arrays = {"a/kernel": np.ones((2, 2), np.float32)}
    one, *others = (
        {"recipe": {"network": {"name": name}, "color_space": space, "gray": "luma"}}
        for name, space in (("cnn", "yuv"), ("unet", "yuv"), ("cnn", "lab"))
    )
    for other in others:
        with pytest.raises(ValueError, match="of one network"):
            float16_weights.mean((arrays, one), (arrays, other))
    with pytest.raises(ValueError, match="of one network"):
        float16_weights.mean((arrays, one), ({"b/kernel": arrays["a/kernel"]}, one))


def test_what_float16_would_spoil_is_not_written(soft_weights, tmp_path):
    arrays, about = weights.read_arrays(soft_weights)
    arrays["color4/kernel"] = arrays["color4/kernel"] * 1e9  # infinite in float16
    spoiled, path = tmp_path / "spoiled.weights.h5", tmp_path / "small.weights.h5"
    weights.write_arrays(spoiled, arrays, about)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="changes chroma by"):
        float16_weights.release(spoiled, path)
    assert not path.exists()


def test_refuses_other_names_and_existing_files(soft_weights, tmp_path):
    with pytest.raises(ValueError, match="must end in .weights.h5"):
        float16_weights.release(soft_weights, tmp_path / "small.h5")
    with pytest.raises(FileExistsError):
        float16_weights.release(soft_weights, soft_weights)


def test_training_and_choice_of_colors_may_differ_in_a_mean():
    """A run with dropout from weights without it, or weights whose colors are more vivid."""
    one = {"recipe": {"network": {"name": "ab_classes", "taps": 5}, "gray": "luma"}}
    free = {"temperature": 1.0, "prior_correction": 0.5, "smoothing": 1, "dropout": [0.1] * 3}
    other = {"recipe": {"network": {**one["recipe"]["network"], **free}, "gray": "luma"}}
    arrays = [{"kernel": np.full((1, 1), value, np.float32)} for value in (1, 4)]
    mean = float16_weights.mean((arrays[0], one), (arrays[1], other))
    assert mean["kernel"] == 2.5
