"""What `pip install .` gives: the library and the command `colorize`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.network  # pip fetches setuptools to build with
def test_pip_install(tmp_path: Path) -> None:
    source, venv = tmp_path / "source", tmp_path / "venv"
    shutil.copytree(ROOT / "residual_encoder", source / "residual_encoder")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "residual_encoder" / "pretrained").mkdir(exist_ok=True)
    for name in ("a.weights.h5", "a.weights.h5.sha256", "MODEL_CARD.md"):
        (source / "residual_encoder" / "pretrained" / name).write_text("shipped")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", source]
    subprocess.run(pip, check=True, capture_output=True)
    packages = next((venv / "lib").iterdir()) / "site-packages"
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # all but ours

    code = "from residual_encoder.inference import model_loading; print(model_loading.PRETRAINED)"
    found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    pretrained = Path(found.stdout.strip())
    assert pretrained.is_relative_to(packages)
    assert {"a.weights.h5", "a.weights.h5.sha256", "MODEL_CARD.md"} <= {
        path.name for path in pretrained.iterdir()
    }
    command = [venv / "bin" / "colorize", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "colorize INPUT... --output=DIR" in done.stdout and "--saturation" in done.stdout
    command = [venv / "bin" / "colorize", "absent.jpg", "--output=out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("colorize: error: There is no absent.jpg")
