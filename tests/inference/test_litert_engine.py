"""The engine LiteRT: the network's colors from a file, without TensorFlow, and clear refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from helpers.engines import SHAPES, assert_pictures_agree, noise

from residual_encoder import models
from residual_encoder.export import litert
from residual_encoder.export.model_file import card_of
from residual_encoder.imaging import image_io
from residual_encoder.inference import litert_file
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import load_network
from residual_encoder.models import weights
from residual_encoder.models.configs import CnnConfig
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.recipes import RECIPES

VIVID = ColorChoice(vividness=0.8)
CARD = {"recipe": RECIPES["modern_distribution"].to_json(), "weights_sha256": "0"}


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")


@pytest.fixture(scope="module")
def cnn_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of a network of chroma, of a kind that onnxruntime does not run."""
    recipe = dataclasses.replace(RECIPES["cnn1"], network=CnnConfig((2, 2)), image_size=32)
    network = models.build(recipe.network)
    random = np.random.default_rng(0)
    for variable in network.trainable_weights:  # strong colors
        variable.assign(random.normal(0, 1.0, variable.shape))
    path = tmp_path_factory.mktemp("cnn") / "model.weights.h5"
    weights.save_weights(network, path, recipe.to_json())
    return path


@pytest.fixture(scope="module")
def exported(
    cnn_weights: Path, distribution_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Files of both networks, in float32."""
    folder, paths = tmp_path_factory.mktemp("exported"), {}
    for name, source in (("cnn", cnn_weights), ("distribution", distribution_weights)):
        loaded = load_network(source, VIVID if name == "distribution" else ColorChoice())
        graph = litert._converted(loaded.network, None)
        paths[name] = folder / f"{name}.tflite"
        paths[name].write_bytes(litert_file.with_card(graph, card_of(loaded)))
    return paths


@pytest.fixture(scope="module", params=["cnn", "distribution"])
def pair(request: pytest.FixtureRequest, exported: dict[str, Path]) -> list[Colorizer]:
    """The same network in TensorFlow and in LiteRT."""
    source = request.getfixturevalue(f"{request.param}_weights")
    colors = {"vividness": 0.8} if request.param == "distribution" else {}
    by_tensorflow = Colorizer(source, engine="tensorflow", precision="float32", **colors)
    return [by_tensorflow, Colorizer(exported[request.param])]


@pytest.fixture(scope="module")
def colorizer(exported: dict[str, Path]) -> Colorizer:
    return Colorizer(exported["distribution"])


def stub(path: Path, size: int | None = None, int8: bool = False) -> Path:
    """Writes a LiteRT file of one convolution, described as a network of classes."""
    module, spec = tf.Module(), tf.TensorSpec([1, size, size, 1], tf.float32, "grayscale")
    kernel = np.random.default_rng(0).random((3, 3, 1, 2), np.float32) / 9
    function = tf.function(lambda gray: tf.nn.conv2d(gray, kernel, 1, "SAME"), [spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    )
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[np.ones((1, 8, 8, 1), np.float32)]]
    path.write_bytes(litert_file.with_card(bytes(converter.convert()), CARD))
    return path


# --- the same colors ------------------------------------------------------------------------------


def test_the_file_decides_the_engine(pair: list[Colorizer], exported: dict[str, Path]) -> None:
    by_tensorflow, by_litert = pair
    assert (by_litert.engine.name, by_litert.precision) == ("litert", "float32")
    assert by_litert.recipe == by_tensorflow.recipe
    assert by_litert.sha256 == by_tensorflow.sha256
    assert by_litert.size == by_tensorflow.size
    assert Colorizer(exported["cnn"], engine="litert").engine.name == "litert"


@pytest.mark.parametrize("name", ["MODEL.TFLITE", "model.bin", "model"])
def test_a_file_is_known_by_its_content(
    name: str, exported: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copy(exported["cnn"], tmp_path / name)
    assert Colorizer(tmp_path / name).engine.name == "litert"


@SHAPES
def test_pictures_of_both_engines_agree(pair: list[Colorizer], shape: tuple[int, ...]) -> None:
    assert_pictures_agree(pair, shape)


def test_chroma_of_batches_agrees(pair: list[Colorizer]) -> None:
    """At the network's size and at any; sizes change in between, and come back."""
    for shape in ((3, 39, 50, 1), (1, 64, 32, 1), (3, 39, 50, 1)):
        gray = noise(*shape).astype(np.float32) / 255
        for name in ("predict", "chroma"):
            wanted, received = (np.asarray(getattr(one, name)(gray)) for one in pair)
            assert received.shape == wanted.shape and np.ptp(wanted) > 0.01
            np.testing.assert_allclose(received, wanted, atol=3e-5)


def test_threads_do_not_mix_pictures_up(colorizer: Colorizer) -> None:
    pictures = [noise(40, 30 + 40 * n, seed=n) for n in range(6)]
    wanted = [colorizer.colorize(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(threads.map(colorizer.colorize, pictures), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_many_pictures_keep_the_engine(colorizer: Colorizer) -> None:
    """TensorFlow could not run the file."""
    assert colorizer.settle(10**9) is None and colorizer.engine.name == "litert"


def test_computation_in_eight_bits_is_told(tmp_path: Path) -> None:
    path = stub(tmp_path / "int8.tflite", int8=True)
    assert Colorizer(path).precision == "int8"
    with pytest.raises(ValueError, match=r"computes in int8, and float32 was asked for"):
        Colorizer(path, precision="float32")


# --- without TensorFlow ---------------------------------------------------------------------------


def run(code: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-c", code, *arguments], {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    return done


LOADED = "print(sorted({'tensorflow', 'keras', 'onnxruntime', 'av'} & set(sys.modules)))"


def test_the_command_loads_no_tensorflow(exported: dict[str, Path], tmp_path: Path) -> None:
    """Nor does LiteRT print its notes."""
    image_io.write(tmp_path / "a.png", noise(60, 70))
    (tmp_path / "a.hints.json").write_text('[{"x": 9, "y": 9, "rgb": [200, 30, 40]}]')
    code = (
        "import sys; from residual_encoder.apps import colorize_cli\n"
        "try: colorize_cli.run()\n"
        f"finally: {LOADED}"
    )
    flags = f"--model={exported['distribution']}", "--size=48", "--hints=.", "--compare"
    done = run(code, "a.png", *flags, "--output=new", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]" and "XNNPACK" not in done.stderr
    assert image_io.read(tmp_path / "new" / "a.png").pixels.shape == (60, 70, 3)
    assert (tmp_path / "new" / "a_compare.png").is_file()


def test_the_page_loads_no_tensorflow(exported: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    code = f"""
import sys
from pathlib import Path
from residual_encoder.apps.web import samples, server
from residual_encoder.inference.colorizer import Colorizer
pictures = samples.write(Path({str(tmp_path)!r}, "samples"))
colorizer = Colorizer({str(exported["distribution"])!r})
server.warm(colorizer, next(iter(pictures.values())), Path({str(tmp_path)!r}))
{LOADED}
"""
    assert run(code).stdout == "[]\n"


# --- what is refused ------------------------------------------------------------------------------


def test_weights_are_exported_first(distribution_weights: Path) -> None:
    wanted = (
        rf"runs LiteRT files, and {distribution_weights} is a weights file\. Make one once, by "
        rf"tools/export\.py --format=litert --model={distribution_weights} --output=colorizer"
    )
    with pytest.raises(ValueError, match=wanted):
        Colorizer(distribution_weights, engine="litert")


def test_other_engines_run_no_litert_file(exported: dict[str, Path]) -> None:
    path = exported["distribution"]
    for engine, said in (("tensorflow", "runs no LiteRT file such as"), ("onnx", "is a LiteRT fi")):
        with pytest.raises(ValueError, match=rf"{said}.*Take the engine litert, or auto\."):
            Colorizer(path, engine=engine)
    with pytest.raises(ValueError, match="float32 or int8, and bfloat16 was asked for"):
        Colorizer(path, precision="bfloat16")
    with pytest.raises(ValueError, match="is a LiteRT file, which TensorFlow does not run here"):
        load_network(path)  # as other exports do


def test_a_saved_model_is_no_litert_file(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "assets" / "recipe.json").write_text(json.dumps(CARD))
    with pytest.raises(ValueError, match=r"is a SavedModel\. Take the engine tensorflow, or auto"):
        Colorizer(tmp_path, engine="litert")


def test_colors_were_chosen_at_export(exported: dict[str, Path], colorizer: Colorizer) -> None:
    with pytest.raises(ValueError, match="vividness cannot be set: .* is a LiteRT file, in which"):
        Colorizer(exported["distribution"], vividness=0.3)
    assert not colorizer.has_distribution
    with pytest.raises(ValueError, match="it is an export, in which the choice was fixed"):
        colorizer.colorize(noise(20, 20), vividness=0.3)


def test_layers_are_in_the_weights_file(colorizer: Colorizer) -> None:
    with pytest.raises(ValueError, match="is a LiteRT file, which holds no layers of Keras"):
        _ = colorizer.network


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"anything", "it holds no recipe.json"),
        (litert_file.with_card(b"", {}), "'recipe'"),
        (litert_file.with_card(b"", {"recipe": {}}), "Unknown network None"),
        (litert_file.with_card(b"", {"recipe": None}), "Received None"),
        (litert_file.with_card(b"", {"recipe": {"network": 5}}), "Received {'network': 5}"),
        (litert_file.with_card(b"", CARD)[:-9], "it holds no recipe.json, or not all of it"),
    ],
)
def test_what_is_not_described_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    wanted = rf"is damaged or no LiteRT file of this project \(.*{reason}.*\)\. Wanted: one written"
    with pytest.raises(ValueError, match=wanted):
        Colorizer(path)


def test_a_damaged_graph_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    """One wrong bit of a kernel would give other colors, without an error."""
    content = bytearray(exported["cnn"].read_bytes())
    content[len(content) // 3] ^= 1
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged or .*its graph is not the one that was writ"):
        Colorizer(tmp_path / "model.tflite")


def test_what_litert_cannot_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(litert_file.with_card(b"no graph", CARD))
    with pytest.raises(ValueError, match=r"model.tflite is no LiteRT file that runs here \("):
        Colorizer(path)


def test_a_fixed_size_is_refused(tmp_path: Path) -> None:
    path = stub(tmp_path / "fixed.tflite", size=32)
    with pytest.raises(ValueError, match=r"takes 32x32 pixels only.* again with --size=any"):
        Colorizer(path)


def test_without_litert_a_line_tells_what_to_install(
    exported: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match=r"pip install .\.\[litert\]"):
        Colorizer(exported["distribution"])


def test_want_of_memory_is_told_as_such(exported: dict[str, Path]) -> None:
    """And the next picture is colored."""
    colorizer = Colorizer(exported["distribution"])
    wanted, interpreter = colorizer.colorize(noise(40, 40)), colorizer.engine._interpreter

    class Full:
        def resize_tensor_input(self, *_: object) -> None: ...

        def allocate_tensors(self) -> None:
            raise RuntimeError("XNNPack delegate failed to reshape runtime")

    colorizer.engine._interpreter = Full()  # type: ignore[attr-defined]
    with pytest.raises(MemoryError, match="no memory for"):
        colorizer.colorize(noise(40, 400))
    colorizer.engine._interpreter = interpreter  # type: ignore[attr-defined]
    np.testing.assert_array_equal(colorizer.colorize(noise(40, 40)), wanted)


def test_only_the_description_is_behind_the_graph(exported: dict[str, Path]) -> None:
    with zipfile.ZipFile(exported["cnn"]) as archive:
        assert archive.namelist() == ["recipe.json"]
        card = json.loads(archive.read("recipe.json"))
    assert set(card) == {"recipe", "weights_sha256", "graph_sha256"}
