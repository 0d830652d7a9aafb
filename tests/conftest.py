"""Fixtures and numerics that all tests share."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
# Photographs and weights that are not part of the project.
SHARED = Path(os.environ.get("RESIDUAL_ENCODER_SHARED", ROOT.parent / "shared"))
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from residual_encoder.apps import cli  # noqa: E402

cli.quiet_tensorflow()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework import config as tensorflow_config  # noqa: E402

from residual_encoder import models  # noqa: E402
from residual_encoder.imaging import ab_quantization  # noqa: E402
from residual_encoder.models import weights  # noqa: E402
from residual_encoder.models.configs import AbClassesConfig  # noqa: E402
from residual_encoder.recipes import RECIPES  # noqa: E402

pytest_plugins = ["helpers.web"]  # fixtures of the page, for several modules

# The 2016 network at a size that tests can afford.
SMALL = dataclasses.replace(RECIPES["tinyclouds2016"], image_size=32)

# TF32 would round float32 products to 10 bits on a GPU; tolerances here mean float32.
tf.config.experimental.enable_tensor_float_32_execution(False)
keras.config.disable_traceback_filtering()


# The files of `make test-fast`, by the package that they cover: a choice by hand of quick files
# that cover its core. Their 757 tests took 151 s of CPU time (user and system) in two workers on a
# busy machine of two cores, which is below two minutes where both cores are free.
FAST = {
    "imaging": ("colorspace", "image_io", "orientation", "guided_filter", "resizing"),
    "data": ("scenes", "augmentation"),
    "models": ("subpixel_conv", "flops", "diagram", "low_rank", "weights"),
    "tests": ("recipes", "imports"),
    "evaluation": ("metrics", "html_report"),
    "training": ("losses", "snapshots", "replicas"),
    "inference": ("colorizer",),
    "export": ("image_decoding",),
    "reproduction": ("claims",),
    "apps": ("cli", "peer_benchmark"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    fast = {(folder, f"test_{name}") for folder, names in FAST.items() for name in names}
    for item in items:
        if (item.path.parent.name, item.path.stem) in fast:
            item.add_marker("fast")


# Set where everything can be installed: a test that lacks a program or a package fails there.
REQUIRE_ALL = bool(os.environ.get("RESIDUAL_ENCODER_REQUIRE_ALL"))
LACKING = re.compile(r"not installed|no ffmpeg|could not import")


def _fail_if_lacking(report):
    """Turns a skip for want of a program or a package into a failure, under `REQUIRE_ALL`."""
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[-1])
        if LACKING.search(reason):
            report.outcome, report.longrepr = "failed", f"{reason}; all is required here"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return _fail_if_lacking((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return _fail_if_lacking((yield))


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    """What training turns on for good; with determinism on, XLA refuses pooling's gradient."""
    keras.utils.set_random_seed(0)
    tensorflow_config.disable_op_determinism()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(params=["eager", "graph"])
def run_mode(request: pytest.FixtureRequest):
    """Runs a function as it is, and inside a tf.function."""
    return (lambda f: f) if request.param == "eager" else tf.function


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photographs and weights that are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data in {SHARED}; set RESIDUAL_ENCODER_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def soft_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file, in a workdir, of an untrained `SMALL` that paints soft colors."""
    network = models.build(SMALL.network)
    random = np.random.default_rng(0)
    for variable in network.weights:
        if variable.path.endswith("kernel"):  # He 2015, so that gray still matters at the far end
            sigma = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(random.normal(0, sigma, variable.shape))
    network.get_layer("uv_bn").gamma.assign([0.004, 0.004])  # keeps the sigmoid off its ends
    path = tmp_path_factory.mktemp("soft") / "checkpoints" / weights.BEST
    path.parent.mkdir()
    weights.save_weights(network, path, SMALL.to_json())
    return path


@pytest.fixture(scope="session")
def distribution_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights file of an untrained, narrow network of classes, with smoothing."""
    recipe = dataclasses.replace(
        RECIPES["modern_distribution"],
        network=AbClassesConfig(width=16, temperature=0.6, taps=5, trunk_rank=8, smoothing=1),
        image_size=32,
    )
    keras.utils.set_random_seed(3)
    network = models.build(recipe.network)
    logits = network.get_layer("logits")
    gray = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    spread = np.std(keras.Model(network.input, logits.output)(gray))
    # As after training: common colors are likelier, and how much so depends on the picture.
    logits.kernel.assign(logits.kernel * (4 / spread))
    logits.bias.assign(np.log(ab_quantization.classes().prior))
    path = tmp_path_factory.mktemp("distribution") / "model.weights.h5"
    weights.save_weights(network, path, recipe.to_json())
    return path
