"""Imports flow one way, and importing does no work."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "residual_encoder"
# A package may import from the rows above its own; packages on one row never import each other.
ROWS = [
    {"utils"},
    {"imaging"},
    {"data", "models"},
    {"recipes", "evaluation"},
    {"training", "inference"},
    {"export", "reproduction"},
    {"apps"},
    {"tools"},
]
# Imports against the law that are still to be cut: file -> what it imports.
STILL_TO_CUT: dict[str, set[str]] = {}


def imported(path):
    """Packages of residual_encoder that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("residual_encoder"):
            parts = node.module.split(".")[1:]
            names |= {parts[0]} if parts else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith(("residual_encoder", "tools", "tests")), path
    return names


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            yield path.relative_to(PACKAGE).as_posix()


def row_of(name):
    return next(row for row, names in enumerate(ROWS) if name in names)


def against_the_law(path):
    """What a module imports though its package may not."""
    package = path.split("/")[0].removesuffix(".py")
    others = imported(PACKAGE / path) - {package}
    return {other for other in others if row_of(other) >= row_of(package)}


@pytest.mark.parametrize("path", modules())
def test_imports_flow_one_way(path):
    assert against_the_law(path) == STILL_TO_CUT.get(path, set())


def test_what_is_still_to_be_cut_exists():
    assert set(STILL_TO_CUT) <= set(modules())


def test_only_imaging_imports_opencv():
    users = {path.split("/")[0] for path in modules() if "cv2" in (PACKAGE / path).read_text()}
    assert users == {"imaging"}


def test_only_apps_define_flags():
    definers = {path for path in modules() if "flags.DEFINE" in (PACKAGE / path).read_text()}
    assert {path.split("/")[0] for path in definers} == {"apps"}


@pytest.mark.parametrize(
    "module",
    [
        "inference.output_paths",
        "apps.archive.tasks",
        "apps.archive.beam_pipeline",
        "apps.archive.dask_engine",
        "utils.files",
    ],
)
def test_naming_outputs_needs_no_tensorflow(module):
    unwanted = "tensorflow", "residual_encoder.inference.video", "residual_encoder.imaging.ffmpeg"
    code = f"import residual_encoder.{module}, sys; sys.exit(any(map(sys.modules.get, {unwanted})))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_importing_the_package_starts_nothing():
    code = "import residual_encoder, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def loaded_by(code):
    """Names of all modules that a line of Python loads."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split("|") for line in done.stderr.splitlines() if "|" in line]
    return {line[-1].strip() for line in lines}


def packages(modules):
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    "code",
    [
        "import residual_encoder.recipes",
        "from residual_encoder.models.configs import ResidualEncoderConfig",
        "from residual_encoder.utils import devices; devices.JITS",
    ],
)
def test_what_flags_are_read_with_loads_no_tensorflow(code):
    modules = loaded_by(code)
    assert "residual_encoder" in modules
    assert not packages(modules) & {"tensorflow", "keras", "numpy", "cv2"}


def test_recipes_are_listed_at_once():
    code = "import time; import residual_encoder.recipes; print(time.process_time())"
    times = [
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=-1, check=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.2


def test_models_give_their_names_when_asked():
    from residual_encoder import models
    from residual_encoder.models import factory

    assert all(getattr(models, name) is getattr(factory, name) for name in models.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = models.nothing


def test_coloring_loads_nothing_of_training():
    modules = loaded_by("import residual_encoder.inference.colorizer")
    assert not {name for name in modules if name.startswith("residual_encoder.training")}


@pytest.mark.parametrize(
    "code",
    [
        "import residual_encoder",
        "import residual_encoder.training.trainer, residual_encoder.apps.train_cli",
        "from residual_encoder.imaging import image_io",
    ],
)
def test_training_does_without_the_library_of_pictures(code):
    assert not packages(loaded_by(code)) & {"pyvips", "tifffile", "imagecodecs"}
