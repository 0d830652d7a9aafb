"""Scenes are the same for a seed, quick, and colored by their content."""

import time

import numpy as np
import pytest

from residual_encoder.data import scene_parts, scenes

GOLDEN_MEANS = [[115.0, 96.2, 92.9], [137.3, 108.7, 82.7], [61.3, 79.1, 42.6]]  # R, G, B


def hues(rgb):
    """Mean chroma direction of a picture or material: red-green and yellow-blue, in code values."""
    red, green, blue = np.moveaxis(np.asarray(rgb, np.float64), -1, 0).reshape(3, -1)
    return (red - green).mean(), ((red + green) / 2 - blue).mean()


@pytest.mark.parametrize("size", [1, 7, 32, 96])
def test_size_and_type(size):
    picture = scenes.render(0, 3, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


def test_same_arguments_same_scene_and_others_differ():
    first = scenes.render(1, 2, 32)
    np.testing.assert_array_equal(first, scenes.render(1, 2, 32))
    for other in ((1, 3), (2, 2), (2, 1)):
        assert not np.array_equal(first, scenes.render(*other, 32))


def test_the_process_seed_plays_no_part():
    first = scenes.render(0, 0, 16)
    np.random.seed(7)  # noqa: NPY002
    np.testing.assert_array_equal(first, scenes.render(0, 0, 16))


def test_a_scene_is_what_it_was():
    """Training data must not change unnoticed. Means of three scenes, to a code value."""
    means = [scenes.render(0, index, 64).mean((0, 1)) for index in range(3)]
    np.testing.assert_allclose(means, GOLDEN_MEANS, atol=1.0)


def test_every_kind_of_scene_comes_up():
    kinds = [np.random.default_rng((0, n)).integers(len(scenes.SCENES)) for n in range(200)]
    assert np.bincount(kinds, minlength=len(scenes.SCENES)).min() > 20


@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.__name__)
def test_scenes_are_finite_and_have_detail(scene):
    for seed in range(12):
        planes = scene(np.random.default_rng(seed), 64)
        assert planes.dtype == np.float32
        assert np.isfinite(planes).all()
        assert planes.mean(0).std() > 0.02


def material(draw, seed):
    return np.moveaxis(draw(np.random.default_rng(seed), 48), 0, -1) * 255


@pytest.mark.parametrize(
    ("draw", "red_green", "yellow_blue"),
    [
        (scene_parts.grass, (-80, -10), (20, 120)),
        (scene_parts.sea, (-120, -25), (-120, -15)),
        (scene_parts.sand, (5, 40), (10, 80)),
        (scene_parts.bricks, (25, 120), (20, 90)),
        (scene_parts._denim, (-50, -5), (-110, -15)),
        (scene_parts.plaster, (-2, 4), (-2, 8)),
    ],
)
def test_a_material_has_its_color_in_any_light(draw, red_green, yellow_blue):
    luma = []
    for seed in range(20):
        rgb = material(draw, seed)
        across, along = hues(rgb)
        assert red_green[0] <= across <= red_green[1]
        assert yellow_blue[0] <= along <= yellow_blue[1]
        luma.append(rgb.mean())
    assert max(luma) > 1.3 * min(luma)  # the light varies


def test_gray_alone_does_not_tell_the_color():
    """Pixels of one gray level have many colors: knowing gray explains little of the chroma."""
    pixels = np.concatenate([scenes.render(0, n, 32).reshape(-1, 3) for n in range(120)]).astype(
        float
    )
    gray = pixels.mean(1).round().astype(int) // 8
    chroma = np.stack([pixels[:, 0] - pixels[:, 1], pixels[:, 2] - pixels[:, 1]], 1)
    total = chroma.var(0).sum()
    within = sum(
        chroma[gray == level].var(0).sum() * (gray == level).mean() for level in np.unique(gray)
    )
    assert total > 1000
    assert within / total > 0.75


def test_texture_tells_materials_apart():
    """Grass runs down, the sea across, sand neither: seen in gray gradients."""

    def lean(draw):
        gray = np.mean([material(draw, seed).mean(-1) for seed in range(1)], 0)
        down, across = np.abs(np.diff(gray, axis=0)).mean(), np.abs(np.diff(gray, axis=1)).mean()
        return across / down

    assert lean(scene_parts.grass) > 1.4
    assert lean(scene_parts.sea) < 0.7
    assert 0.7 < lean(scene_parts.sand) < 1.4


def test_quick_enough():
    scenes.render(0, 0, 96)
    times = []
    for index in range(30):
        begun = time.process_time()
        scenes.render(0, index, 96)
        times.append(time.process_time() - begun)
    assert np.median(times) < 0.02  # 3 ms on a quiet core


@pytest.mark.parametrize("arguments", [(0, 0, 0), (-1, 0, 8), (0, -1, 8)])
def test_out_of_range(arguments):
    with pytest.raises(ValueError, match="at least"):
        scenes.render(*arguments)
