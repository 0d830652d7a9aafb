"""The released model rebuilt: names of its file, the article's strips, and what is refused."""

import json
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder import models
from residual_encoder.data.configs import DataConfig
from residual_encoder.imaging import image_io
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.recipes import RECIPES
from residual_encoder.reproduction import released_model
from residual_encoder.reproduction.released_model import ReleasedConfig, measure_released

PARTS = {v: k for k, v in released_model.PARTS.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A decoder file, a VGG16 file and two strips, of random numbers."""
    folder = tmp_path_factory.mktemp("released")
    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(5)
    vgg = keras.applications.VGG16(include_top=False, weights=None)
    vgg.save_weights(folder / "vgg.weights.h5")
    network = models.build(
        released_model.RECIPE.network, vgg16_weights=str(folder / "vgg.weights.h5")
    )
    arrays = {}
    for variable in network.weights:
        layer, part = variable.path.split("/")
        if not layer.startswith("block"):
            spread = rng.uniform(0.5, 1.5, variable.shape) if "bn" in layer else None
            value = rng.normal(0, 0.05, variable.shape) if spread is None else spread
            arrays[f"{layer}/{PARTS[part]}"] = value.astype(np.float32)
            variable.assign(value)
    np.savez(folder / "decoder.npz", **arrays)
    (folder / "strips").mkdir()
    for name in "ab":
        strip = rng.integers(0, 256, (32, 96, 3), np.uint8)
        strip[:, :32] = strip[:, :32, :1]
        image_io.write(folder / "strips" / f"{name}.png", strip)
    return folder, network


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory):
    folder, network = made
    output = tmp_path_factory.mktemp("out") / "new"
    return folder, network, output, measure_released(config(folder, output))


def config(folder, output, **changes):
    parts = {
        "decoder": str(folder / "decoder.npz"),
        "vgg16_weights": str(folder / "vgg.weights.h5"),
        "strips": str(folder / "strips"),
        "output": str(output),
    }
    return ReleasedConfig(**(parts | changes))


def panels(folder, name):
    return np.split(image_io.read(folder / "strips" / f"{name}.png").pixels, 3, axis=1)


def by_hand(network, gray):
    """Chroma of the network for a gray panel, and the picture, by JPEG's formula."""
    chroma = network(gray[None, ..., :1] / np.float32(255)).numpy()[0]
    y, (u, v) = gray[..., 0] / 255.0, np.moveaxis(chroma - 128 / 255, -1, 0)
    rgb = np.stack([y + 1.402 * v, y - 0.34414 * u - 0.71414 * v, y + 1.772 * u], -1)
    return chroma, np.rint(rgb.clip(0, 1) * 255)


def test_strips_have_what_the_network_gives(measured):
    folder, network, output, _ = measured
    gray, published, truth = panels(folder, "a")
    row = image_io.read(output / "a.png").pixels
    assert row.shape == (32, 128, 3)
    for k, expected in enumerate((gray, published, by_hand(network, gray)[1], truth)):
        found = row[:, 32 * k : 32 * k + 32].astype(int)
        assert np.abs(found - expected).max() <= (k == 2)
    assert image_io.read(output / "sheet.png").pixels.ndim == 3


def test_figures_and_correlation_by_hand(measured):
    folder, network, output, report = measured
    assert json.loads((output / "released.json").read_text()) == report
    gray, published, _ = panels(folder, "a")
    red, green, blue = np.moveaxis(published / 255.0, -1, 0)
    u = (-0.168736 * red - 0.331264 * green + 0.5 * blue + 128 / 255).clip(0, 1)
    v = (0.5 * red - 0.418688 * green - 0.081312 * blue + 128 / 255).clip(0, 1)
    chroma = by_hand(network, gray)[0]
    for k, (name, plane) in enumerate({"u": u, "v": v}.items()):
        expected = np.corrcoef(plane.ravel(), chroma[..., k].ravel())[0, 1]
        assert report["correlation"]["a"][name] == pytest.approx(expected, abs=1e-4)
    assert list(report["pictures"]) == ["gray", "published", "released"]
    square = [np.mean((p.astype(float) - t) ** 2) for _, p, t in (panels(folder, n) for n in "ab")]
    psnr = np.mean(10 * np.log10(255**2 / np.array(square)))
    assert report["pictures"]["published"]["psnr"] == pytest.approx(psnr, abs=1e-6)
    assert "taps" not in report


def test_tables_show_all_figures(measured):
    report = measured[3] | {"taps": {"mean": [0.5, 0.25, 1, 0], "deviation": [0, 0, 0, 1]}}
    figures, pictures, taps = released_model.tables_of(report)
    assert [line[0] for line in figures[1:]] == ["gray", "published", "released"]
    assert pictures[1] == ["a", *(f"{report['correlation']['a'][k]:.3f}" for k in "uv")]
    assert taps[1] == ["mean", "0.5000", "0.2500", "1.0000", "0.0000"]
    assert len(released_model.tables_of(measured[3])) == 2


def test_the_weights_file_is_the_network(measured):
    """Colorizer, and so tools/evaluate.py, runs the file; its own folded graph gives the same."""
    folder, network, output, _ = measured
    colorizer = Colorizer(output / "released.weights.h5", precision="float32")
    assert colorizer.recipe == RECIPES["tinyclouds2016"]
    gray = np.random.default_rng(1).random((1, 32, 32, 1), np.float32)
    np.testing.assert_allclose(colorizer.predict(gray), network(gray), atol=2e-4)


def test_a_constant_plane_has_no_correlation():
    flat = np.full((8, 8, 3), 90, np.uint8)
    chroma = np.random.default_rng(0).random((8, 8, 2), np.float32)
    strip = released_model.Strip("x", flat, flat, flat)
    assert released_model.correlation(strip, chroma) == {"u": None, "v": None}


def test_taps_follow_norms_that_hold_the_same_photographs(made):
    """Norms that were given the true statistics correlate perfectly; shuffled ones do not."""
    folder, _ = made
    network = released_model.released_network(
        str(folder / "decoder.npz"), str(folder / "vgg.weights.h5")
    )
    data = DataConfig("synthetic")
    trunk = models.trunk_of(network)
    taps = [
        np.concatenate(t)
        for t in zip(
            *(
                [np.asarray(x) for x in trunk(np.repeat(g, 3, -1))]
                for g in released_model._grays(data, 2)
            ),
            strict=True,
        )
    ]
    for level, tap in enumerate(taps, start=1):
        norm = network.get_layer(f"pool{level}_bn")
        norm.moving_mean.assign(tap.mean((0, 1, 2)))
        norm.moving_variance.assign(tap.var((0, 1, 2)))
    found = released_model.tap_correlations(network, data, 2)
    np.testing.assert_allclose(found["mean"], 1, atol=1e-3)
    np.testing.assert_allclose(found["deviation"], 1, atol=1e-3)
    norm = network.get_layer("pool4_bn")
    norm.moving_mean.assign(np.random.default_rng(0).permutation(norm.moving_mean.numpy()))
    assert released_model.tap_correlations(network, data, 2)["mean"][3] < 0.9


def test_a_constant_channel_does_not_spoil_the_correlation_of_the_others():
    """Its mean of squares is a last bit below the square of its mean."""
    held = SimpleNamespace(
        moving_mean=tf.constant([0.1, 2.0, 3.0]), moving_variance=tf.constant([0.0, 1.0, 4.0])
    )
    network = SimpleNamespace(get_layer={"pool1_bn": held}.get)
    mean = np.array([0.1, 2.0, 3.0])
    moments = np.stack([mean, np.array([np.nextafter(0.1**2, 0), 4 + 1, 9 + 4])])
    found = released_model._compared(network, 1, moments)
    assert found == (pytest.approx(1), pytest.approx(1))


def test_what_is_refused(made, tmp_path):
    folder, _ = made
    with pytest.raises(FileNotFoundError, match=r"There is no .*nowhere.npz. Give the decoder"):
        measure_released(config(folder, tmp_path, decoder="nowhere.npz"))
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="is not the released decoder"):
        measure_released(config(folder, tmp_path, decoder=str(tmp_path / "text.npz")))
    with np.load(folder / "decoder.npz") as arrays:
        np.savez(
            tmp_path / "part.npz", **{k: arrays[k] for k in arrays.files if "color3/" not in k}
        )
    with pytest.raises(
        ValueError, match=r"does not fit this network. Missing: \['color3/kernel'\]"
    ):
        measure_released(config(folder, tmp_path, decoder=str(tmp_path / "part.npz")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no .jpg or .png strips"):
        measure_released(config(folder, tmp_path, strips=str(tmp_path / "empty")))
    image_io.write(tmp_path / "empty" / "x.png", np.zeros((8, 20, 3), np.uint8))
    with pytest.raises(ValueError, match="x.png is 20x8 of uint8; wanted three squares in a row"):
        measure_released(config(folder, tmp_path, strips=str(tmp_path / "empty")))
    with pytest.raises(ValueError, match="needs VGG16 as trained on ImageNet"):
        config(folder, tmp_path, vgg16_weights="none")
    image_io.write(tmp_path / "empty" / "x.png", np.zeros((8, 24, 3), np.uint8))
    image_io.write(tmp_path / "empty" / "y.png", np.zeros((9, 27, 3), np.uint8))
    with pytest.raises(ValueError, match=r"are \[8, 9\] pixels high; wanted one height"):
        measure_released(config(folder, tmp_path, strips=str(tmp_path / "empty")))
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match="is not the released decoder"):
        measure_released(config(folder, tmp_path, decoder=str(tmp_path / "one.npy")))
    assert not (tmp_path / "released.json").exists()


def run(*flags):
    command = [sys.executable, ROOT / "tools/reproduce.py", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_the_command_measures_and_prints(made, tmp_path):
    folder, _ = made
    done = run(
        f"--released={folder / 'decoder.npz'}",
        f"--vgg16_weights={folder / 'vgg.weights.h5'}",
        f"--strips={folder / 'strips'}",
        f"--workdir={tmp_path / 'out'}",
    )
    assert done.returncode == 0, done.stderr
    assert "colorfulness of truth, %" in done.stdout
    assert done.stdout.splitlines()[-1] == f"Report: {tmp_path / 'out' / 'released.json'}"
    assert (tmp_path / "out" / "released.json").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--data is missing"),
        (["--released=a.npz"], "--released needs --strips"),
        (["--data=synthetic", "--strips=a"], "--strips has no use without --released"),
        (["--released=nowhere.npz", "--strips=a"], "a holds no .jpg or .png strips"),
        (["--released=a", "--strips=a", "--vgg16_weights=none"], "needs VGG16 as trained"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(tmp_path, flags, message):
    done = run(*flags, f"--workdir={tmp_path / 'out'}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert line.startswith("reproduce.py: error: ") and message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_released_model_is_the_published_one(shared, tmp_path):
    """The real file on the article's pictures: AuC 0.901, as its published outputs have."""
    weights = tmp_path / "vgg.weights.h5"
    build = [sys.executable, shared / "vgg16" / "build_trunk.py", weights]
    subprocess.run(build, check=True, capture_output=True)
    report = measure_released(
        ReleasedConfig(
            str(shared / "vgg16" / "released_decoder_2016.npz"),
            str(weights),
            str(shared / "tinyclouds" / "best"),
            str(tmp_path / "out"),
        )
    )
    figures = report["pictures"]["released"]
    assert figures["auc"] == pytest.approx(0.9009, abs=5e-4)
    assert figures["colorfulness_of_truth"] == pytest.approx(0.51, abs=0.01)
    assert np.median([pair["u"] for pair in report["correlation"].values()]) > 0.87
