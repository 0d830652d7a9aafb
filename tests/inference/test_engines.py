"""Engines: the same colors from each, TensorFlow only where it is needed, and clear refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SHARED
from helpers.engines import SHAPES, assert_pictures_agree, noise

from residual_encoder import models
from residual_encoder.imaging import ab_classes, ab_quantization, image_io, resizing
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.engines import choice, onnx_engine, settling
from residual_encoder.inference.model_loading import describe
from residual_encoder.models import any_size, network_size, weights
from residual_encoder.models.configs import CnnConfig
from residual_encoder.models.layers import HalfPixelUpsample2
from residual_encoder.models.variable_shapes import variable_shapes
from residual_encoder.recipes import RECIPES


@pytest.fixture(scope="module", params=["soft_weights", "distribution_weights"])
def model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def pair(model: Path) -> list[Colorizer]:
    return [Colorizer(model, engine=name, precision="float32") for name in ("tensorflow", "onnx")]


@pytest.fixture(scope="module")
def cnn_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a network that has no form for inference."""
    recipe = dataclasses.replace(RECIPES["cnn1"], network=CnnConfig((2, 2)), image_size=32)
    path = tmp_path_factory.mktemp("cnn") / "model.weights.h5"
    weights.save_weights(models.build(recipe.network), path, recipe.to_json())
    return path


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    """What tells a SavedModel and its recipe, without a graph."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "saved_model.pb").touch()
    card = {"recipe": RECIPES["modern"].to_json(), "weights_sha256": "0"}
    (tmp_path / "assets" / "recipe.json").write_text(json.dumps(card))
    return tmp_path


def run(code: str, *arguments: str, cwd: Path = ROOT) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={"PYTHONPATH": ROOT}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- without TensorFlow ---------------------------------------------------------------------------

LOADED = "print(sorted({'tensorflow', 'keras', 'av'} & set(sys.modules)))"


def test_the_command_loads_no_tensorflow(tmp_path: Path) -> None:
    rgb = noise(60, 70, 3)
    rgb[..., 1:] = rgb[..., :1] // np.array([1.1, 1.3])  # sepia
    image_io.write(tmp_path / "a.png", rgb)
    (tmp_path / "a.hints.json").write_text('[{"x": 9, "y": 9, "rgb": [200, 30, 40]}]')
    code = (
        "import sys; from residual_encoder.apps import colorize_cli\n"
        "try: colorize_cli.run()\n"
        f"finally: {LOADED}"
    )
    flags = "--vividness=0.7", "--hints=.", "--compare", "--levels", "--output=new"
    assert run(code, "a.png", *flags, cwd=tmp_path).splitlines()[-1] == "[]"
    assert image_io.read(tmp_path / "new" / "a.png").pixels.shape == (60, 70, 3)
    assert (tmp_path / "new" / "a_compare.png").is_file()


def test_a_colorizer_loads_no_tensorflow_until_it_is_needed() -> None:
    code = f"""
import sys
import numpy as np
from residual_encoder import Colorizer
colorizer = Colorizer()
colorizer.colorize(np.zeros((20, 30), np.uint16), vividness=0.2)
colorizer.chroma(np.zeros((2, 20, 30, 1)))
{LOADED}
print(colorizer.engine.name)
"""
    assert run(code).splitlines() == ["[]", "onnx"]


def test_the_page_loads_no_tensorflow(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from residual_encoder.apps.web import samples, server
from residual_encoder.inference.colorizer import Colorizer
pictures = samples.write(Path({str(tmp_path)!r}, "samples"))
server.warm(Colorizer(), next(iter(pictures.values())), Path({str(tmp_path)!r}))
print(sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    assert run(code) == "[]\n"


# --- the same colors ------------------------------------------------------------------------------


@SHAPES
def test_pictures_of_both_engines_agree(pair: list[Colorizer], shape: tuple[int, ...]) -> None:
    assert_pictures_agree(pair, shape)


def test_all_outputs_of_both_engines_agree(pair: list[Colorizer]) -> None:
    """Chroma at the network's size and at any, in batches; logits, and colors chosen from them."""
    gray = noise(2, 39, 50, 1).astype(np.float32) / 255
    by_tensorflow, by_onnx = pair
    assert by_tensorflow.has_distribution == by_onnx.has_distribution
    assert by_tensorflow.precision == by_onnx.precision == "float32"
    for name in ("predict", "chroma"):
        wanted, received = (np.asarray(getattr(one, name)(gray)) for one in pair)
        assert received.shape == wanted.shape and np.ptp(wanted) > 0.01
        np.testing.assert_allclose(received, wanted, atol=1e-5)
    if by_onnx.has_distribution:
        whole = network_size.repeated(gray, by_onnx.recipe.multiple)
        logits = [one.predict_logits(whole) for one in pair]
        np.testing.assert_allclose(*logits, atol=1e-4)
        for vividness in (None, 0.0, 1.0):
            colors = [one.choose_colors(logits[0], vividness) for one in pair]
            np.testing.assert_allclose(*colors, atol=1e-6)


def test_the_shipped_weights_on_photographs(shared: Path) -> None:
    """The measurement over 50 photographs is tests/measurements/engines.py."""
    sys.path.append(str(ROOT / "tests" / "measurements"))
    from engines import photographs

    both = [Colorizer(engine=name, precision="float32") for name in ("tensorflow", "onnx")]
    for picture in photographs(str(SHARED / "data"), 2):
        one, other = (colorizer.colorize(picture).astype(int) for colorizer in both)
        assert np.abs(one - other).max() <= 1 and np.mean(one != other) < 1e-3


def test_arrays_are_treated_as_tensors_are(rng: np.random.Generator) -> None:
    x = rng.normal(0, 3, (2, 5, 7, 261)).astype(np.float32)
    for numbers in ((1.0, 0.0), (0.3, 0.4)):
        wanted = ab_quantization.annealed_mean(x, *numbers)
        np.testing.assert_allclose(ab_classes.annealed_mean(x, *numbers), wanted, atol=1e-3)
    np.testing.assert_allclose(
        resizing.doubled(x), HalfPixelUpsample2()(x).numpy(), atol=1e-5, rtol=1e-5
    )
    np.testing.assert_array_equal(network_size.repeated(x, 4), any_size.repeated(x, 4).numpy())
    for height, width, size in ((1, 1, 8), (300, 451, 128), (17, 2000, 128), (999, 777, 101)):
        wanted = [int(side) for side in any_size.network_size(height, width, size, 16)]
        assert list(network_size.network_size(height, width, size, 16)) == wanted


# --- the choice -----------------------------------------------------------------------------------


def test_auto_is_onnx_where_it_can(model: Path, cnn_weights: Path) -> None:
    assert Colorizer(model).engine.name == "onnx"
    assert Colorizer(model).precision == "float32"
    wide = Colorizer(model, precision="bfloat16")
    assert (wide.engine.name, wide.precision) == ("tensorflow", "bfloat16")
    assert Colorizer(cnn_weights).engine.name == "tensorflow"


def test_what_onnx_cannot_run_is_told(model: Path, cnn_weights: Path, saved_model: Path) -> None:
    advice = ".*Take the engine tensorflow, or auto"
    with pytest.raises(ValueError, match=f"runs weights files, and .* is a SavedModel{advice}"):
        Colorizer(saved_model, engine="onnx")
    with pytest.raises(ValueError, match=f"runs residual encoders .* is a cnn{advice}"):
        Colorizer(cnn_weights, engine="onnx")
    with pytest.raises(ValueError, match=f"float32, and bfloat16 was asked for{advice}"):
        Colorizer(model, engine="onnx", precision="bfloat16")
    with pytest.raises(ValueError, match="engine must be one of .*'onnx'.* Received 'torch'"):
        Colorizer(model, engine="torch")


@pytest.mark.parametrize("name", ["modern_five_taps", "modern_distribution"])
def test_shapes_are_those_of_the_network(name: str) -> None:
    config = RECIPES[name].network
    built = models.build(config, vgg16_weights="later").weights
    assert variable_shapes(config) == {one.path: tuple(one.shape) for one in built}
    assert variable_shapes(RECIPES["pix2pix"].network) is None


def test_weights_that_do_not_fit_are_refused_alike(model: Path, tmp_path: Path) -> None:
    arrays, about = weights.read_arrays(model)
    arrays["block1_conv1/bias"] = arrays["block1_conv1/bias"][:-1]
    arrays["extra"] = arrays.pop("color4/kernel")
    weights.write_arrays(tmp_path / "bad.weights.h5", arrays, about)
    messages = []
    for engine in ("tensorflow", "onnx"):
        with pytest.raises(ValueError, match="does not fit this network") as caught:
            Colorizer(tmp_path / "bad.weights.h5", engine=engine)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "color4/kernel" in messages[0]


def test_want_of_memory_is_told_as_such(distribution_weights: Path) -> None:
    colorizer = Colorizer(distribution_weights, engine="onnx")

    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    colorizer.engine._session = Full()  # type: ignore[attr-defined]
    with pytest.raises(MemoryError, match="no memory for"):
        colorizer.colorize(noise(40, 40))


# --- many pictures --------------------------------------------------------------------------------


def test_few_pictures_keep_the_engine(soft_weights: Path) -> None:
    colorizer = Colorizer(soft_weights)
    assert colorizer.settle(1) is None and colorizer.settle(20) is None
    assert colorizer.engine.name == "onnx"
    assert Colorizer(soft_weights, engine="onnx").settle(10**9) is None  # it was asked for


@pytest.mark.parametrize("better", ["tensorflow", "onnx"])
def test_many_pictures_take_the_faster_engine(
    soft_weights: Path, better: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "LOADING", 0.0)
    measured = settling.seconds

    def seconds(engine, *rest):  # type: ignore[no-untyped-def]
        assert 0 < measured(engine, *rest) < 60
        return 0.010 if engine.name == better else 0.020

    monkeypatch.setattr(settling, "seconds", seconds)
    colorizer = Colorizer(soft_weights)
    kind = choice.tensorflow_engine(describe(soft_weights), "auto", 32).precision
    times = (10, 20) if better == "tensorflow" else (20, 10)
    assert colorizer.settle(100) == (
        f"Engine {better}: tensorflow in {kind} {times[0]} ms; onnx in float32 {times[1]} ms "
        "a picture"
    )
    assert colorizer.engine.name == better
    assert colorizer.settle(100) is None  # it is measured once
    assert colorizer.colorize(noise(20, 20)).shape == (20, 20, 3)


def test_large_constants_lie_beside_the_graph(soft_weights: Path) -> None:
    ops = onnx_engine._HeldOperations()
    large, small = np.ones((40, 40), np.float32), np.ones(3, np.float32)
    names = ops.constant(large), ops.constant(small), ops.constant(np.arange(2000))
    assert list(ops.held) == [names[0]] and ops.held[names[0]] is large


def test_onnxruntime_sends_nothing_home(tmp_path: Path) -> None:
    """Its telemetry writes a session file where programs keep temporary files; here it is off."""
    code = (
        "import numpy as np; from residual_encoder import Colorizer\n"
        "assert Colorizer(engine='onnx').colorize(np.zeros((64, 64), np.uint8)).shape[2] == 3"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
