"""Hints: what is taken, what is refused, and that regions take the colors."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import ROOT
from helpers import shapes
from helpers.brush import ab, distance, spread

from residual_encoder.imaging import array_colors, borders, colorspace, hint_propagation, image_io
from residual_encoder.imaging.hint_propagation import Mark
from residual_encoder.inference import hint_application, hints, likely_colors
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.hints import Hint

RED = {"x": 3, "y": 4, "rgb": [200, 30, 40]}


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights)


# --- files ----------------------------------------------------------------------------------------


def test_what_is_taken(tmp_path) -> None:
    given = [RED, {"x": 1.5, "y": 0, "gray": True}, {"x": 2, "y": 1, "keep": True}]
    (tmp_path / "a.json").write_text(json.dumps(given))
    read = hints.read(tmp_path / "a.json").hints
    assert read == [Hint(3, 4, (200, 30, 40)), Hint(1.5, 0, None), Hint(2, 1, None, True)]
    assert hints.parse(read) == read
    assert hints.as_json(read) == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("\xff", "is no JSON"),
        ("{}", "hints are a list"),
        ('"red"', "hints are a list"),
        ("[" * 100_000, "nested too deeply|is no JSON"),
        ("[7]", "hint 1 must be .* Received 7"),
        ('[{"x": 1, "y": 2}]', "hint 1 must be"),
        ('[{"x": 1, "y": 2, "rgb": [1, 2, 3], "gray": true}]', "hint 1 must be"),
        ('[{"x": 1, "y": 2, "color": "red"}]', "hint 1 must be"),
        ('[{"x": "1", "y": 2, "gray": true}]', "hint 1: x must be a number. Received '1'"),
        ('[{"x": true, "y": 2, "gray": true}]', "hint 1: x must be a number"),
        ('[{"x": NaN, "y": 2, "gray": true}]', "hint 1: x must be a number"),
        (f'[{{"x": {10**400}, "y": 2, "gray": true}}]', "hint 1: x must be a number"),
        ('[{"x": 1, "y": 2, "gray": false}]', "hint 1: gray must be true"),
        ('[{"x": 1, "y": 2, "keep": 1}]', "hint 1: keep must be true. Received 1"),
        ('[{"x": 1, "y": 2, "keep": true, "gray": true}]', "hint 1 must be"),
        ('[{"x": 1, "y": 2, "rgb": [1, 2]}]', "hint 1: rgb must be three whole numbers"),
        ('[{"x": 1, "y": 2, "rgb": [1, 2, 256]}]', "from 0 to 255. Received .1, 2, 256"),
        ('[{"x": 1, "y": 2, "rgb": [1, 2, 0.5]}]', "three whole numbers"),
        ('[{"x": 1, "y": 2, "rgb": "red"}]', "three whole numbers"),
    ],
)
def test_what_is_refused(text, words, tmp_path) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=words) as error:
        hints.read(tmp_path / "a.json")
    assert str(error.value).startswith(str(tmp_path / "a.json"))


def test_too_many_and_too_long(tmp_path) -> None:
    with pytest.raises(ValueError, match="at most 1000 hints"):
        hints.parse([RED] * 1001)
    (tmp_path / "a.json").write_text(" " * (2**20 + 1))
    with pytest.raises(ValueError, match="over 1 MiB"):
        hints.read(tmp_path / "a.json")


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -0.5), (64, 0), (0, 48)])
def test_outside_the_picture(x, y, colorizer) -> None:
    with pytest.raises(ValueError, match="hint 2 .* outside the picture of 64 x 48"):
        colorizer.colorize(np.zeros((48, 64), np.uint8), hints=[RED, {**RED, "x": x, "y": y}])


def test_on_a_border(colorizer) -> None:
    framed = np.full((200, 240), 250, np.uint8)
    framed[30:-30, 30:-30] = np.random.default_rng(0).integers(20, 90, (140, 180))
    with pytest.raises(ValueError, match="hint 1 .* border of the picture, which stays gray"):
        colorizer.colorize(framed, hints=[RED])
    colored = colorizer.colorize(framed, hints=[{**RED, "x": 120, "y": 100}])
    assert np.ptp(colored[:20], axis=-1).max() == 0


# --- what they do ---------------------------------------------------------------------------------


def test_no_hints_change_nothing(colorizer) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    np.testing.assert_array_equal(colorizer.colorize(gray, hints=[]), colorizer.colorize(gray))


def painted(gray: np.ndarray, chroma: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Chroma with marks, [h, w, 2]."""
    return hint_propagation.propagate(gray, chroma, marks).on(chroma)


def test_least_squares_against_a_dense_solution(monkeypatch) -> None:
    """On a picture so small that the whole matrix can be written down."""
    random = np.random.default_rng(1)
    gray = random.random((5, 6, 1)).astype(np.float32) * np.float32(0.03)
    owner = np.full(30, -1)
    owner[[7, 8, 20]] = 0, 0, 1
    colors, prior = random.random((2, 2)), random.uniform(1e-5, 1e-3, 30)
    monkeypatch.setattr(hint_propagation, "TOGETHER", 1)
    smooth, own = gray[..., 0].astype(float), 0.5 + random.normal(0, 0.004, (30, 2))
    share, color, kept = hint_propagation._solution(smooth, prior, owner, colors, own)
    assert not kept.any()
    matrix = np.diag(prior + hint_propagation.HOLD * (owner >= 0))
    for one in range(30):
        for other in range(30):
            rows, columns = abs(one // 6 - other // 6), abs(one % 6 - other % 6)
            if one != other and rows <= 1 and columns <= 1:
                step = (gray.ravel()[one] - gray.ravel()[other]) / hint_propagation.SIGMA
                steps = (own[one] - own[other]) / hint_propagation.SIGMA_CHROMA
                alike = 0.1 + 0.9 * np.exp(-steps @ steps / 2)
                weight = np.exp(-step * step / 2) * alike + hint_propagation.LEAK
                matrix[one, other] -= weight
                matrix[one, one] += weight
    held = hint_propagation.HOLD * (owner[:, None] == [0, 1])
    both = np.linalg.solve(matrix, held)
    np.testing.assert_allclose(share, both.sum(axis=1), rtol=1e-6)
    powers = both**hint_propagation.CONTEST
    np.testing.assert_allclose(color, powers @ colors / powers.sum(axis=1)[:, None], rtol=1e-5)


def test_a_small_thing_does_not_tint_what_surrounds_it() -> None:
    """A badge on a shirt, with an edge that lets some of its color through."""
    gray = np.full((90, 90, 1), 0.5, np.float32)
    gray[38:53, 38:53] = 0.57
    chroma = np.full((90, 90, 2), 0.5, np.float32)
    shirt, badge = Mark(18, 18, np.float32([0.7, 0.7])), Mark(45, 45, np.float32([0.6, 0.3]))
    both = painted(gray, chroma, [shirt, badge])
    np.testing.assert_allclose(both[41:50, 41:50] - badge.chroma, 0, atol=0.02)
    around = np.ones((90, 90), bool)
    around[33:58, 33:58] = False
    assert np.quantile(distance(both, shirt.chroma)[around], 0.9) < 0.02


@pytest.mark.parametrize("apart", [1, 2, 3, 4])
def test_close_hints_keep_their_places(apart: int) -> None:
    """Also of a like gray: the later one does not wipe out the one before."""
    gray, chroma = np.full((24, 24, 1), 0.5, np.float32), np.full((24, 24, 2), 0.5, np.float32)
    first, second = Mark(12, 8, np.float32([0.7, 0.4])), Mark(12, 8 + apart, np.float32([0.3, 0.6]))
    both = painted(gray, chroma, [first, second])
    for mark in (first, second):
        np.testing.assert_allclose(both[mark.y, mark.x], mark.chroma, atol=0.06)


def test_two_halves() -> None:
    """A step of the gray stops a color; what lies beyond it stays to the bit."""
    gray = np.full((32, 48, 1), 0.3, np.float32)
    gray[:, 24:] = 0.6
    chroma = np.full((32, 48, 2), 0.5, np.float32)
    marked = painted(gray, chroma, [Mark(16, 8, np.float32([0.7, 0.4]))])
    np.testing.assert_allclose(marked[:, :22], np.float32([0.7, 0.4]) * np.ones((32, 22, 1)), 1e-4)
    np.testing.assert_array_equal(marked[:, 26:], chroma[:, 26:])
    two = painted(
        gray,
        chroma,
        [Mark(16, 8, np.float32([0.7, 0.4])), Mark(16, 40, np.float32([0.2, 0.2]))],
    )
    np.testing.assert_allclose(two[:, 26:], 0.2, atol=1e-3)


def test_a_color_stops_where_the_network_tells_things_apart() -> None:
    """A suit and a flag of one gray, whose hint is nearer to the border than that of the suit."""
    noise = np.random.default_rng(0).normal(0, 0.01, (48, 48, 1))
    gray = (0.5 + noise).astype(np.float32)
    there = np.full((48, 48, 2), 0.5, np.float32)
    there[:, 24:] = 0.56
    there = cv2.GaussianBlur(there, (0, 0), 1)
    marks = [Mark(24, 8, np.float32([0.7, 0.7])), Mark(24, 30, np.float32([0.4, 0.5]))]
    both = painted(gray, there, marks)
    assert np.median(distance(both[:, :23], marks[0].chroma)) < 0.04
    assert np.median(distance(both[:, 25:], marks[1].chroma)) < 0.04
    assert np.median(distance(both[:, 22], marks[0].chroma)) < 0.1  # 0.24 by the gray alone


@pytest.mark.parametrize(
    ("small", "shape", "wanted"),
    [
        ((160, 240), (2000, 3000), (240, 360)),
        ((160, 240), (200, 300), (200, 300)),  # the picture's own size
        ((160, 240), (100, 150), (160, 240)),  # what the network sees, at least
        ((256, 300), (2000, 3000), (256, 300)),
        ((64, 1000), (100, 3000), (100, 3000)),
    ],
)
def test_colors_are_spread_at_a_size_that_has_edges(small, shape, wanted) -> None:
    assert hint_application.spreading_size(small, shape) == wanted


def test_a_line_that_the_network_does_not_see_stops_a_color() -> None:
    """A seventh of a pixel of the network; beyond it nothing changes, to the bit."""
    gray = np.full((240, 240, 1), 0.5, np.float32)
    gray[:, 120:122] = 0.6
    chroma = np.random.default_rng(0).normal(0.5, 0.001, (16, 16, 2)).astype(np.float32)
    hint, area = Hint(100, 500, (200, 60, 60)), borders.Box(0, 1000, 0, 1000)
    space = array_colors.LAB_LUMA
    hinted = hint_application.apply(chroma, gray, [hint], area, (1000, 1000), space, 1.0).chroma
    wanted = space.chroma(np.float32([[[200, 60, 60]]]) / 255)
    np.testing.assert_allclose(hinted[:, :7], np.broadcast_to(wanted, (16, 7, 2)), atol=1e-3)
    np.testing.assert_array_equal(hinted[:, 9:], chroma[:, 9:])


def test_a_hint_that_keeps_gives_each_pixel_its_own_color() -> None:
    """Here of a gradient, which no single color is; beside it the other color stays."""
    gray = np.full((32, 48, 1), 0.3, np.float32)
    gray[:, 24:] = 0.31
    chroma = np.random.default_rng(0).random((32, 48, 2)).astype(np.float32)
    red = Mark(16, 8, np.float32([0.7, 0.4]))
    alone = painted(gray, chroma, [red])
    both = painted(gray, chroma, [red, Mark(16, 40, None)])
    assert np.abs(alone[:, 36:] - chroma[:, 36:]).max() > 0.1
    np.testing.assert_allclose(both[:, 36:], chroma[:, 36:], atol=0.06)
    np.testing.assert_allclose(both[12:20, 4:12] - red.chroma, 0, atol=0.05)
    only = painted(gray, chroma, [Mark(16, 40, None)])
    np.testing.assert_array_equal(only, chroma)


@pytest.mark.parametrize("saturation", [0.5, 1.0, 2.0])
def test_hints_that_keep_change_no_bit(saturation, colorizer) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    kept = colorizer.colorize(gray, saturation=saturation, hints=[{"x": 9, "y": 9, "keep": True}])
    np.testing.assert_array_equal(kept, colorizer.colorize(gray, saturation=saturation))
    with pytest.raises(ValueError, match="hint 1 .* outside the picture"):
        colorizer.colorize(gray, hints=[{"x": 70, "y": 9, "keep": True}])


@pytest.mark.parametrize("saturation", [0.0, 0.5, 1.0, 2.0])
def test_a_chosen_color_looks_as_chosen_at_any_saturation(saturation, colorizer) -> None:
    gray = np.full((64, 96), 120, np.uint8)
    gray[:, 48:] = 200
    rgb = [170, 105, 90]  # of the gray 120
    colored = colorizer.colorize(
        gray, saturation=saturation, hints=[{"x": 20, "y": 30, "rgb": rgb}]
    )
    assert np.abs(colored[30, 20].astype(int) - rgb).max() <= 6
    plain = colorizer.colorize(gray, saturation=saturation)
    assert np.abs(colored[:, 64:].astype(int) - plain[:, 64:]).max() <= 1


@pytest.mark.parametrize("name", colorspace.COLOR_SPACES)
def test_saturation_of_the_network_is_that_of_merge(name) -> None:
    """Before hints, as after them where there are none."""
    space = array_colors.COLOR_SPACES[name]
    chroma = np.random.default_rng(0).uniform(0.3, 0.6, (8, 8, 2)).astype(np.float32)
    planar = hint_application.saturated(hint_application.to_plane(chroma, space), 1.5, space)
    before = hint_application.from_plane(planar, space)
    gray = np.full((8, 8, 1), 0.5, np.float32)
    flat = np.zeros_like(chroma)
    both = [
        array_colors.colored(gray, np.concatenate([flat, one], -1), space, factor, 65535)
        for one, factor in ((before, 1.0), (chroma, 1.5))
    ]
    np.testing.assert_allclose(*both, atol=8)


def test_later_hints_replace_earlier_ones() -> None:
    gray, chroma = np.full((16, 16, 1), 0.5, np.float32), np.full((16, 16, 2), 0.5, np.float32)
    first, second = Mark(8, 8, np.float32([0.7, 0.7])), Mark(8, 8, np.float32([0.3, 0.6]))
    np.testing.assert_allclose(
        painted(gray, chroma, [first, second]),
        painted(gray, chroma, [second]),
    )


@pytest.mark.parametrize("name", colorspace.COLOR_SPACES)
def test_every_color_space_has_a_plane(name) -> None:
    space = colorspace.COLOR_SPACES[name]
    rgb = np.random.default_rng(0).random((20, 3), np.float32)
    chroma = space.chroma(rgb).numpy()
    planar = hint_application.to_plane(chroma, space)
    np.testing.assert_allclose(hint_application.from_plane(planar, space), chroma, atol=2e-5)


def test_a_gray_hint_is_neutral(colorizer) -> None:
    gray = np.full((64, 64), 120, np.uint8)
    colored = colorizer.colorize(gray, hints=[{"x": 30, "y": 30, "gray": True}])
    assert np.ptp(colored, axis=-1).max() <= 1


@pytest.fixture(scope="module")
def shipped() -> Colorizer:
    return Colorizer()


def test_regions_take_the_color(shipped) -> None:
    """Ten scenes, the mask of each surface from the renderer, one shape of each scene."""
    scenes = [shapes.render(seed) for seed in range(10)]
    shares = np.array([spread(shipped, scene, scene.regions[1]) for scene in scenes])
    print(f"inside {shares[:, 0]}, outside {shares[:, 1]}")
    assert shares[:, 0].min() >= 0.95 and shares[:, 1].max() <= 0.02


# --- likely colors --------------------------------------------------------------------------------


@pytest.mark.parametrize("gray", [0.05, 0.5, 0.9])
def test_likely_colors_differ_and_have_the_gray_of_the_place(gray) -> None:
    likely = likely_colors.around(np.array([10.0, 25.0]))
    assert likely.sum() == pytest.approx(1)
    rgb = likely_colors.peaks(likely, gray)
    assert len(rgb) == likely_colors.COUNT
    levels = colorspace.rgb_to_lab(rgb / np.float32(255)).numpy()[:, 0]
    level = colorspace.lightness(np.float32([[gray]])).numpy()[0, 0]
    shown = np.clip(level, likely_colors.DARKEST, likely_colors.LIGHTEST)
    np.testing.assert_allclose(levels, shown, atol=8)
    pairs = distance(ab(rgb)[:, None], ab(rgb)[None])[~np.eye(len(rgb), dtype=bool)]
    assert pairs.min() > 10


def test_peaks_of_a_distribution() -> None:
    from residual_encoder.imaging import ab_quantization

    centers = ab_quantization.classes().ab
    logits = np.full((4, 4, len(centers)), -20.0, np.float32)
    two = [int(np.argmin(distance(centers, at))) for at in ([40, 30], [0, -30])]
    logits[..., two[0]], logits[..., two[1]] = 1.0, 0.0
    rgb = likely_colors.peaks(likely_colors.of_distribution(logits, 0.5, 0.5), 0.5)
    assert distance(ab(rgb[:1]), centers[two[0]])[0] < 7
    assert distance(ab(rgb[1:2]), centers[two[1]])[0] < 7


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, soft_weights) -> SimpleNamespace:
    place = tmp_path_factory.mktemp("hints")
    gray = np.rint(128 + 60 * np.sin(np.mgrid[:60, :80].sum(0) / 20)).astype(np.uint8)
    for name in ("one.png", "two.png"):
        image_io.write(place / name, gray)
    (place / "one.hints.json").write_text(json.dumps([{**RED, "x": 40, "y": 30}]))
    return SimpleNamespace(path=place, model=soft_weights, gray=gray)


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "tools/colorize.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_folder_of_hints(folder, colorizer, tmp_path) -> None:
    output = tmp_path / "out"
    done = run(
        folder.path / "one.png",
        folder.path / "two.png",
        f"--output={output}",
        f"--model={folder.model}",
        f"--hints={folder.path}",
    )
    assert done.returncode == 0, done.stderr
    read = hints.read(folder.path / "one.hints.json").hints
    one, two = (image_io.read(output / name).pixels for name in ("one.png", "two.png"))
    np.testing.assert_array_equal(one, colorizer.colorize(folder.gray, hints=read))
    np.testing.assert_array_equal(two, colorizer.colorize(folder.gray))
    assert (one != two).any()


def test_wrong_hints_are_answered_at_once(folder, tmp_path) -> None:
    from residual_encoder.inference import batch_plan
    from residual_encoder.inference.batch_config import BatchConfig

    one, two = str(folder.path / "one.png"), str(folder.path / "two.png")
    config = BatchConfig((one,), str(tmp_path), hints=str(tmp_path / "none.json"))
    with pytest.raises(FileNotFoundError, match="There is no .*none.json"):
        batch_plan.plan(config)
    (tmp_path / "none.json").write_text("[1]")
    with pytest.raises(ValueError, match="hint 1 must be"):
        batch_plan.plan(config)
    with pytest.raises(ValueError, match="hints of one picture, received 2 inputs"):
        batch_plan.plan(dataclasses.replace(config, inputs=(one, two)))


def test_pages_and_films_take_no_hints(colorizer, tmp_path) -> None:
    import tifffile

    tifffile.imwrite(
        tmp_path / "pages.tif", np.zeros((3, 40, 50), np.uint8), photometric="minisblack"
    )
    with pytest.raises(ValueError, match="holds several pictures; hints are for one"):
        colorizer.colorize_file(tmp_path / "pages.tif", tmp_path / "out.tif", hints=[RED])
