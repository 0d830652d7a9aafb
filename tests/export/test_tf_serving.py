"""TensorFlow Serving's layout, called as its REST clients call it, in a process of its own."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT
from PIL import Image

from residual_encoder.export import image_decoding, saved_model, tf_serving
from residual_encoder.inference import colorizer

SERVER = ROOT / "tests" / "helpers" / "rest_server.py"
MAX_PIXELS = saved_model.LEAST_PIXELS


@pytest.fixture(scope="module")
def folder(soft_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a model with one version."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    folder = tmp_path_factory.mktemp("served") / "models" / "colorizer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "largest_difference", lambda *_: 0.0)  # quicker
        saved = saved_model.export_saved_model(
            soft_weights, folder, version=1, max_pixels=MAX_PIXELS
        )
    assert saved == folder / "1"
    return folder


@pytest.fixture(scope="module")
def ask(folder: Path) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Sends a request to a server of the model, and gives its answer."""
    command = [sys.executable, str(SERVER), "colorizer", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline().split()
        assert line[:1] == ["ready"], server.stderr.read()
        assert line[2:] == ["warmed", "3"]
        url = f"http://127.0.0.1:{line[1]}/v1/models/colorizer:predict"

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            with urllib.request.urlopen(url, json.dumps(request).encode(), timeout=120) as answer:
                return json.load(answer)

        yield ask
    finally:
        server.terminate()
        server.communicate()


def picture(seed: int, height: int = 24, width: int = 32, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(90, 160, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def instance(data: bytes) -> dict[str, Any]:
    return {"image_bytes": {"b64": base64.b64encode(data).decode()}}


def pixels(prediction: dict[str, Any]) -> np.ndarray:
    png = base64.b64decode(prediction["png_bytes"]["b64"])
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


# --- the layout -----------------------------------------------------------------------------------


def test_layout_is_the_servers(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["1"]
    assert [path.name for path in folder.parent.iterdir()] == ["colorizer"]  # nothing left over
    names = {path.name for path in (folder / "1").iterdir()}
    assert {"saved_model.pb", "variables", "assets", "assets.extra"} <= names
    assert colorizer.Colorizer(folder / "1").colorize(np.zeros((9, 9), np.uint8)).shape == (9, 9, 3)


def test_a_version_is_not_replaced(folder: Path, soft_weights: Path) -> None:
    with pytest.raises(FileExistsError, match="1 exists; an export never replaces"):
        saved_model.export_saved_model(soft_weights, folder, version=1)
    with pytest.raises(ValueError, match="from 1 up. Received 0"):
        saved_model.export_saved_model(soft_weights, folder, version=0)
    with pytest.raises(ValueError, match="must be 262144 to 2147483647. Received 262143"):
        saved_model.export_saved_model(soft_weights, folder, max_pixels=262143)


def test_without_the_servers_messages_a_line_tells_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)  # as if it were not there
    with pytest.raises(ValueError, match=r"pip install .\.\[serving\]"):
        tf_serving.write_warmup(tmp_path, "colorizer", 32)
    assert list(tmp_path.iterdir()) == []


def test_warm_up_requests_are_the_servers_messages(folder: Path) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    records = tf.data.TFRecordDataset(str(folder / "1" / tf_serving.WARMUP)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.name for request in requests} == {"colorizer"}
    gray, jpeg, png = requests
    assert gray.model_spec.signature_name == "serving_default"
    assert tf.make_ndarray(gray.inputs["grayscale"]).shape == (1, 32, 32, 1)
    for request, start in ((jpeg, b"\xff\xd8\xff"), (png, b"\x89PNG")):
        assert request.model_spec.signature_name == "colorize_bytes"
        (data,) = tf.make_ndarray(request.inputs["image_bytes"])
        assert data.startswith(start)


@pytest.mark.slow
def test_saved_model_cli_shows_the_signatures(folder: Path) -> None:
    cli = Path(sys.executable).with_name("saved_model_cli")
    command = [str(cli), "show", "--dir", str(folder / "1"), "--all"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    gray = ("inputs['grayscale']", "DT_FLOAT", "(-1, -1, -1, 1)")
    wanted = {
        "colorize_bytes": (
            *("inputs['image_bytes']", "DT_STRING", "(-1)"),
            *("outputs['error']", "DT_STRING", "(-1)"),
            *("outputs['png_bytes']", "DT_STRING", "(-1)"),
        ),
        "serving_default": (*gray, "outputs['inferred_rgb']", "DT_FLOAT", "(-1, -1, -1, 3)"),
        "chroma": (*gray, "outputs['chroma']", "DT_FLOAT", "(-1, -1, -1, 2)"),
        "network": (*gray, "outputs['chroma']", "DT_FLOAT", "(-1, -1, -1, 2)"),
    }
    for name, words in wanted.items():
        block = shown.split(f"signature_def['{name}']")[1].split("Method name")[0]
        pattern = ".*".join(re.escape(word) for word in words)
        assert re.search(pattern, block, re.DOTALL), (name, block)


# --- requests -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(folder: Path) -> Any:
    """The same model in this process."""
    return tf.saved_model.load(str(folder / "1")).signatures["colorize_bytes"]


def test_64_requests_at_once_and_only_the_broken_one_fails(ask: Any, local: Any) -> None:
    files = [picture(seed, 16 + seed % 5, 20, "JPEG" if seed % 2 else "PNG") for seed in range(64)]
    files[37] = files[37][:200]
    with ThreadPoolExecutor(64) as pool:
        requests = ({"signature_name": "colorize_bytes", "instances": [instance(f)]} for f in files)
        answers = [answer["predictions"] for answer in pool.map(ask, requests)]
    assert all(len(answer) == 1 for answer in answers)
    (broken,) = answers.pop(37)
    assert broken == {"png_bytes": {"b64": ""}, "error": image_decoding.BROKEN}
    expected = local(image_bytes=tf.constant(files[:37] + files[38:]))["png_bytes"].numpy()
    for (answer,), png in zip(answers, expected, strict=True):
        assert answer["error"] == ""
        assert pixels(answer).shape[0] == np.asarray(Image.open(io.BytesIO(png))).shape[0]
        assert np.abs(pixels(answer) - Image.open(io.BytesIO(png))).max() <= 1


def test_a_batch_with_bad_files(ask: Any) -> None:
    files = [picture(0), b"Dear reader", b"", picture(1, 600, 600), picture(2, form="JPEG")[:300]]
    files.append(picture(3, form="GIF"))
    bare = [instance(data)["image_bytes"] for data in files]  # a single input needs no name
    request = {"signature_name": "colorize_bytes", "instances": bare}
    answers = ask(request)["predictions"]
    assert [answer["error"] for answer in answers] == [
        "",
        image_decoding.NO_PICTURE,
        image_decoding.NO_PICTURE,
        "too large: 360000 pixels, wanted are at most 262144",
        image_decoding.BROKEN,
        image_decoding.NO_PICTURE,
    ]
    assert pixels(answers[0]).shape == (24, 32, 3)
    assert all(answer["png_bytes"] == {"b64": ""} for answer in answers[1:])


def test_gray_numbers_by_rest(ask: Any) -> None:
    gray = np.full((1, 8, 8, 1), 0.5, np.float32)
    answer = np.array(ask({"instances": gray.tolist()})["predictions"])
    assert answer.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(answer @ [0.299, 0.587, 0.114], 0.5, atol=1e-3)


def test_the_wrong_request_is_refused(ask: Any) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask({"signature_name": "colorize_bytes", "instances": [{"image": {"b64": ""}}]})
