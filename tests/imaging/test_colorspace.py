"""Conversions against OpenCV and against numbers worked by hand."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.data import sample_images
from residual_encoder.imaging import colorspace
from residual_encoder.imaging.colorspace import LAB, LAB_LUMA, YUV, YUV_NEUTRAL

CORNERS = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], np.float32)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def rgb_u8(rng):
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_red_by_hand(run_mode):
    # Y = .299; U = 128/255 - .168736 = .333225; V = 128/255 + .5 = 1.00196, clipped to 1.
    yuv = run_mode(colorspace.rgb_to_yuv)(tf.constant([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(yuv, [[0.299, 0.333225, 1.0]], atol=1e-6)


def test_yuv_agrees_with_opencv_jpeg(rgb_u8):
    # OpenCV rounds Y to 8 bits before it takes B - Y and R - Y, hence one step of tolerance.
    ycrcb = cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2YCrCb)
    ours = colorspace.rgb_to_yuv(rgb_u8 / 255).numpy() * 255
    assert np.abs(ours - ycrcb[..., [0, 2, 1]]).max() <= 1.0
    assert np.abs(ours[..., 0] - ycrcb[..., 0]).max() <= 0.51


def test_yuv_to_rgb_agrees_with_opencv(rgb_u8):
    ycrcb = cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2YCrCb)
    theirs = cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB)
    ours = colorspace.yuv_to_rgb(ycrcb[..., [0, 2, 1]] / 255).numpy() * 255
    assert np.abs(ours - theirs).max() <= 1.0


def test_lab_agrees_with_opencv(rgb_u8):
    rgb = (rgb_u8 / 255).astype(np.float32)
    theirs = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    difference = np.abs(colorspace.rgb_to_lab(rgb).numpy() - theirs)
    assert difference.mean() < 0.1  # OpenCV interpolates in a coarse table; scikit-image does not
    assert difference.max() < 0.5


def test_lab_agrees_with_skimage(rgb_u8):
    from skimage.color import lab2rgb, rgb2lab

    lab = rgb2lab(rgb_u8)
    np.testing.assert_allclose(colorspace.rgb_to_lab(rgb_u8 / 255), lab, atol=0.02)
    np.testing.assert_allclose(colorspace.lab_to_rgb(lab), lab2rgb(lab), atol=2e-3)


@pytest.mark.parametrize("space", [YUV, LAB], ids=["yuv", "lab"])
def test_split_and_merge_give_the_picture_back(space, rgb_u8, run_mode):
    kept = {"yuv": "luma", "lab": "lightness"}[space.name]
    truth = colorspace.split(rgb_u8[None], space, kept)
    merged = run_mode(space.merge)(truth.gray, truth.chroma).numpy()
    # V of pure red is 1.00196: clipping it is the author's, and costs half an 8-bit step in R.
    assert np.abs(merged - truth.rgb).max() * 255 < 0.8


@pytest.mark.parametrize("space", [YUV, LAB], ids=["yuv", "lab"])
def test_corner_colors_return(space):
    kept = {"yuv": "luma", "lab": "lightness"}[space.name]
    gray = colorspace.GRAYS[kept](CORNERS)
    merged = space.merge(gray, space.chroma(CORNERS)).numpy()
    assert np.abs(merged - CORNERS).max() < 0.004


@pytest.mark.parametrize("space", [YUV, LAB, LAB_LUMA], ids=["yuv", "lab", "lab_luma"])
def test_gray_has_neutral_chroma_and_stays_gray(space):
    gray = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    chroma = space.chroma(np.repeat(gray, 3, axis=1)).numpy()
    np.testing.assert_allclose(chroma, space.neutral, atol=2e-4)
    neutral = np.full_like(chroma, space.neutral)
    np.testing.assert_allclose(space.merge(gray, neutral), np.repeat(gray, 3, 1), atol=2e-4)


def test_neutral_yuv_is_128_of_255():
    assert YUV_NEUTRAL == pytest.approx(0.50196, abs=1e-5)
    np.testing.assert_allclose(YUV.chroma(np.zeros((1, 3))), [[128 / 255] * 2], atol=1e-7)


def test_grays_by_hand():
    rgb = np.array([[0.2, 0.4, 0.9]], np.float32)
    assert colorspace.mean_gray(rgb).numpy().item() == pytest.approx(0.5)
    luma = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.9
    assert colorspace.luma_gray(rgb).numpy().item() == pytest.approx(luma)


def test_lightness_gray_has_the_lightness_of_the_color(rgb_u8):
    gray = colorspace.lightness_gray(rgb_u8 / 255)
    of_gray = colorspace.rgb_to_lab(tf.repeat(gray, 3, axis=-1))[..., 0]
    np.testing.assert_allclose(of_gray, colorspace.rgb_to_lab(rgb_u8 / 255)[..., 0], atol=0.02)


def test_photographs_come_back_from_luma_and_ab():
    """The L of the gray itself would be 35 of 255 off, on coffee 5 on average."""
    for _, rgb in sample_images.photographs():
        truth = colorspace.split(rgb, LAB_LUMA, "luma")
        error = np.abs(LAB_LUMA.merge(truth.gray, truth.chroma) - truth.rgb) * 255
        assert error.max() < 22 and error.mean() < 1


@pytest.mark.parametrize("ab", [(40, 20), (-30, 40), (20, -50), (10, -10)])
def test_luma_and_ab_by_bisection(ab):
    """Scikit-image's Lab at the L, found by bisection, whose luma is that of the gray."""
    from skimage.color import lab2rgb

    gray, low, high = 0.4, 0.0, 100.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        expected = lab2rgb([middle, *ab])
        low, high = (middle, high) if expected @ LUMA < gray else (low, middle)
    rgb = LAB_LUMA.merge(np.array([[gray]]), np.array([ab]) / 256 + 0.5).numpy()[0]
    assert rgb @ LUMA == pytest.approx(gray, abs=1e-6)
    np.testing.assert_allclose(rgb, expected, atol=4 / 255)


def test_mean_gray_and_true_chroma_do_not_give_the_picture_back(rgb_u8):
    # The original joins the mean gray with luma-based chroma: Y is wrong by luma - mean.
    truth = colorspace.split(rgb_u8[None], YUV, "mean")
    merged = YUV.merge(truth.gray, truth.chroma)
    error = colorspace.luma_gray(truth.rgb) - truth.gray
    inside = np.all((merged.numpy() > 0) & (merged.numpy() < 1), axis=-1)
    shift = (truth.rgb - merged).numpy()[inside]
    np.testing.assert_allclose(shift, np.repeat(error.numpy()[inside], 3, 1), atol=4e-3)
    assert np.abs(shift).mean() > 0.02


@pytest.mark.parametrize("name", ["chroma", "merge"])
def test_gradients_are_finite(name):
    for space in (YUV, LAB, LAB_LUMA):
        rgb = tf.constant(CORNERS)
        with tf.GradientTape() as tape:
            tape.watch(rgb)
            chroma = space.chroma(rgb)
            out = chroma if name == "chroma" else space.merge(colorspace.luma_gray(rgb), chroma)
        assert np.isfinite(tape.gradient(out, rgb).numpy()).all()
