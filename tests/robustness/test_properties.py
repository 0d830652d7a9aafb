"""Properties of the numerics, over sizes, ranges and types that hypothesis makes up.

Never NaN, shapes kept, gray stays gray. Examples are the same on every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from residual_encoder.evaluation import metrics
from residual_encoder.imaging import ab_quantization, colorspace, guided_filter, resizing
from residual_encoder.imaging.colorspace import COLOR_SPACES, GRAYS, Truth
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import any_size
from residual_encoder.recipes import LOSSES
from residual_encoder.training import losses

settings.register_profile(
    "residual_encoder", max_examples=25, deadline=None, derandomize=True, database=None
)
settings.load_profile("residual_encoder")

UNIT = st.floats(0, 1, width=32)
SIDES = st.integers(1, 12)
SPACES = st.sampled_from(sorted(COLOR_SPACES))
# Values of floats that no picture has: too large, too small, negative, denormal.
WILD = st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1e-38, -1e-38, 1e-7, 1 - 6e-8])


def grid(channels: int, elements: Any = UNIT, least: int = 1) -> st.SearchStrategy[np.ndarray]:
    """[H, W, channels] float32."""
    sides = st.integers(least, 12)
    shapes = st.tuples(sides, sides, st.just(channels))
    return shapes.flatmap(lambda shape: arrays.arrays(np.float32, shape, elements=elements))


def u8(least: int = 1) -> st.SearchStrategy[np.ndarray]:
    """[H, W, 3] uint8, with many corners of the cube."""
    values = st.integers(0, 255) | st.sampled_from([0, 1, 254, 255])
    sides = st.integers(least, 16)
    shapes = st.tuples(sides, sides, st.just(3))
    return shapes.flatmap(lambda shape: arrays.arrays(np.uint8, shape, elements=values))


# --- color spaces ---------------------------------------------------------------------------------


@given(grid(3), SPACES, st.sampled_from(sorted(GRAYS)))
def test_split_is_finite_in_range_and_of_the_same_shape(rgb, name, gray) -> None:
    chroma, level = COLOR_SPACES[name].chroma(rgb).numpy(), GRAYS[gray](rgb).numpy()
    assert chroma.shape == (*rgb.shape[:2], 2) and level.shape == (*rgb.shape[:2], 1)
    for part in (chroma, level):
        assert np.isfinite(part).all() and part.min() >= -1e-6 and part.max() <= 1 + 1e-6


@given(grid(3, WILD), SPACES)
def test_merge_of_anything_is_a_picture(mixed, name) -> None:
    """For any prediction, and also for gray out of range."""
    rgb = COLOR_SPACES[name].merge(mixed[..., :1], mixed[..., 1:]).numpy()
    assert rgb.shape == mixed.shape and rgb.dtype == np.float32
    assert np.isfinite(rgb).all() and rgb.min() >= 0 and rgb.max() <= 1


@given(grid(1), SPACES)
def test_neutral_chroma_leaves_gray(gray, name) -> None:
    space = COLOR_SPACES[name]
    rgb = space.merge(gray, np.full((*gray.shape[:2], 2), space.neutral, np.float32)).numpy()
    assert np.ptp(rgb, axis=-1).max() < 2e-3
    np.testing.assert_allclose(rgb.mean(-1, keepdims=True), gray, atol=2e-3)


@given(u8(), st.sampled_from(["yuv", "lab", "hsv"]))
def test_a_picture_comes_back(rgb_u8, name) -> None:
    gray = {"yuv": "luma", "lab": "lightness", "hsv": "value"}[name]
    space = COLOR_SPACES[name]
    truth = colorspace.split(rgb_u8, space, gray)
    back = metrics.quantize(space.merge(truth.gray, truth.chroma)).numpy()
    np.testing.assert_allclose(back.astype(int), rgb_u8, atol=1)


@given(grid(3, WILD))
def test_luma_comes_back_unless_a_color_is_clipped(mixed) -> None:
    gray = np.clip(mixed[..., :1], 0, 1)
    rgb = COLOR_SPACES["lab_luma"].merge(gray, mixed[..., 1:]).numpy()
    inside = np.all((rgb > 0) & (rgb < 1), axis=-1)
    np.testing.assert_allclose(colorspace.luma_gray(rgb).numpy()[inside], gray[inside], atol=2e-6)


@given(grid(3), SPACES, st.sampled_from([np.float16, np.float32, np.float64]))
def test_types_do_not_matter(rgb, name, dtype) -> None:
    given_ = rgb.astype(dtype)
    np.testing.assert_allclose(
        COLOR_SPACES[name].chroma(given_), COLOR_SPACES[name].chroma(given_.astype(np.float32))
    )


# --- losses ---------------------------------------------------------------------------------------

PLAIN = sorted(name for name, info in LOSSES.items() if not info.reads_logits)


def truth_of(rgb: np.ndarray, loss: str) -> Truth:
    space = COLOR_SPACES[(LOSSES[loss].color_spaces or ("yuv",))[0]]
    return Truth(rgb[None], colorspace.luma_gray(rgb[None]), space.chroma(rgb[None]))


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=5)
@given(data=st.data())
def test_losses_and_gradients_are_finite(name, data) -> None:
    rgb = data.draw(grid(3, least=2))
    chroma = tf.constant(
        data.draw(arrays.arrays(np.float32, (1, *rgb.shape[:2], 2), elements=UNIT))
    )
    truth = truth_of(rgb, name)
    with tf.GradientTape() as tape:
        tape.watch(chroma)
        loss = losses.LOSS_FUNCTIONS[name](truth, chroma)
    gradient = tape.gradient(loss, chroma).numpy()
    assert loss.shape == () and np.isfinite(loss) and loss >= 0
    assert gradient.shape == chroma.shape and np.isfinite(gradient).all()


@settings(max_examples=5)
@given(st.data())
def test_losses_over_classes_are_finite(data) -> None:
    height, width = (4 * data.draw(st.integers(1, 3)) for _ in range(2))
    rgb = data.draw(arrays.arrays(np.float32, (height, width, 3), elements=UNIT))
    shape = (1, height // 4, width // 4, len(ab_quantization.classes().ab))
    scale = data.draw(st.sampled_from([0.0, 1.0, 80.0]))  # at 80 a softmax is 0 and 1
    logits = tf.constant(scale * np.random.default_rng(height).normal(size=shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = losses.LOSS_FUNCTIONS["ab_classes"](truth_of(rgb, "ab_classes"), logits)
    assert np.isfinite(loss) and loss >= 0
    assert np.isfinite(tape.gradient(loss, logits)).all()


# --- metrics --------------------------------------------------------------------------------------


@settings(max_examples=4)
@given(u8(least=11), st.integers(0, 255), st.booleans())
def test_metrics_are_numbers(truth, level, same) -> None:
    """Also of flat, gray and equal pictures, equal ones with the best values."""
    output = truth if same else np.full_like(truth, level)
    rows = metrics.measure(output[None], truth[None])
    for name, row in rows.items():
        assert len(row) == 1 and np.isfinite(row).all(), name
    if same:
        assert rows["square"] == 0 and rows["auc"] == 1
        assert rows["ssim"] == pytest.approx(1, abs=1e-5)


# --- sizes ----------------------------------------------------------------------------------------


@given(grid(2), st.integers(1, 40), st.integers(1, 40))
def test_resizing_keeps_the_range_and_what_is_constant(x, height, width) -> None:
    resized = resizing.resized(x, height, width)
    assert resized.shape == (height, width, 2) and np.isfinite(resized).all()
    assert resized.min() >= x.min() - 1e-6 and resized.max() <= x.max() + 1e-6
    flat = resizing.resized(np.full_like(x, x[0, 0]), height, width)
    np.testing.assert_allclose(flat, np.broadcast_to(x[0, 0], flat.shape), atol=1e-6)


@given(grid(2), st.integers(0, 30), st.integers(0, 30), st.data())
def test_enlarged_stripes_are_those_of_the_whole(small, more_rows, more_columns, data) -> None:
    height, width = small.shape[0] + more_rows, small.shape[1] + more_columns
    whole = resizing.enlarged_rows(small, slice(0, height), height, width)
    top = data.draw(st.integers(0, height - 1))
    part = resizing.enlarged_rows(small, slice(top, height), height, width)
    np.testing.assert_array_equal(part, whole[top:])
    assert whole.min() >= small.min() - 1e-6 and whole.max() <= small.max() + 1e-6


@given(grid(3))
def test_guided_coefficients_give_the_chroma_back(mixed) -> None:
    gray, chroma = np.ascontiguousarray(mixed[..., :1]), np.ascontiguousarray(mixed[..., 1:])
    found = guided_filter.coefficients(gray, chroma)
    assert np.isfinite(found).all() and found.shape == (*gray.shape[:2], 4)
    np.testing.assert_allclose(found[..., :2] * gray + found[..., 2:], chroma, atol=1e-5)


@given(
    st.integers(1, 20_000),
    st.integers(1, 20_000),
    st.integers(8, 512),
    st.sampled_from([4, 8, 16, 32]),
)
def test_the_networks_size_fits_it(height, width, size, multiple) -> None:
    sides = [int(side) for side in any_size.network_size(height, width, size, multiple)]
    assert all(side >= multiple and side % multiple == 0 for side in sides)
    assert (sides[0] - sides[1]) * (height - width) >= 0  # upright stays upright


# --- a whole picture ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, size=16)


@settings(max_examples=8)
@given(data=st.data())
def test_a_colored_picture_has_the_shape_type_and_gray_of_its_own(colorizer, data) -> None:
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    top = np.iinfo(dtype).max
    sides = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    channels = data.draw(st.sampled_from([(), (1,), (3,), (4,)]))
    values = st.integers(top // 4, 3 * top // 4)  # where soft colors do not clip
    picture = data.draw(arrays.arrays(dtype, sides + channels, elements=values))
    colored = colorizer.colorize(picture)
    assert colored.dtype == dtype
    assert colored.shape == (*sides, 4 if channels == (4,) else 3)
    gray = picture if picture.ndim == 2 else picture[..., :3].mean(-1)
    luma = colored[..., :3] @ np.array(colorspace.LUMA)
    assert np.abs(luma - gray).max() <= 1.01 * top / 255
    if channels == (4,):
        np.testing.assert_array_equal(colored[..., 3], picture[..., 3])
