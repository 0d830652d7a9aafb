"""Several replicas share a batch, its moments and its gradient: the weights are those of one."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder.models import weights
from residual_encoder.training import checkpoints


def trained(replicas, workdir, *step):
    command = [sys.executable, "tests/helpers/replicas.py", str(replicas), str(workdir), *step]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (last,) = checkpoints.steps(workdir / "checkpoints")
    arrays, _ = weights.read_arrays(workdir / "checkpoints" / f"step-{last:08d}.h5")
    return arrays


def assert_close(ours, theirs, rtol):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=1e-5, rtol=rtol, err_msg=name)


@pytest.mark.slow
def test_two_replicas_equal_one_against_a_rival(tmp_path):
    """5 steps."""
    one, two = (trained(n, tmp_path / str(n), "adversarial") for n in (1, 2))
    assert_close(one, two, 1e-4)


@pytest.mark.slow
def test_four_replicas_equal_one(tmp_path):
    """20 steps; within 1e-5, of a large value within 3e-5 of it."""
    one, four = (trained(n, tmp_path / str(n)) for n in (1, 4))
    assert_close(one, four, 3e-5)


TWO_REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, 2 * [tf.config.LogicalDeviceConfiguration()])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
from residual_encoder.models.layers import Dropout
with strategy.scope():
    layer = Dropout(0.5, channels=True, name="dropout")
step = tf.function(lambda: strategy.run(lambda: layer(tf.ones([2, 3, 3, 99]), training=True)))
one, other = strategy.experimental_local_results(step())
print(float(tf.reduce_mean(tf.cast(one == other, tf.float32))))
state = layer.seed_generator.state.value
print(*(int(part[1]) for part in strategy.experimental_local_results(state)))
"""


@pytest.mark.slow
def test_two_replicas_drop_other_channels_and_keep_one_state():
    command = [sys.executable, "-c", TWO_REPLICAS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    equal, states = done.stdout.splitlines()
    assert abs(float(equal) - 0.5) < 5 * 0.5 / 198**0.5  # independent halves agree in half
    assert states == "1 1"
