"""LiteRT files: what they hold, that they color as the network, and that nothing else is kept."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from residual_encoder import models
from residual_encoder.data import input_pipeline, scenes
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import metrics
from residual_encoder.export import litert
from residual_encoder.export.litert import LitertConfig
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.inference import model_loading
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import Loaded
from residual_encoder.models import any_size, layers
from residual_encoder.models.configs import AbClassesConfig

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    pytest.importorskip("litert_quantizer", reason="LiteRT's quantizer is not installed")


@pytest.fixture(scope="module", autouse=True)
def loaded(soft_weights: Path) -> Iterator[Loaded]:
    """Loaded once for all, as that takes a second."""
    loaded = model_loading.load_network(soft_weights)
    with pytest.MonkeyPatch.context() as patch:
        real = litert.load_for_export
        ours = str(soft_weights)
        patch.setattr(
            litert,
            "load_for_export",
            lambda path, *colors: loaded if path == ours else real(path, *colors),
        )
        yield loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("litert")


@pytest.fixture(scope="module")
def half(soft_weights: Path, folder: Path) -> tuple[bytes, litert.Report]:
    """float16 with free height and width."""
    path = folder / "new" / "half.tflite"
    report = litert.export_litert(LitertConfig(str(soft_weights), str(path)))
    assert [found.name for found in path.parent.iterdir()] == ["half.tflite"]
    return path.read_bytes(), report


@pytest.fixture(scope="module")
def quarter(soft_weights: Path, folder: Path) -> tuple[bytes, litert.Report]:
    """int8 of 24 x 32 pixels."""
    path = folder / "quarter.tflite"
    config = LitertConfig(
        model=str(soft_weights),
        output=str(path),
        precision="int8",
        size=(24, 32),
        data=DataConfig("synthetic", synthetic_size=12),
        photographs=12,
    )
    report = litert.export_litert(config)
    return path.read_bytes(), report


def operations(content: bytes) -> list[str]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    return [operation["op_name"] for operation in interpreter._get_ops_details()]


# --- content --------------------------------------------------------------------------------------


def test_float16_colors_any_size_as_the_network(
    half: tuple[bytes, litert.Report], loaded: Loaded
) -> None:
    content, report = half
    network, run = loaded.network, litert.runner(content)
    for height, width in ((32, 32), (24, 40), (8, 16)):
        gray = np.random.default_rng(height).random((1, height, width, 1), np.float32)
        chroma = run(gray)
        assert chroma.shape == (1, height, width, 2) and chroma.dtype == np.float32
        assert np.abs(chroma - network(gray)).max() < 1 / 255
    assert 0 < report.difference < 1 / 255
    assert report.photographs == 0 and report.psnr is None
    assert 0.49 < report.size_bytes / (4 * 8_142_503) < 0.52  # of its float32 parameters
    assert report.size_bytes == len(content)


def test_what_it_colors_is_told_behind_the_graph(
    half: tuple[bytes, litert.Report], loaded: Loaded, tmp_path: Path
) -> None:
    """And without that part the file has the same graph, which interpreters take with it."""
    content, _ = half
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == "recipe.json"
    path, gray = tmp_path / "half.tflite", np.zeros((1, 8, 16, 1), np.float32)
    path.write_bytes(content)
    from ai_edge_litert.interpreter import Interpreter

    whole = Interpreter(str(path))  # as a phone opens it
    (taken,), (given,) = whole.get_input_details(), whole.get_output_details()
    whole.resize_tensor_input(taken["index"], gray.shape)
    whole.allocate_tensors()
    whole.set_tensor(taken["index"], gray)
    whole.invoke()
    alone = litert.runner(content[: entry.header_offset])(gray)
    np.testing.assert_array_equal(whole.get_tensor(given["index"]), alone)
    colorizer = Colorizer(path)
    assert (colorizer.recipe, colorizer.sha256) == (loaded.recipe, loaded.sha256)


def test_only_operations_that_devices_have(half: tuple[bytes, litert.Report]) -> None:
    found = operations(half[0])
    assert not [name for name in found if name.startswith("Flex") or name == "CUSTOM"]
    assert found.count("RESIZE_BILINEAR") == 3
    assert found.count("CONV_2D") == 10 + 6
    assert found.count("MUL") - 6 == 1 + 4  # preprocessing and the taps' norms; 6 are of sizes


@pytest.mark.parametrize("size", [None, (32, 48)])
def test_a_network_of_classes(size: tuple[int, int] | None) -> None:
    """Split trunk, dilated convolutions and softmax convert to operations that devices have."""
    config = AbClassesConfig(16, taps=5, trunk_rank=8, context=(1, 4), refinements=(2,))
    network = models.build(config)
    content = litert._converted(network, size)
    gray = np.random.default_rng(0).random((1, 32, 48, 1), np.float32)
    np.testing.assert_allclose(litert.runner(content)(gray), network(gray), atol=1e-5)
    found = operations(content)
    assert not [name for name in found if name.startswith("Flex") or name == "CUSTOM"]
    assert found.count("CONV_2D") == 7 + 2 * 6 + 3 + 3 * 3 + 1  # trunk, split trunk, decoder


@pytest.mark.parametrize("kind", [layers.Upsample2, layers.HalfPixelUpsample2])
def test_upsampling_is_the_networks(kind: Any) -> None:
    gray = keras.Input((None, None, 1))
    network = keras.Model(gray, kind()(keras.layers.Conv2D(2, 1)(gray)))
    run = litert.runner(litert._converted(network, None))
    inputs = np.random.default_rng(0).random((1, 3, 5, 1), np.float32)
    np.testing.assert_allclose(run(inputs), network(inputs), atol=1e-6)


def test_int8_keeps_the_colors(
    quarter: tuple[bytes, litert.Report], half: tuple[bytes, litert.Report], loaded: Loaded
) -> None:
    content, report = quarter
    assert report.size == (24, 32) and report.photographs == 6
    assert report.network_psnr - report.psnr < 0.3
    assert len(content) < 0.53 * len(half[0])
    scene = tf.constant(scenes.render(1, 0, 32)[None, :24], tf.float32) / 255
    gray = GRAYS[loaded.recipe.gray](scene).numpy()
    distance = np.abs(litert.runner(content)(gray) - loaded.network(gray))
    assert 1e-5 < distance.mean() < 2 / 255  # it is not float32, and near it


def test_int8_is_in_the_convolutions_but_the_last(quarter: tuple[bytes, litert.Report]) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=quarter[0], experimental_op_resolver_type=plain)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    kinds = [
        [tensors[index]["dtype"] for index in operation["inputs"][:2]]
        for operation in interpreter._get_ops_details()
        if operation["op_name"] == "CONV_2D"
    ]
    assert kinds == [[np.int8, np.int8]] * 15 + [[np.float32, np.float32]]
    kernel = next(t for t in tensors.values() if list(t["shape"]) == [512, 3, 3, 256])
    assert len(kernel["quantization_parameters"]["scales"]) == 512  # one a channel


# --- verification ---------------------------------------------------------------------------------


def test_psnr_is_that_of_the_pooled_error(loaded: Loaded) -> None:
    recipe = loaded.recipe
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    neutral = [np.full((1, 8, 8, 2), recipe.space.neutral, np.float32)] * 3
    gray = np.rint(pictures.astype(np.float32).mean(-1, keepdims=True))
    expected = metrics.psnr(((pictures - gray) ** 2).mean())
    assert abs(litert._pooled_psnr(recipe, pictures, neutral) - expected) < 0.02


REPORT = litert.Report((32, 32), 9, 100, 0.001, 0.001, 22.0, 22.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("precision", "changes", "message"),
    [
        ("float16", {"difference": 0.0040}, "differs from the network's by 0.0040, allowed are"),
        ("float16", {"difference": float("nan")}, "differs from the network's by nan"),
        ("int8", {"psnr": 21.69}, "falls by 0.31 dB on 9 photographs"),
        ("int8", {"psnr": float("nan")}, "falls by nan dB"),
    ],
)
def test_what_colors_differently_is_not_kept(
    soft_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    changes: dict[str, float],
    message: str,
) -> None:
    monkeypatch.setattr(litert, "_converted", lambda *_: b"")  # quicker
    monkeypatch.setattr(litert, "_quantized", lambda *_: b"")
    monkeypatch.setattr(litert, "verify", lambda *_: dataclasses.replace(REPORT, **changes))
    data = DataConfig("synthetic", synthetic_size=2)
    path = str(tmp_path / "new" / "phone.tflite")
    config = LitertConfig(str(soft_weights), path, precision, None, data, photographs=2)
    with pytest.raises(ValueError, match=message):
        litert.export_litert(config)
    assert list(tmp_path.iterdir()) == []


def test_wrong_wishes_are_named(soft_weights: Path, tmp_path: Path) -> None:
    model, free = str(soft_weights), str(tmp_path / "phone.tflite")
    for wish, message in (
        ({"output": "phone.bin"}, "name ends in .tflite"),
        ({"precision": "int4"}, "choose from"),
        ({"precision": "int8"}, "pass data and data_dir"),
        ({"photographs": 1}, "at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            LitertConfig(**{"model": model, "output": free} | wish)
    with pytest.raises(ValueError, match="multiples of 8, .* Received 24x30"):
        litert.export_litert(LitertConfig(model, free, size=(24, 30)))
    (tmp_path / "phone.tflite").write_text("precious")
    with pytest.raises(FileExistsError):
        litert.export_litert(LitertConfig(model, free))
    assert (tmp_path / "phone.tflite").read_text() == "precious"


def test_without_litert_a_line_tells_what_to_install(
    soft_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    with pytest.raises(ValueError, match=r"pip install .\.\[litert\]"):
        litert.export_litert(LitertConfig(str(soft_weights), str(tmp_path / "phone.tflite")))


# --- the shipped weights --------------------------------------------------------------------------


def at_its_own_size(run: litert.Runner, colorizer: Colorizer) -> Any:
    """Chroma of a batch, by a LiteRT file with free sizes."""
    multiple = colorizer.recipe.multiple

    def chroma(gray: tf.Tensor) -> tf.Tensor:
        parts = [
            any_size.chroma_at(
                lambda small: run(small.numpy()), one[None], colorizer.size, multiple
            )
            for one in gray
        ]
        return tf.concat(parts, axis=0)

    return chroma


@pytest.mark.slow
@pytest.mark.parametrize("precision", litert.PRECISIONS)
def test_shipped_weights_on_photographs(precision: str, shared: Path, tmp_path: Path) -> None:
    path, weights = tmp_path / "phone.tflite", model_loading.shipped_weights()
    command = [sys.executable, str(ROOT / "tools" / "export.py"), "--format=litert"]
    command += [f"--model={weights}", f"--output={path}", f"--precision={precision}"]
    command += ["--data=tfrecord", f"--data_dir={shared / 'data'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"litert, {precision}, in {path}: " in done.stdout
    assert path.stat().st_size < {"float16": 17e6, "int8": 9e6}[precision]  # 8.2 million weights

    colorizer = Colorizer(weights, precision="float32")
    run, network = litert.runner(path.read_bytes()), model_loading.load_network(weights).network
    data = DataConfig("tfrecord", data_dir=str(shared / "data"))
    size = colorizer.size
    for batch in input_pipeline.eval_batches(data, batch_size=10, image_size=size, limit=20):
        for gray in litert._grays(colorizer.recipe, batch.rgb.numpy()):
            difference = np.abs(run(gray[None]) - network(gray[None])).max()
            assert precision == "int8" or difference < 1 / 255

    def psnr(predict: Any) -> float:
        batches = input_pipeline.eval_batches(data, batch_size=10, image_size=224, limit=120)
        space, gray = colorizer.recipe.space, colorizer.recipe.gray
        report = metrics.evaluate(predict, batches, space=space, gray=gray)
        assert report["n"] == 120
        return report["psnr_pooled"]["mean"]

    loss = psnr(colorizer.chroma) - psnr(at_its_own_size(run, colorizer))
    print(f"{precision}: pooled PSNR falls by {loss:.3f} dB")
    assert loss < (0.3 if precision == "int8" else 0.01)


@pytest.mark.slow
def test_tool_names_a_wrong_size(soft_weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "export.py"), "--format=litert"]
    command += [f"--model={soft_weights}", f"--output={tmp_path / 'a.tflite'}", "--size=224"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "export.py: error: --size takes any or HEIGHTxWIDTH, received '224'" in done.stderr
