"""Colors of arrays: those of tensors, to the last bits of float32."""

from __future__ import annotations

import numpy as np
import pytest

from residual_encoder.imaging import array_colors, color_names, colorspace


def grid() -> np.ndarray:
    """Colors of all kinds: corners, grays, dark ones, and where the curves bend."""
    level = np.linspace(0, 1, 17, dtype=np.float32)
    cube = np.stack(np.meshgrid(level, level, level), axis=-1).reshape(-1, 3)
    knees = np.array([0.04045, 0.0404, 0.0405, 0.0031308, 1e-6], np.float32)
    dark = np.stack(np.meshgrid(knees, knees, knees), axis=-1).reshape(-1, 3)
    return np.concatenate([cube, dark])[:, None]  # [n, 1, 3]


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Grays with chroma, most of which leave RGB."""
    random = np.random.default_rng(0)
    gray = np.concatenate([random.random((4000, 1)), [[0.0], [1.0], [0.04045], [0.01]]])
    chroma = random.random((len(gray), 2))
    chroma[::2] = 0.5 + 0.1 * (chroma[::2] - 0.5)
    return gray.astype(np.float32), chroma.astype(np.float32)


def test_the_names_are_the_same() -> None:
    assert tuple(array_colors.COLOR_SPACES) == tuple(colorspace.COLOR_SPACES)
    assert tuple(array_colors.GRAYS) == tuple(colorspace.GRAYS) == color_names.GRAYS


@pytest.mark.parametrize("name", color_names.GRAYS)
def test_grays(name: str) -> None:
    received = array_colors.GRAYS[name](grid())
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, colorspace.GRAYS[name](grid()), atol=5e-7)


@pytest.mark.parametrize("name", color_names.COLOR_SPACES)
def test_splitting_and_merging(name: str) -> None:
    ours, wanted = array_colors.COLOR_SPACES[name], colorspace.COLOR_SPACES[name]
    assert (ours.name, ours.neutral) == (wanted.name, wanted.neutral)
    chroma, merged = ours.chroma(grid()), ours.merge(*pairs())
    assert chroma.dtype == merged.dtype == np.float32
    np.testing.assert_allclose(chroma, wanted.chroma(grid()), atol=1e-6)
    np.testing.assert_allclose(merged, wanted.merge(*pairs()), atol=5e-6)
    assert merged.min() >= 0 and merged.max() <= 1


def test_lab_there_and_back() -> None:
    lab = array_colors.rgb_to_lab(grid())
    np.testing.assert_allclose(lab, colorspace.rgb_to_lab(grid()), atol=2e-4)
    np.testing.assert_allclose(array_colors.lab_to_rgb(lab), colorspace.lab_to_rgb(lab), atol=5e-6)
    np.testing.assert_allclose(array_colors.lab_to_rgb(lab), grid(), atol=4e-5)
    gray = pairs()[0]
    np.testing.assert_allclose(array_colors.lightness(gray), colorspace.lightness(gray), atol=1e-4)


@pytest.mark.parametrize("peak", [255, 65535])
@pytest.mark.parametrize("saturation", [0.0, 1.0, 1.7])
def test_colored_is_merged_at_the_fitted_chroma(saturation: float, peak: int) -> None:
    gray, fit = np.random.default_rng(1).random((3, 50, 1), np.float32), np.zeros((3, 50, 4))
    fit += np.random.default_rng(2).normal(0, 0.1, fit.shape) + [0, 0, 0.5, 0.5]
    fit = fit.astype(np.float32)
    chroma = fit[..., :2] * gray + fit[..., 2:]
    for name, space in array_colors.COLOR_SPACES.items():
        factors = np.float32([1 if name == "hsv" else saturation, saturation])  # hue stays
        wanted = colorspace.COLOR_SPACES[name].merge(
            gray, space.neutral + factors * (chroma - np.float32(space.neutral))
        )
        received = array_colors.colored(gray, fit, space, saturation, peak)
        assert received.dtype == np.float32 and (received == np.rint(received)).all()
        np.testing.assert_allclose(received, wanted * np.float32(peak), atol=0.51 + peak * 5e-6)
