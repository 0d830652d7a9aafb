"""The SavedModel: equal to the network, and of use to a process that has TensorFlow only."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL
from PIL import Image

from residual_encoder import recipes
from residual_encoder.export import image_decoding, saved_model
from residual_encoder.inference import model_loading
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import any_size
from residual_encoder.utils import files

SIZE = 32
RECIPE = SMALL
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def weights(soft_weights: Path) -> Path:
    return soft_weights


def run_tool(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REPOSITORY / "tools" / "export.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def exported(weights: Path) -> Path:
    """Exported by the tool, in a process of its own."""
    folder = weights.parents[1] / "exported" / "saved"
    done = run_tool(f"--model={weights}", f"--output={folder}", "--format=savedmodel")
    assert done.returncode == 0, done.stderr
    assert str(folder) in done.stdout
    return folder


@pytest.fixture(scope="module")
def served(exported: Path) -> Any:
    restored = tf.saved_model.load(str(exported))
    yield restored.signatures


def grays(*shape: int) -> np.ndarray:
    """Mid-gray noise: merged with soft colors, no channel is clipped."""
    return np.random.default_rng(1).uniform(1 / 3, 2 / 3, (*shape, 1)).astype(np.float32)


def luma(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(rgb, np.float64) @ [0.299, 0.587, 0.114]


# --- content --------------------------------------------------------------------------------------


def test_signatures_are_the_contract(served: Any) -> None:
    assert sorted(served) == ["chroma", "colorize_bytes", "network", "serving_default"]
    wanted = {
        "serving_default": ("grayscale", [None, None, None, 1], ["inferred_rgb"]),
        "chroma": ("grayscale", [None, None, None, 1], ["chroma"]),
        "network": ("grayscale", [None, None, None, 1], ["chroma"]),
        "colorize_bytes": ("image_bytes", [None], ["error", "png_bytes"]),
    }
    for name, (given, shape, answers) in wanted.items():
        specs = served[name].structured_input_signature[1]
        assert list(specs) == [given] and specs[given].shape.as_list() == shape
        assert sorted(served[name].structured_outputs) == answers
    assert served["serving_default"].structured_outputs["inferred_rgb"].shape[-1] == 3


def test_the_card_tells_recipe_and_weights(exported: Path, weights: Path) -> None:
    card = json.loads((exported / "assets" / "recipe.json").read_text())
    assert card["weights_sha256"] == files.sha256(weights)
    assert recipes.Recipe.from_json(card["recipe"]) == RECIPE
    assert card["max_pixels"] == saved_model.MAX_PIXELS


def test_nothing_of_keras_is_in_the_graph(exported: Path) -> None:
    saved = (exported / "saved_model.pb").read_bytes()
    assert b"PyFunc" not in saved and b"keras_metadata" not in saved
    assert not list(exported.parent.glob(".*"))  # no temporary folder left


# --- parity ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 17, 23), (3, 50, 41)])
def test_signatures_agree_with_the_keras_model(served: Any, weights: Path, shape: tuple) -> None:
    network, gray = model_loading.load_network(weights).network, grays(*shape)
    chroma = any_size.chroma_at(network, tf.constant(gray), SIZE)
    np.testing.assert_allclose(served["chroma"](grayscale=gray)["chroma"], chroma, atol=1e-5)
    rgb = served["serving_default"](grayscale=gray)["inferred_rgb"]
    np.testing.assert_allclose(rgb, RECIPE.space.merge(gray, chroma), atol=1e-5)


def test_another_network_is_far_beyond_the_tolerance(
    exported: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "PARITY_BATCHES", (1,))  # quicker
    loaded = model_loading.load_network(weights)
    bias = next(w for w in loaded.network.weights if w.path == "uv_bn/beta")
    bias.assign([1e-3, 0.0])
    assert 1e-4 < saved_model.largest_difference(loaded, exported) < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (17, 23), (224, 224), (1500, 1000)])
def test_any_size_keeps_its_gray(served: Any, size: tuple) -> None:
    gray = grays(1, *size)
    rgb = served["serving_default"](grayscale=gray)["inferred_rgb"].numpy()
    assert rgb.shape == (1, *size, 3)
    assert rgb.min() > 0 and rgb.max() < 1  # nothing clipped, so gray must hold
    assert np.abs(luma(rgb) - gray[..., 0]).max() < 1e-4  # 1/255 is allowed
    assert np.ptp(rgb, axis=-1).max() > 0.01  # and there is color


# --- files in, files out --------------------------------------------------------------------------


def saved(pixels: np.ndarray, form: str, mode: str | None = None) -> bytes:
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["serving_default", "chroma", "network"])
def test_a_picture_in_rgb_is_refused_with_the_wanted_shape(served: Any, name: str) -> None:
    wanted = r"grayscale \[1,16,16,3\] is not compatible with expected shape \[\?,\?,\?,1\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=wanted):
        served[name](grayscale=tf.zeros([1, 16, 16, 3]))


def test_a_batch_of_files_each_at_its_own_size(served: Any, weights: Path) -> None:
    gray = (grays(17, 23)[..., 0] * 255).astype(np.uint8)
    rgb = (np.random.default_rng(2).uniform(90, 160, (40, 30, 3))).astype(np.uint8)
    flat = np.zeros((24, 16, 3), np.uint8) + np.array([140, 120, 100], np.uint8)
    batch = [saved(gray, "PNG"), saved(rgb, "PNG"), saved(rgb, "PNG", "RGBA"), saved(flat, "JPEG")]
    answers = served["colorize_bytes"](image_bytes=tf.constant(batch))["png_bytes"].numpy()
    pictures = [np.asarray(Image.open(io.BytesIO(answer))) for answer in answers]
    colorizer = Colorizer(weights)
    for picture, given in zip(pictures, [gray, rgb, rgb], strict=False):
        difference = picture.astype(int) - colorizer.colorize(given)
        assert np.abs(difference).max() <= 1  # a half may round either way
    assert pictures[3].shape == (24, 16, 3)
    np.testing.assert_allclose(luma(pictures[3]), 120, atol=2)  # their mean


def test_no_file_at_all_is_no_picture(served: Any) -> None:
    answer = served["colorize_bytes"](image_bytes=tf.constant([b"Dear reader"]))
    assert answer["png_bytes"].numpy().tolist() == [b""]
    assert answer["error"].numpy().tolist() == [image_decoding.NO_PICTURE.encode()]


# --- in other hands -------------------------------------------------------------------------------

STRANGER = """
import sys

for name in ("residual_encoder", "keras", "cv2"):
    sys.modules[name] = None  # importing it is an ImportError

import numpy as np
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
gray = np.load(sys.argv[2])
np.save(sys.argv[3], signatures["serving_default"](grayscale=gray)["inferred_rgb"].numpy())
"""


def test_a_process_with_only_tensorflow(exported: Path, served: Any, tmp_path: Path) -> None:
    gray, answer = tmp_path / "gray.npy", tmp_path / "rgb.npy"
    np.save(gray, grays(2, 17, 23))
    command = [sys.executable, "-c", STRANGER, str(exported), str(gray), str(answer)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    here = served["serving_default"](grayscale=np.load(gray))["inferred_rgb"]
    np.testing.assert_allclose(np.load(answer), here, atol=1e-5)


QUIET = """
import os, sys

import tensorflow as tf

colorize = tf.saved_model.load(sys.argv[1]).signatures["colorize_bytes"]
answer = colorize(image_bytes=tf.constant([open(name, "rb").read() for name in sys.argv[2:]]))
print("---", file=sys.stderr, flush=True)
answer = colorize(image_bytes=tf.constant([open(name, "rb").read() for name in sys.argv[2:]]))
assert not any(answer["error"].numpy()), answer["error"]
"""


def test_success_is_not_logged(exported: Path, tmp_path: Path) -> None:
    """TensorFlow logs each operation that fails, at the level that processes have by default."""
    names = []
    for form in ("JPEG", "PNG", "BMP", "WEBP"):  # without EXIF data
        names.append(str(tmp_path / form))
        Path(names[-1]).write_bytes(saved(np.zeros((20, 30, 3), np.uint8), form))
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", QUIET, str(exported), *names]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "INVALID_ARGUMENT" not in done.stderr and "OP_REQUIRES" not in done.stderr
    assert done.stderr.partition("---")[2].strip() == ""


def test_the_colorizer_takes_it_as_its_model(exported: Path, weights: Path) -> None:
    gray = (grays(50, 41)[..., 0] * 255).astype(np.uint8)
    for size in ("auto", 64):  # the exported size, and another
        ours = Colorizer(exported, size=size)
        theirs = Colorizer(weights, size=size)
        assert ours.recipe == RECIPE and ours.sha256 == theirs.sha256
        difference = ours.colorize(gray).astype(int) - theirs.colorize(gray)
        assert np.abs(difference).max() <= 1
    assert ours.source == str(exported)


# --- nothing half done ----------------------------------------------------------------------------


def test_an_unequal_model_is_not_kept(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        saved_model, "_save", lambda _, folder, __: (folder / "part").touch()
    )  # quicker
    monkeypatch.setattr(saved_model, "largest_difference", lambda *_: 2e-5)
    with pytest.raises(
        ValueError, match=r"differs from the network by 2.00e-05, allowed are 1e-05"
    ):
        saved_model.export_saved_model(weights, tmp_path / "saved")
    monkeypatch.setattr(saved_model, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ValueError, match="differs from the network by nan"):
        saved_model.export_saved_model(weights, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for output in (tmp_path, tmp_path / "file"):
        with pytest.raises(FileExistsError, match="never replaces"):
            saved_model.export_saved_model(weights, output)
    assert (tmp_path / "file").read_text() == "precious"


def test_an_export_is_not_exported_again(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a SavedModel already"):
        saved_model.export_saved_model(exported, tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


# --- the tool -------------------------------------------------------------------------------------


def test_tool_error_is_one_line(tmp_path: Path) -> None:
    done = run_tool(f"--model={tmp_path / 'absent'}", f"--output={tmp_path / 'saved'}")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "export.py: error: There is no" in line]
    assert len(lines) == 1 and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
