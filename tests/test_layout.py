"""Imports flow one way, and importing does no work."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "residual_encoder"
# A module may import from floors below its own, and from its own floor where that is listed.
FLOORS = [
    {"files", "headers", "metadata", "guided", "resampling", "door", "workers", "tasks"},
    {
        "colorspace",
        "images",
        "vgg16",
        "checkpoints",
        "scenes",
        "devices",
        "workdir",
        "tally",
        "film",
        "pipelines",
    },
    {"ab_grid", "classes", "ffmpeg", "motion"},
    {
        "losses",
        "augmenting",
        "decoding",
        "uploads",
        "serving",
        "metrics",
        "networks",
        "report",
        "diagram",
        "reel",
        "flops",
        "activity",
    },
    {"sources", "recipes"},
    {"loading", "steps", "adversarial", "inference", "peer"},
    {
        "datasets",
        "export",
        "release",
        "album",
        "finding",
        "painting",
        "video",
        "showcase",
        "learners",
    },
    {"training", "benchmark", "shards", "proofs", "prior", "evaluation", "archivist", "litert"},
    {"page", "tour", "command", "reproduction", "archive", "shard_pipeline"},
]
BESIDE = {
    ("film", "images"),
    ("album", "video"),
    ("album", "finding"),
    ("album", "painting"),
    ("painting", "video"),
    ("finding", "video"),
    ("classes", "ab_grid"),
    ("report", "diagram"),
    ("adversarial", "steps"),
}
WINGS = (
    {"training", "learners", "steps", "adversarial", "workdir"},
    {"inference", "export", "release", "album", "archivist", "finding", "painting", "video"},
)


def imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("residual_encoder"):
            parts = node.module.split(".")[1:]
            names |= {parts[0]} if parts else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith(("tools", "tests")), path
    return names


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            yield name, path


def floor_of(name):
    return next(level for level, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=lambda value: getattr(value, "stem", value)
)
def test_imports_flow_downward(name, path):
    for other in imported(path) - {name}:
        assert floor_of(other) < floor_of(name) or (name, other) in BESIDE, f"{name} -> {other}"


def test_training_and_inference_do_not_know_each_other():
    for name, path in modules():
        for ours, theirs in (WINGS, WINGS[::-1]):
            if name in ours:
                assert not imported(path) & theirs, name


def test_only_images_imports_opencv():
    assert [name for name, path in modules() if "import cv2" in path.read_text()] == [
        "film",
        "guided",
        "images",
        "resampling",
    ]


def test_importing_the_package_starts_nothing():
    code = "import residual_encoder, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
