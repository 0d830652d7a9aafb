"""Random changes to training pictures other than cropping, against NumPy."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.data import augmentation
from residual_encoder.imaging import colorspace
from residual_encoder.imaging.augment_config import Augment

SEEDS = [tf.constant([3, n]) for n in range(40)]
RGB = np.random.default_rng(0).uniform(0.25, 0.75, (24, 24, 3)).astype(np.float32)


def test_a_ramp_stays_a_ramp_under_a_warp():
    y, x = np.mgrid[:33, :33].astype(np.float32)
    ramp = np.stack([x, y, 2 * x - y], -1)
    for seed in SEEDS[:5]:
        warped = augmentation.warp(ramp, 0.2, seed).numpy()
        np.testing.assert_allclose(warped[16, 16], ramp[16, 16], atol=1e-4)  # about the center
        inner = warped[10:-10, 10:-10, :2]
        # The slopes are the matrix; within 0.2 of the identity and not it.
        right = np.diff(inner, axis=1).mean((0, 1))
        down = np.diff(inner, axis=0).mean((0, 1))
        matrix = np.stack([right, down], 1)
        assert 0.01 < np.abs(matrix - np.eye(2)).max() <= 0.2
        offset = 16 - matrix @ [16, 16]
        wanted = np.stack([x, y], -1) @ matrix.T + offset
        np.testing.assert_allclose(inner, wanted[10:-10, 10:-10], atol=1e-3)


def test_a_warp_is_opencvs_and_mirrors_borders():
    seed = SEEDS[0]
    matrix = np.eye(2) + tf.random.stateless_uniform([2, 2], seed, -0.3, 0.3).numpy()
    offset = 11.5 - matrix @ [11.5, 11.5]
    wanted = cv2.warpAffine(
        RGB, np.c_[matrix, offset], (24, 24), borderMode=cv2.BORDER_REFLECT,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    # OpenCV knows 1/32 of a pixel.
    np.testing.assert_allclose(augmentation.warp(RGB, 0.3, seed), wanted, atol=0.5 / 32 + 1e-3)


def test_tone_bends_luma_and_keeps_chroma():
    chroma = colorspace.YUV.chroma(RGB)
    gammas = []
    for seed in SEEDS:
        toned = augmentation.tone(RGB, 0.4, seed).numpy()
        np.testing.assert_allclose(colorspace.YUV.chroma(toned), chroma, atol=1e-5)
        low, high = (
            augmentation.tone(np.full((1, 1, 3), v), 0.4, seed).numpy() for v in (0.0, 1.0)
        )
        assert 0 <= low.max() <= 0.1 and 0.9 <= high.min() <= 1
        middle = augmentation.tone(np.full((1, 1, 3), 0.5, np.float32), 0.4, seed).numpy()
        gammas.append(np.log((middle - low) / (high - low)).mean() / np.log(0.5))
    assert np.exp(-0.4) <= min(gammas) < 0.75 and 1.3 < max(gammas) <= np.exp(0.4)


def test_grain_is_the_same_on_all_channels_and_at_most_so_strong():
    strengths = []
    for seed in SEEDS:
        noise = augmentation.grain(RGB, 0.05, seed).numpy() - RGB
        np.testing.assert_allclose(noise, noise[..., :1] * np.ones(3), atol=1e-6)
        assert abs(noise.mean()) < 0.01
        strengths.append(noise.std())
    assert min(strengths) < 0.01 and 0.04 < max(strengths) < 0.055


def test_a_picture_as_training_sees_it():
    picture = (RGB * 255).astype(np.uint8)
    seed = SEEDS[1]
    np.testing.assert_array_equal(augmentation.augmented(picture, Augment(), seed), picture)
    strong = Augment(warp=0.1, tone=0.3, grain=0.02)
    seen = augmentation.augmented(picture, strong, seed).numpy()
    assert seen.dtype == np.uint8 and seen.shape == picture.shape
    np.testing.assert_array_equal(augmentation.augmented(picture, strong, seed), seen)
    assert np.abs(augmentation.augmented(picture, strong, SEEDS[2]).numpy() - seen).max() > 8
    for one in ("warp", "tone", "grain"):
        alone = augmentation.augmented(picture, Augment(**{one: 0.2}), seed).numpy()
        assert not np.array_equal(alone, picture)


def test_amounts_out_of_range():
    for name in ("warp", "tone", "grain"):
        for wrong in (-0.1, 1.0):
            with pytest.raises(ValueError, match=name):
                Augment(**{name: wrong})
    with pytest.raises(ValueError, match="min_crop"):
        Augment(min_crop=0)
