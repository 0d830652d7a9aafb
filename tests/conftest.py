"""Fixtures and numerics that all tests share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import door  # noqa: E402, F401  imports TensorFlow quietly
import keras  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

# TF32 would round float32 products to 10 bits on a GPU; tolerances here mean float32.
tf.config.experimental.enable_tensor_float_32_execution(False)
keras.config.disable_traceback_filtering()


@pytest.fixture(autouse=True)
def _seed() -> None:
    keras.utils.set_random_seed(0)


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
    folder = Path(os.environ.get("RESIDUAL_ENCODER_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder}; set RESIDUAL_ENCODER_SHARED")
    return folder
