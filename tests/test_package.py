"""The package: an installation by pip, and the form of its docstrings."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# Words that no docstring of a function begins with; of these only some end in s.
NO_VERBS = set("The A An What Whether How Where Which Who Whose When Why It Its This Those".split())


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
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # all but this one

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


def public_functions(module: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yields public functions, and public methods of public classes."""
    for node in module.body:
        for item in node.body if isinstance(node, ast.ClassDef) else [node]:
            public = not any(x.name.startswith("_") for x in (node, item) if hasattr(x, "name"))
            if isinstance(item, ast.FunctionDef) and public:
                yield item


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    """Checks for the third person: "Returns the ..." and not "The ..." or "What ..."."""
    count, other = 0, []
    for path in sorted(ROOT.glob("residual_encoder/**/*.py")) + sorted(ROOT.glob("tools/*.py")):
        for node in public_functions(ast.parse(path.read_text(encoding="utf-8"))):
            words = (ast.get_docstring(node) or "").split()
            if words and (words[0] in NO_VERBS or not re.fullmatch("[A-Z][a-z]+s,?", words[0])):
                other.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {words[0]}")
            count += bool(words)
    assert count > 100 and not other
