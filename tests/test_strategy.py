"""Several replicas share a batch, its moments and its gradient: the weights are those of one."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from residual_encoder import checkpoints


def trained(replicas, workdir, *step):
    command = [sys.executable, "tests/replicas.py", str(replicas), str(workdir), *step]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    arrays, _ = checkpoints.read_arrays(workdir / "checkpoints" / "step-00000005.h5")
    return arrays


@pytest.mark.parametrize("step", [(), ("adversarial",)], ids=["plain", "adversarial"])
def test_two_replicas_equal_one(step, tmp_path):
    one, two = trained(1, tmp_path / "one", *step), trained(2, tmp_path / "two", *step)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-5, rtol=1e-4, err_msg=name)
