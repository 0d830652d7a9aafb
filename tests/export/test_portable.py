"""Keras and ONNX files: equal to the network, and of use to processes that have only those."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from residual_encoder import models
from residual_encoder.data import sample_images
from residual_encoder.export import keras_model, model_file, onnx_model
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import Loaded, shipped_weights
from residual_encoder.models import onnx_graph, weights
from residual_encoder.models.configs import ResidualEncoderConfig
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.recipes import RECIPES

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

STEP = 1 / 255  # allowed by the documentation
SHAPES = ((1, 23, 57), (3, 104, 61), (2, 9, 9))  # batch, height, width


@pytest.fixture(scope="module", params=["soft_weights", "distribution_weights"])
def model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights as ONNX, and as a .keras file that the tool wrote."""
    folder = tmp_path_factory.mktemp("exports")
    onnx_model.export_onnx(str(shipped_weights()), folder / "colorizer.onnx")
    done = tool("--format=keras", f"--output={folder / 'colorizer.keras'}")
    assert done.returncode == 0, done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def tool(*arguments: str) -> Any:
    command = [sys.executable, str(ROOT / "tools" / "export.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def gray(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random((*shape, 1), np.float32)


def opencv(path: Path, grays: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(grays.transpose(0, 3, 1, 2))
    return net.forward().transpose(0, 2, 3, 1)


# --- parity ---------------------------------------------------------------------------------------


def test_files_compute_what_the_colorizer_does(model: Path, tmp_path: Path) -> None:
    """Odd sizes and batches, in Keras, onnxruntime and OpenCV."""
    colorizer = Colorizer(model, precision="float32")
    as_keras = keras_model.export_keras(str(model), tmp_path / "model.keras")
    as_onnx = onnx_model.export_onnx(str(model), tmp_path / "model.onnx")
    assert max(as_keras.difference, as_onnx.difference) < 1e-5
    loaded = keras.models.load_model(as_keras.path)
    run = onnx_model._runner(as_onnx.path.read_bytes())
    for shape in SHAPES:
        expected = colorizer.predict(gray(*shape))
        assert expected.shape == (*shape, 2) and np.ptp(expected) > 0.01
        received = [loaded.predict(gray(*shape), verbose=0), run(gray(*shape))]
        if min(shape[1:]) > colorizer.recipe.multiple:  # see docs/export.md
            received.append(opencv(as_onnx.path, gray(*shape)))
        for chroma in received:
            np.testing.assert_allclose(chroma, expected, atol=1e-5)


def test_the_shipped_weights_within_a_millionth(exports: Path) -> None:
    loaded = model_file.load_for_export(shipped_weights(), ColorChoice())
    run = onnx_model._runner((exports / "colorizer.onnx").read_bytes())
    assert model_file.largest_difference(loaded, run) < 1e-6
    run = keras_model._runner((exports / "colorizer.keras").read_bytes())
    assert model_file.largest_difference(loaded, run) < 1e-6


def test_every_option_of_a_residual_encoder() -> None:
    configs = (
        ResidualEncoderConfig((256, 128, 64, 8, 4), "concat", "elu", 0.0, "half_pixel", 5),
        ResidualEncoderConfig(activation="leaky_relu"),
    )
    for config, margin in zip(configs, (16, 0), strict=True):
        recipe = dataclasses.replace(
            RECIPES["modern"], network=config, margin=margin, image_size=32
        )
        network = models.build(config)
        for variable in network.weights:
            if variable.path.endswith("moving_variance"):
                variable.assign(np.random.default_rng(2).uniform(0.5, 2, variable.shape))
        loaded = Loaded(network, recipe, "", "")
        run = onnx_model._runner(onnx_model.onnx_file(loaded))
        assert model_file.largest_difference(loaded, run) < 1e-5
        portable = keras_model.portable_model(loaded)
        assert model_file.largest_difference(loaded, lambda x, f=portable: f(x).numpy()) < 1e-5


def test_colors_are_fixed_at_export(distribution_weights: Path, tmp_path: Path) -> None:
    choice = ColorChoice(temperature=0.3, prior_correction=0.4)
    vivid = onnx_model.export_onnx(str(distribution_weights), tmp_path / "v.onnx", None, choice)
    colorizer = Colorizer(
        distribution_weights, temperature=0.3, prior_correction=0.4, precision="float32"
    )
    chroma = onnx_model._runner(vivid.path.read_bytes())(gray(1, 33, 47))
    np.testing.assert_allclose(chroma, colorizer.predict(gray(1, 33, 47)), atol=1e-5)
    calm = Colorizer(distribution_weights, precision="float32").predict(gray(1, 33, 47))
    assert np.abs(chroma - calm).max() > 0.01


def test_a_fixed_size(soft_weights: Path, tmp_path: Path) -> None:
    """As OpenCV 4 wants it: no size is computed in the graph."""
    import onnx

    saved = onnx_model.export_onnx(str(soft_weights), tmp_path / "fixed.onnx", (41, 50))
    graph = onnx.load(saved.path).graph
    sides = graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in sides[2:]] == [41, 50]
    assert not {node.op_type for node in graph.node} & {"Shape", "Pad", "Mod"}
    expected = Colorizer(soft_weights, precision="float32").predict(gray(2, 41, 50))
    np.testing.assert_allclose(opencv(saved.path, gray(2, 41, 50)), expected, atol=1e-5)


def test_what_a_file_tells_of_itself(exports: Path) -> None:
    import onnx

    model = onnx.load(exports / "colorizer.onnx")
    recipe = Colorizer().recipe
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["color_space"] == recipe.color_space and told["gray"] == recipe.gray
    assert told["short_side"] == str(recipe.inference_size)
    assert [entry.version for entry in model.opset_import] == [onnx_graph.OPSET]
    with zipfile.ZipFile(exports / "colorizer.keras") as file:
        card = json.loads(file.read("recipe.json"))
    assert card == json.loads(told["card"]) and card["recipe"] == recipe.to_json() | {
        "network": card["recipe"]["network"]
    }


# --- in other hands -------------------------------------------------------------------------------

# What a process cannot import; Keras needs TensorFlow.
WITHOUT = {
    "onnxruntime": ("residual_encoder", "tensorflow", "keras", "PIL", "skimage"),
    "cv2": ("residual_encoder", "tensorflow", "keras", "onnxruntime", "PIL", "skimage"),
    "keras": ("residual_encoder", "onnxruntime", "PIL", "skimage"),
}
GRAYS = {"luma": "np.float32([0.114, 0.587, 0.299])", "mean": "np.float32([1, 1, 1]) / 3"}
NO_DNN = "import cv2\ndel cv2.dnn\n"  # it reads pictures for the others
# Behind the documentation's lines: the chroma of the photograph, and of a batch of odd size.
MORE = {
    "onnxruntime": "many = session.run(None, {'grayscale': batch})[0]",
    "cv2": "net.setInput(batch); many = net.forward()",
    "keras": "many = model.predict(batch.transpose(0, 2, 3, 1), verbose=0).transpose(0, 3, 1, 2)",
}


def documented(library: str) -> str:
    """The example of docs/export.md for a library, as one program."""
    page = (ROOT / "docs" / "export.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    by_onnxruntime, by_opencv, by_keras = (
        next(block for block in blocks if word in block)
        for word in ("import onnxruntime", "cv2.dnn", "import keras")
    )
    if library == "onnxruntime":
        return by_onnxruntime
    others = by_onnxruntime.replace("import onnxruntime\n", "")
    lines = [line for line in (by_opencv if library == "cv2" else by_keras).splitlines() if line]
    if library == "keras":
        others = f"{lines.pop(0)}\n{others}"
    session, about, *chroma = lines
    for name, instead in (("session", session), ("about", about), ("chroma", "\n".join(chroma))):
        others = re.sub(rf"^{name} = .*$", instead, others, flags=re.MULTILINE)
    return others


@pytest.mark.parametrize("library", list(WITHOUT))
def test_a_stranger_colors_a_photograph(library: str, exports: Path) -> None:
    """With the documentation's lines, in a process that has only that library."""
    colorizer = Colorizer(precision="float32", upsampling="bilinear")
    picture = dict(sample_images.photographs())["astronaut"][:333, :501]  # odd sides
    Image.fromarray(picture).save(exports / "portrait.jpg", quality=95)
    np.save(exports / "batch.npy", gray(3, 77, 53).transpose(0, 3, 1, 2))
    block = f"import sys\nfor name in {WITHOUT[library]}: sys.modules[name] = None\n"
    block += NO_DNN if library != "cv2" else ""
    more = f"\nbatch = np.load('batch.npy')\n{MORE[library]}\n"
    more += "np.savez('chroma.npz', small=small, chroma=chroma, many=many)\n"
    command = [sys.executable, "-c", block + documented(library) + more]
    done = subprocess.run(command, cwd=exports, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert library == "keras" or not done.stderr

    there = np.load(exports / "chroma.npz")
    assert min(there["small"].shape) == colorizer.size
    expected = colorizer.predict(there["small"][None, ..., None])[0].transpose(2, 0, 1)
    assert np.abs(there["chroma"] - expected).max() < STEP
    many = colorizer.predict(gray(3, 77, 53)).transpose(0, 3, 1, 2)
    assert np.abs(there["many"] - many).max() < STEP
    colored = np.asarray(Image.open(exports / "colored.png")).astype(int)
    with Image.open(exports / "portrait.jpg") as photograph:
        here = colorizer.colorize(np.asarray(photograph)).astype(int)
    assert np.ptp(here, axis=-1).mean() > 3
    assert colored.shape == here.shape and np.abs(colored - here).mean() < 3


@pytest.mark.parametrize("library", ["onnxruntime", "cv2"])
@pytest.mark.parametrize("weights_of", ["soft_weights", "distribution_weights"])
def test_the_examples_take_both_kinds_of_networks(
    library: str,
    weights_of: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose chroma is UV, or ab of Lab."""
    model = request.getfixturevalue(weights_of)
    monkeypatch.chdir(tmp_path)
    colorizer = Colorizer(model, precision="float32", upsampling="bilinear")
    onnx_model.export_onnx(str(model), "colorizer.onnx")
    picture = dict(sample_images.photographs())["chelsea"]
    Image.fromarray(picture).save("portrait.jpg", quality=95)
    told = {"short_side": colorizer.size, "color_space": colorizer.recipe.color_space}
    code = re.sub(r"^about = \{.*$", f"about = {told}", documented(library), flags=re.MULTILINE)
    code = re.sub(
        r"^LUMA = .*$", f"LUMA = {GRAYS[colorizer.recipe.gray]}", code, flags=re.MULTILINE
    )
    exec(code, {})
    colored = np.asarray(Image.open("colored.png")).astype(int)
    here = colorizer.colorize(np.asarray(Image.open("portrait.jpg"))).astype(int)
    assert np.ptp(here, axis=-1).mean() > 3 and np.abs(colored - here).mean() < 3


def test_the_examples_are_short() -> None:
    for library in ("onnxruntime", "cv2"):
        code = documented(library)
        lines = [
            line for line in code.splitlines() if line and not line.startswith(("import", "from"))
        ]
        assert len(lines) <= 20, library


# --- nothing half done ----------------------------------------------------------------------------


def test_an_unequal_file_is_not_kept(
    soft_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for difference, text in ((2e-5, "2.00e-05"), (float("nan"), "nan")):
        monkeypatch.setattr(model_file, "largest_difference", lambda *_, d=difference: d)
        with pytest.raises(ValueError, match=f"differs from the network by {text}"):
            onnx_model.export_onnx(str(soft_weights), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(soft_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the name must end in \.onnx"):
        onnx_model.export_onnx(str(soft_weights), tmp_path / "model.keras")
    (tmp_path / "model.keras").write_text("precious")
    with pytest.raises(FileExistsError):
        keras_model.export_keras(str(soft_weights), tmp_path / "model.keras")
    path = tmp_path / "other.weights.h5"
    recipe = RECIPES["cnn1"]
    weights.save_weights(models.build(recipe.network), path, recipe.to_json())
    with pytest.raises(ValueError, match="a network 'cnn'; --format=keras and onnx take"):
        keras_model.export_keras(str(path), tmp_path / "other.keras")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.keras", "other.weights.h5"]


# --- the tool -------------------------------------------------------------------------------------


def test_the_tool_exports_the_shipped_weights(exports: Path) -> None:
    recipe, printed = Colorizer().recipe, (exports / "printed.txt").read_text()
    assert printed.startswith(f"keras in {exports / 'colorizer.keras'}; chroma within ")
    assert f"short side: {recipe.inference_size} pixels" in printed
    assert f"color space: {recipe.color_space}" in printed


def test_help_has_a_line_for_each_format() -> None:
    text = tool("--help").stdout
    lines = (
        "import json; from residual_encoder.apps.export_cli import FORMATS as formats\n"
        "print(json.dumps(formats))"
    )
    found = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, check=True)
    for name, line in json.loads(found.stdout).items():
        assert f"    {name}: {line}\n" in text


def test_the_size_is_for_two_formats() -> None:
    done = tool("--format=keras", "--size=8x8", "--output=a.keras")
    assert done.returncode == 1
    assert "--size goes with --format=litert or onnx, not keras" in done.stderr
