"""A colorizer for people who know Keras: presets, the network, and pictures of all kinds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from residual_encoder.inference import model_loading
from residual_encoder.inference.colorizer import Colorizer

GRAY = np.random.default_rng(0).integers(40, 200, (37, 52), np.uint8)


@pytest.fixture(scope="module")
def colorizer(soft_weights: Path) -> Colorizer:
    return Colorizer(soft_weights, precision="float32")


def grays() -> np.ndarray:
    return np.random.default_rng(1).random((2, 32, 40, 1), np.float32)


# --- the network ----------------------------------------------------------------------------------


def test_the_network_is_a_keras_model(colorizer: Colorizer, capsys: Any) -> None:
    network = colorizer.network
    assert isinstance(network, keras.Model) and network is colorizer.network
    np.testing.assert_allclose(network(grays()), colorizer.predict(grays()), atol=1e-5)
    network.summary()
    assert "color4_bn" in capsys.readouterr().out
    cut = keras.Model(network.input, network.get_layer("color2_relu").output)
    assert cut(grays()).shape == (2, 16, 20, 64)


def test_the_network_is_trained_and_saved(soft_weights: Path, tmp_path: Path) -> None:
    colorizer = Colorizer(soft_weights, precision="float32")
    network, before = colorizer.network, colorizer.predict(grays())
    target = np.full((2, 32, 40, 2), 0.6, np.float32)
    network.compile("adam", "mse")
    first = network.evaluate(grays(), target, verbose=0)
    network.fit(grays(), target, epochs=2, verbose=0)
    np.testing.assert_array_equal(colorizer.predict(grays()), before)  # as documented
    path = tmp_path / "mine.weights.h5"
    colorizer.save_weights(path)
    tuned = Colorizer(path, precision="float32")
    assert tuned.recipe == colorizer.recipe
    assert np.mean((tuned.predict(grays()) - target) ** 2) < first
    with pytest.raises(FileExistsError):
        colorizer.save_weights(path)
    with pytest.raises(ValueError, match=r"must end in \.weights\.h5"):
        colorizer.save_weights(tmp_path / "mine.h5")


def test_weights_of_both_kinds_are_read(colorizer: Colorizer, tmp_path: Path) -> None:
    """This package's and Keras's own, which have the same suffix."""
    network, expected = colorizer.network, colorizer.network(grays())
    path = tmp_path / "keras.weights.h5"
    network.save_weights(path)
    for source in (path, colorizer.source):
        bias = network.get_layer("uv_bn").beta
        bias.assign(bias + 1)
        assert np.abs(network(grays()) - expected).max() > 0.01
        network.load_weights(source)
        np.testing.assert_array_equal(network(grays()), expected)
    with pytest.raises(ValueError, match="was written by Keras.*network.load_weights"):
        Colorizer(path)
    with pytest.raises(FileNotFoundError, match="There is no weights file no.weights.h5"):
        network.load_weights("no.weights.h5")
    with pytest.raises(FileNotFoundError, match="no such folder to write into: '.*missing'"):
        colorizer.save_weights(tmp_path / "missing" / "mine.weights.h5")


def test_a_saved_model_has_no_layers(colorizer: Colorizer, tmp_path: Path) -> None:
    served = Colorizer.__new__(Colorizer)
    served.source = str(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match="holds no layers of Keras"):
        _ = served.network


# --- presets --------------------------------------------------------------------------------------


def test_presets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    presets = Colorizer.presets()
    assert presets and all(path.is_file() for path in presets.values())
    name = next(iter(presets))
    preset = Colorizer.from_preset(name, saturation=1.5)
    assert preset.source == str(presets[name]) and preset.saturation == 1.5
    with pytest.raises(ValueError, match="There is no preset 'other'; this version ships"):
        Colorizer.from_preset("other")
    monkeypatch.setattr(model_loading, "PRETRAINED", tmp_path)
    assert Colorizer.presets() == {}
    with pytest.raises(FileNotFoundError, match="ships no weights yet"):
        Colorizer.from_preset()


# --- pictures -------------------------------------------------------------------------------------


def encoded(image: Image.Image, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **settings)
    return buffer.getvalue()


def test_paths_bytes_arrays_and_images(colorizer: Colorizer, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(GRAY))
    (tmp_path / "gray.png").write_bytes(data)
    expected = colorizer.colorize(GRAY)
    assert np.ptp(expected, axis=-1).max() > 2
    forms = (tmp_path / "gray.png", data, bytearray(data), Image.fromarray(GRAY))
    for picture in (*forms, Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(colorizer.colorize(picture), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_modes_of_pillow(colorizer: Colorizer, mode: str) -> None:
    image = Image.fromarray(GRAY).convert("RGB").convert(mode)
    colored = colorizer.colorize(image)
    assert colored.shape == (*GRAY.shape, 4 if mode in ("LA", "RGBA") else 3)
    if mode != "1":
        luma = colored[..., :3] @ [0.299, 0.587, 0.114]
        assert np.abs(luma - np.asarray(image.convert("L"))).mean() < 3


def test_sixteen_bits_and_orientation_of_pillow(colorizer: Colorizer) -> None:
    deep = Image.fromarray(GRAY.astype(np.uint16) * 257)
    for image in (deep, deep.convert("I")):
        colored = colorizer.colorize(image)
        assert colored.dtype == np.uint16
        np.testing.assert_array_equal(colored, colorizer.colorize(GRAY.astype(np.uint16) * 257))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.open(io.BytesIO(encoded(Image.fromarray(GRAY), exif=exif)))
    expected = colorizer.colorize(np.ascontiguousarray(np.rot90(GRAY, -1)))
    np.testing.assert_array_equal(colorizer.colorize(turned), expected)


def test_what_is_no_picture(colorizer: Colorizer) -> None:
    with pytest.raises(ValueError, match="The picture is empty"):
        colorizer.colorize(b"")
    with pytest.raises(ValueError, match="The picture "):
        colorizer.colorize(b"Dear reader")
    with pytest.raises(ValueError, match="an image of Pillow of mode F"):
        colorizer.colorize(Image.fromarray(GRAY).convert("F"))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("I", "=i4"), ("I;16", "<u2"), ("I;16B", ">u2"), ("I;16L", "<u2"), ("I;16N", "=u2")],
)
def test_all_sixteen_bits_of_pillow(colorizer: Colorizer, mode: str, kind: str) -> None:
    deep = GRAY.astype(np.uint16) * 257
    image = Image.frombytes(mode, deep.shape[::-1], deep.astype(kind).tobytes(), "raw", mode)
    np.testing.assert_array_equal(colorizer.colorize(image), colorizer.colorize(deep))


def test_samples_beyond_sixteen_bits(colorizer: Colorizer) -> None:
    for samples in (-5, 70_000):
        with pytest.raises(ValueError, match=f"samples from {samples} to {samples}; wanted are 0"):
            colorizer.colorize(Image.fromarray(np.full((9, 9), samples, np.int32)))


def test_premultiplied_alpha_of_pillow(colorizer: Colorizer) -> None:
    image = Image.fromarray(GRAY).convert("LA")
    expected = colorizer.colorize(image)
    np.testing.assert_array_equal(colorizer.colorize(image.convert("La")), expected)


def test_bytes_in_the_other_order(colorizer: Colorizer) -> None:
    """As FITS files and TIFFs of old Macs give them."""
    deep = GRAY.astype(np.uint16) * 257
    for order in "<>":
        swapped = colorizer.colorize(deep.astype(f"{order}u2"))
        np.testing.assert_array_equal(swapped, colorizer.colorize(deep))


def test_the_type_of_what_is_no_picture_is_named(colorizer: Colorizer) -> None:
    for thing, name in ((None, "NoneType"), (io.BytesIO(), "BytesIO"), ({}, "dict")):
        with pytest.raises(ValueError, match=f"takes one picture.* Received {name}"):
            colorizer.colorize(thing)


# --- batches of gray ------------------------------------------------------------------------------


def test_grays_of_floats(colorizer: Colorizer, distribution_weights: Path) -> None:
    for one in (colorizer, Colorizer(distribution_weights, precision="float32")):
        for method in (one.chroma, one.predict):
            expected = np.asarray(method(grays()))
            np.testing.assert_array_equal(method(grays().astype(np.float64)), expected)
            none = np.asarray(method(grays()[:0]))
            assert none.shape == (0, 32, 40, 2) and none.dtype == np.float32


@pytest.mark.parametrize(
    ("gray", "received"),
    [
        (grays()[0], r"float32 \[32, 40, 1\]"),
        (grays()[..., 0], r"float32 \[2, 32, 40\]"),
        (np.zeros((1, 9, 9, 3), np.float32), r"float32 \[1, 9, 9, 3\]"),
        (np.zeros((1, 0, 9, 1), np.float32), r"float32 \[1, 0, 9, 1\]"),
        (np.zeros((1, 9, 9, 1), np.uint8), r"uint8 \[1, 9, 9, 1\]"),
        (255 * grays(), "numbers from 0.* to 25"),
        (np.full((1, 9, 9, 1), np.nan, np.float32), "numbers from nan to nan"),
        ("portrait.jpg", r"<U12 \[\]"),
    ],
)
def test_what_is_no_batch_of_gray(colorizer: Colorizer, gray: Any, received: str) -> None:
    for method in (colorizer.chroma, colorizer.predict):
        with pytest.raises(ValueError, match=rf"batch of floats.* Received {received}"):
            method(gray)
