"""What an export refuses before it works, and what is left where it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.export import (
    float16_weights,
    keras_model,
    litert,
    model_file,
    onnx_model,
    saved_model,
)
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import load_network
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.models.weights import find_weights

EXPORT = str(ROOT / "tools" / "export.py")
# Formats: how their files end, and what writes one of a model to a path.
WRITERS: dict[str, tuple[str, Callable[[str, Path], Any]]] = {
    "savedmodel": ("", saved_model.export_saved_model),
    "keras": (".keras", keras_model.export_keras),
    "onnx": (".onnx", onnx_model.export_onnx),
    "weights": (".weights.h5", float16_weights.release),
    "litert": (
        ".tflite",
        lambda model, path: litert.export_litert(litert.LitertConfig(model, str(path))),
    ),
}
each_format = pytest.mark.parametrize("name", list(WRITERS))


def writer(name: str) -> tuple[str, Callable[[str, Path], Any]]:
    for package in {"onnx": ("onnx", "onnxruntime"), "litert": ("litert_quantizer",)}.get(name, ()):
        pytest.importorskip(package)
    return WRITERS[name]


def refusal(*arguments: str) -> str:
    done = subprocess.run([sys.executable, EXPORT, *arguments], capture_output=True, text=True)
    assert done.returncode == 1 and not done.stdout and len(done.stderr.splitlines()) == 1
    return done.stderr


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch) -> None:
    """Exports take up to half a minute."""
    path, network = tmp_path / "a.onnx", SimpleNamespace()

    def content(_: object) -> bytes:
        path.write_bytes(b"another's")
        return b"mine"

    monkeypatch.setattr(model_file, "load_for_export", lambda *_: network)
    monkeypatch.setattr(model_file, "largest_difference", lambda *_: 0.0)
    with pytest.raises(FileExistsError, match=f"{path} exists; remove it or choose another"):
        model_file.save_checked(
            "model", path, ".onnx", ColorChoice(), content, lambda data: lambda gray: gray
        )
    assert path.read_bytes() == b"another's"


# --- places ---------------------------------------------------------------------------------------


@each_format
def test_a_file_is_no_folder(name: str, tmp_path: Path) -> None:
    """Told at once, not after the work: there is no such model either."""
    suffix, write = writer(name)
    (tmp_path / "notes").write_text("precious")
    for place in ("notes", "notes/deeper"):
        with pytest.raises(NotADirectoryError, match="notes is no folder; choose another"):
            write("no_model", tmp_path / place / f"model{suffix}")
    assert (tmp_path / "notes").read_text() == "precious"


@each_format
def test_a_folder_that_cannot_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix, write = writer(name)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="cannot be written; choose another"):
        write("no_model", tmp_path / f"model{suffix}")


@pytest.mark.parametrize("name", ["keras", "weights"])
def test_missing_folders_are_made(name: str, soft_weights: Path, tmp_path: Path) -> None:
    suffix, write = writer(name)
    path = tmp_path / "new" / "deeper" / f"model{suffix}"
    write(str(soft_weights), path)
    assert path.is_file()


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".onnx", ".tflite"])
def test_a_saved_model_is_not_named_as_a_file(suffix: str, tmp_path: Path) -> None:
    """Who names one so has forgotten --format."""
    with pytest.raises(ValueError, match=rf"does not end in \{suffix}\. .*another format"):
        saved_model.export_saved_model("no_model", tmp_path / f"model{suffix}")


@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
def test_an_export_is_no_model(suffix: str, tmp_path: Path) -> None:
    """A LiteRT file colors, but is nothing to train on."""
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"anything")
    load: Callable[[Path], Any] = find_weights if suffix == ".tflite" else Colorizer
    with pytest.raises(ValueError, match="was exported for other programs, and is not read here"):
        load(path)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(0, 8), (8, 4097), (10**6, 10**6)])
def test_sizes_that_no_network_needs(
    size: tuple[int, int], distribution_weights: Path, tmp_path: Path
) -> None:
    received = rf"must be 1 to 4096\. Received {size[0]}x{size[1]}"
    writer("onnx")
    with pytest.raises(ValueError, match=received):
        onnx_model.export_onnx(str(distribution_weights), tmp_path / "model.onnx", size)
    recipe = load_network(distribution_weights).recipe
    with pytest.raises(ValueError, match=received):
        litert._checked_size(size, recipe)


def test_flags_that_a_format_would_ignore() -> None:
    flags = {
        "--version=1": "savedmodel",
        "--max_megapixels=9": "savedmodel",
        "--average_with=runs/a": "weights",
        "--precision=float16": "litert",
        "--photographs=9": "litert",
        "--data=synthetic": "litert",
        "--data_dir=a": "litert",
    }
    for flag, format_ in flags.items():
        name = flag.partition("=")[0]
        wanted = f"error: {name} goes with --format={format_}, not keras\n"
        assert refusal("--format=keras", "--output=a.keras", flag).endswith(wanted)


def test_megapixels_that_cannot_be() -> None:
    lines = (
        "from absl import flags\n"
        "from residual_encoder.apps import export_cli\n"
        "flags.FLAGS(['export', '--output=model'])\n"
        "for number in ('nan', 'inf', '1e99', '0.1'):\n"
        "    flags.FLAGS.max_megapixels = float(number)\n"
        "    try: export_cli._savedmodel()\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True)
    received = [f"{number:g}" for number in (np.nan, np.inf, 1e99, 0.1)]
    assert done.stdout.splitlines() == [
        f"--max_megapixels takes 0.262 to 2147, received {number}" for number in received
    ]


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_stopped_export_leaves_nothing(
    number: signal.Signals, soft_weights: Path, tmp_path: Path
) -> None:
    """Not its folder under another name either."""
    command = [sys.executable, EXPORT, f"--model={soft_weights}", f"--output={tmp_path / 'model'}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    assert [path.name[:7] for path in tmp_path.iterdir()] == [".model."]
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 75
    assert error == "Stopped; files that were not finished are not kept.\n"
    assert list(tmp_path.iterdir()) == []
