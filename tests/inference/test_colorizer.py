"""Colorizer: any size in, the same size, depth, alpha and gray out."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL

from residual_encoder import recipes
from residual_encoder.imaging import array_colors, image_io
from residual_encoder.inference import chroma_upsampling, model_loading
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights as weights_files

SIZE = 32
RECIPE = SMALL


@pytest.fixture(scope="module")
def weights(soft_weights: Path) -> Path:
    return soft_weights


@pytest.fixture(scope="module")
def colorizer(weights: Path) -> Colorizer:
    return Colorizer(weights, precision="float32")


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    """Mid-gray noise: merged with soft colors, no channel is clipped."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(1).integers(top // 3, top // 3 * 2, shape, dtype)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., :3].astype(np.float64) @ [0.299, 0.587, 0.114]


def painting(chroma: tuple[float, float], recipe: recipes.Recipe = RECIPE) -> Colorizer:
    """A Colorizer whose network predicts the same everywhere, without weights."""
    made = Colorizer.__new__(Colorizer)
    made.recipe, made.saturation, made.size, made.upsampling = recipe, 1.0, SIZE, "guided"
    made.predict = lambda gray: np.ones_like(gray) * np.float32(chroma)  # type: ignore
    return made


def whole_coefficients(ours: Colorizer, gray, chroma, small):  # type: ignore[no-untyped-def]
    """The slopes and offsets that are enlarged."""
    return chroma_upsampling.coefficients(
        image_io.Picture(gray),
        chroma,
        gray_kind=ours.recipe.gray,
        upsampling=ours.upsampling,
        small_gray=small,
    )


# --- size, depth, alpha ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 1), (17, 23), (32, 32), (200, 333)])
def test_any_size_comes_back_and_keeps_its_gray(colorizer: Colorizer, size: tuple) -> None:
    gray = noise(*size)
    rgb = colorizer.colorize(gray)
    assert rgb.shape == (*size, 3) and rgb.dtype == np.uint8
    assert rgb.min() > 0 and rgb.max() < 255  # nothing clipped, so gray must hold
    np.testing.assert_allclose(luma(rgb), gray, atol=1)
    assert np.ptp(rgb.astype(int), axis=-1).max() > 10  # and there is color


def test_16_bit_stays_16_bit_and_exact(colorizer: Colorizer) -> None:
    gray = noise(20, 30, dtype=np.uint16)
    rgb = colorizer.colorize(gray)
    assert rgb.dtype == np.uint16
    np.testing.assert_allclose(luma(rgb), gray, atol=1.5)  # of 65535, so no 8-bit step in between
    assert len(np.unique(rgb % 257)) > 200


def test_alpha_is_handed_through(colorizer: Colorizer) -> None:
    rgba = noise(20, 30, 4)
    rgba[..., 3] = np.arange(600).reshape(20, 30) % 256
    output = colorizer.colorize(rgba)
    np.testing.assert_array_equal(output[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(output[..., :3], colorizer.colorize(rgba[..., :3]))


def test_gray_however_it_comes_gives_the_same_picture(colorizer: Colorizer) -> None:
    gray = noise(20, 30)
    wanted = colorizer.colorize(gray)
    np.testing.assert_array_equal(colorizer.colorize(gray[..., None]), wanted)
    np.testing.assert_array_equal(colorizer.colorize(np.stack([gray] * 3, -1)), wanted)


def test_color_is_seen_through_the_recipes_gray(colorizer: Colorizer) -> None:
    rgb = noise(20, 30, 3)
    mean = rgb.astype(np.float64).mean(-1)  # the recipe's gray
    output = colorizer.colorize(rgb)
    np.testing.assert_allclose(luma(output), mean, atol=1)
    assert np.abs(luma(output) - luma(rgb)).max() > 10  # which is not luma


def test_a_non_contiguous_view_is_fine(colorizer: Colorizer) -> None:
    gray = noise(20, 30)
    np.testing.assert_array_equal(
        colorizer.colorize(gray[::-1, ::2]), colorizer.colorize(gray[::-1, ::2].copy())
    )


# --- merge ----------------------------------------------------------------------------------------


def test_merge_against_hand_computed_pixels() -> None:
    # gray 100, U = 118/255, V = 148/255: R = 100 + 1.402 * 20 = 128.04,
    # G = 100 + 0.34414 * 10 - 0.71414 * 20 = 89.1586, B = 100 - 1.772 * 10 = 82.28.
    colorizer = painting((118 / 255, 148 / 255))
    gray = np.full((2, 3), 100, np.uint8)
    np.testing.assert_array_equal(colorizer.colorize(gray)[1, 2], [128, 89, 82])
    deep = colorizer.colorize(np.full((2, 3), 25700, np.uint16))  # 100 * 257
    np.testing.assert_allclose(deep[1, 2], [32906.28, 22913.76, 21145.96], atol=1)


@pytest.mark.parametrize(
    ("saturation", "wanted"),
    [(0.0, [100, 100, 100]), (0.5, [114, 95, 91]), (2.0, [156, 78, 65])],
)
def test_saturation_scales_about_neutral(saturation: float, wanted: list) -> None:
    # 0.5: R = 114.02, G = 94.58, B = 91.14. 2: R = 156.08, G = 78.32, B = 64.56.
    colorizer = painting((118 / 255, 148 / 255))
    np.testing.assert_array_equal(
        colorizer.colorize(np.full((2, 3), 100, np.uint8), saturation=saturation)[0, 0], wanted
    )
    assert colorizer.saturation == 1.0  # an argument is for one call
    colorizer.saturation = saturation
    np.testing.assert_array_equal(colorizer.colorize(np.full((2, 3), 100, np.uint8))[0, 0], wanted)


def test_stripes_change_nothing(colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = noise(37, 50, 3)
    wanted = colorizer.colorize(rgb)
    for stripe in (1, 50 * 5, 50 * 36):  # one row each; a remainder; a last row on its own
        monkeypatch.setattr(chroma_upsampling, "STRIPE", stripe)
        np.testing.assert_array_equal(colorizer.colorize(rgb), wanted)


@pytest.mark.parametrize("upsampling", ["guided", "bilinear"])
@pytest.mark.parametrize("size", [(200, 333), (300, 20), (9, 1000)])
def test_no_seams(colorizer: Colorizer, weights: Path, upsampling: str, size: tuple) -> None:
    """Against a merge of the whole picture at once, written another way."""
    ours = Colorizer(weights, upsampling=upsampling, precision="float32")
    gray = noise(*size)
    small = ours.network_input(gray)
    chroma = ours.predict(small[None])[0]
    whole = tf.image.resize(whole_coefficients(ours, gray, chroma, small), size)
    level = gray[..., None] / np.float32(255)
    merged = RECIPE.space.merge(level, whole[..., :2] * level + whole[..., 2:])
    difference = ours.colorize(gray) - merged * 255
    assert np.abs(difference).max() < 0.51  # the rounding to 8 bits, and of float32


def test_bilinear_is_the_networks_chroma_enlarged(colorizer: Colorizer, weights: Path) -> None:
    gray = noise(90, 121)
    level = gray[None, ..., None] / np.float32(255)
    wanted = RECIPE.space.merge(level, colorizer.chroma(level))[0] * 255
    bilinear = Colorizer(weights, upsampling="bilinear", precision="float32")
    difference = bilinear.colorize(gray) - wanted
    assert np.abs(difference).max() < 0.52


def test_at_the_networks_size_both_upsamplings_change_nothing(
    colorizer: Colorizer, weights: Path
) -> None:
    gray = noise(SIZE, 40)
    bilinear = Colorizer(weights, upsampling="bilinear").colorize(gray)
    assert np.abs(colorizer.colorize(gray) - bilinear.astype(int)).max() <= 1


def test_the_parts_are_the_whole(colorizer: Colorizer) -> None:
    """Two frames of a film, with their chroma at hand in between."""
    frames = [noise(50, 77, 3), noise(50, 77, 3)[::-1]]
    grays = np.stack([colorizer.network_input(frame) for frame in frames])
    chroma = colorizer.predict(grays)
    assert chroma.shape == (2, *grays.shape[1:3], 2)
    for frame, gray, small in zip(frames, grays, chroma, strict=True):
        wanted = colorizer.colorize(frame)
        for merged in (colorizer.merge(frame, small), colorizer.merge(frame, small, gray)):
            assert np.abs(merged.astype(int) - wanted).max() <= 1  # batches round differently


def test_lab_recipes_merge_in_lab() -> None:
    recipe = SimpleNamespace(array_space=array_colors.LAB, gray="lightness", multiple=8)
    gray = np.full((2, 3), 100, np.uint8)
    output = painting((0.5, 0.5), recipe).colorize(gray)  # type: ignore[arg-type]
    np.testing.assert_allclose(output.astype(int), 100, atol=1)


# --- what the network sees ------------------------------------------------------------------------


def test_auto_is_the_recipes_size_and_size_is_heard(colorizer: Colorizer, weights: Path) -> None:
    gray = noise(64, 64)
    assert colorizer.size == SIZE
    own, other = (Colorizer(weights, size=size, precision="float32") for size in (SIZE, 64))
    np.testing.assert_array_equal(own.colorize(gray), colorizer.colorize(gray))
    assert (other.colorize(gray) != colorizer.colorize(gray)).any()


def test_chroma_at_the_networks_own_size_is_the_networks(
    colorizer: Colorizer, weights: Path
) -> None:
    gray = noise(2, SIZE, SIZE, 1) / np.float32(255)
    network = model_loading.load_network(weights).network
    np.testing.assert_allclose(colorizer.chroma(gray), network(gray), atol=1e-6)


def test_a_recipes_margin_is_looked_at(weights: Path, tmp_path: Path) -> None:
    loaded = model_loading.load_network(weights)
    recipe = dataclasses.replace(loaded.recipe, margin=8)
    weights_files.save_weights(loaded.network, tmp_path / "m.weights.h5", recipe.to_json())
    gray = noise(1, SIZE, SIZE, 1) / np.float32(255)
    mirrored = np.pad(gray, [(0, 0), (8, 8), (8, 8), (0, 0)], "symmetric")
    expected = loaded.network(mirrored)[:, 8:-8, 8:-8]
    colorizer = Colorizer(tmp_path / "m.weights.h5", precision="float32")
    np.testing.assert_allclose(colorizer.chroma(gray), expected, atol=1e-5)
    np.testing.assert_allclose(colorizer.predict(gray), expected, atol=1e-5)
    assert np.abs(expected - loaded.network(gray)).max() > 1e-3


def test_many_sizes_are_one_trace(weights: Path) -> None:
    colorizer = Colorizer(weights, precision="float32", engine="tensorflow")
    for side in range(10, 20):
        colorizer.colorize(noise(side, side + 3))
    assert colorizer.engine._network.experimental_get_tracing_count() == 1


# --- loading --------------------------------------------------------------------------------------


def test_a_workdir_and_its_weights_file_are_the_same(weights: Path, colorizer: Colorizer) -> None:
    loaded = model_loading.load_network(weights.parents[1])
    assert loaded.sha256 == colorizer.sha256 and len(loaded.sha256) == 64
    assert loaded.recipe == RECIPE
    assert loaded.source == str(weights)


def test_no_model_is_shipped_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_loading, "PRETRAINED", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"ships no weights.*--model=PATH.*workdir"):
        Colorizer()


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path) -> Path:
    """float16 weights where the package keeps its own, with their SHA-256."""
    monkeypatch.setattr(model_loading, "PRETRAINED", tmp_path)
    arrays, about = weights_files.read_arrays(weights)
    path = tmp_path / "modern.weights.h5"
    halved = {name: value.astype(np.float16) for name, value in arrays.items()}
    weights_files.write_arrays(path, halved, about)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "modern.weights.h5.sha256").write_text(f"{digest}  {path.name}\n")
    return path


def test_shipped_weights_in_float16_are_used(shipped: Path, colorizer: Colorizer) -> None:
    ours = Colorizer()
    assert ours.source == str(shipped)
    gray = noise(40, 50)
    difference = ours.colorize(gray).astype(int) - colorizer.colorize(gray)
    assert np.abs(difference).max() <= 1


def test_shipped_weights_that_were_touched_are_refused(shipped: Path) -> None:
    data = bytearray(shipped.read_bytes())
    data[len(data) // 2] ^= 1
    shipped.write_bytes(data)
    with pytest.raises(ValueError, match="is not what was shipped: its SHA-256 is .* holds"):
        Colorizer()


@pytest.mark.parametrize("lost", ["modern.weights.h5", "modern.weights.h5.sha256"])
def test_shipped_weights_that_are_incomplete_are_refused(shipped: Path, lost: str) -> None:
    (shipped.parent / lost).unlink()
    with pytest.raises(FileNotFoundError, match=f"{lost} of the shipped weights is missing"):
        Colorizer()


def test_of_several_shipped_weights_one_is_to_be_named(shipped: Path) -> None:
    (shipped.parent / "other.weights.h5").touch()
    with pytest.raises(ValueError, match="several shipped weights"):
        Colorizer()


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no"):
        Colorizer(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="weights file, a training workdir"):
        Colorizer(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(ValueError, match="damaged or no SavedModel of this project"):
        Colorizer(tmp_path)


# --- wrong arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (np.zeros((4, 480, 640, 3), np.uint8), r"uint8 \[4, 480, 640, 3\]"),
        (np.zeros((8, 8, 3), np.float32), r"float32 \[8, 8, 3\]"),
        (np.zeros((8, 8, 2), np.uint8), r"uint8 \[8, 8, 2\]"),
        (np.zeros((0, 8), np.uint8), r"uint8 \[0, 8\]"),
        (np.zeros(8, np.uint8), r"uint8 \[8\]"),
    ],
)
def test_what_is_no_picture_is_named(colorizer: Colorizer, picture: np.ndarray, found: str) -> None:
    with pytest.raises(ValueError, match=f"one picture, .* Received {found}.* call chroma"):
        colorizer.colorize(picture)


def test_wrong_options_are_told_before_anything_is_loaded() -> None:
    for size in (0, 7, -8, "large", 2.5):
        with pytest.raises(ValueError, match='size must be "auto" or a whole number from 8'):
            Colorizer("absent", size=size)  # type: ignore[arg-type]
    for saturation in (-1.0, float("nan"), float("inf"), 1e300, 100.1, 10**400, True, "1"):
        with pytest.raises(ValueError, match="saturation must be 0 or more"):
            Colorizer("absent", saturation=saturation)
        with pytest.raises(ValueError, match="saturation must be 0 or more"):
            painting((0.5, 0.5)).colorize(np.zeros((2, 3), np.uint8), saturation=saturation)
    with pytest.raises(ValueError, match="upsampling must be one of"):
        Colorizer("absent", upsampling="cubic")


# --- files ----------------------------------------------------------------------------------------


def test_colorize_file(colorizer: Colorizer, tmp_path: Path) -> None:
    source, target = tmp_path / "gray.png", tmp_path / "color.tiff"
    image_io.write(source, noise(20, 30, dtype=np.uint16))
    colorizer.colorize_file(source, target)
    wanted = colorizer.colorize(source)
    np.testing.assert_array_equal(image_io.read(target).pixels, wanted)
    assert wanted.dtype == np.uint16


def test_files_of_the_user_are_safe(colorizer: Colorizer, tmp_path: Path) -> None:
    source, target = tmp_path / "gray.png", tmp_path / "color.png"
    image_io.write(source, noise(20, 30))
    before = source.read_bytes()
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="color.png exists"):
        colorizer.colorize_file(source, target)
    assert target.read_bytes() == b"precious"
    (tmp_path / "link.png").symlink_to(source)
    for same in (source, tmp_path / "link.png", tmp_path / "." / "gray.png"):
        with pytest.raises(ValueError, match="onto itself"):
            colorizer.colorize_file(source, same, overwrite=True)
    assert source.read_bytes() == before
    colorizer.colorize_file(source, target, overwrite=True)
    assert image_io.read(target).has_color
