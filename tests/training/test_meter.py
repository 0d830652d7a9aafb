"""Losses and speed between log rows."""

from __future__ import annotations

import time

import pytest
import tensorflow as tf

from residual_encoder.training.meter import Meter


@pytest.mark.parametrize(("log_every", "untimed"), [(1, 1), (2, 0), (3, 0)])
def test_only_the_compiling_step_has_no_speed(log_every: int, untimed: int) -> None:
    meter, batches = Meter(), iter(range(12))
    meter.start()
    speeds = []
    for step in range(1, 7):
        meter.wait_for(batches)
        meter.add({"loss": tf.constant(float(step))})
        if step % log_every == 0:
            assert meter.mean_losses() == {"loss": step - (log_every - 1) / 2}
            speeds.append(meter.finish_interval(4).images_per_second)
    assert speeds[:untimed] == [None] * untimed
    assert all(speed > 0 for speed in speeds[untimed:])


def test_seconds_of_a_checkpoint_are_those_until_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One between two log rows, too; without the time in which it is written."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter, batches = Meter(), iter(range(12))
    meter.start()
    for duration in (3.0, 2.0):
        meter.wait_for(batches)
        now[0] += duration
        meter.add({"loss": tf.constant(1.0)})
    meter.finish_interval(4)
    assert meter.seconds == 5
    now[0] += 1.5
    with meter.paused():
        assert meter.total_seconds() == 6.5
        now[0] += 60
    assert (meter.seconds, meter.total_seconds()) == (5, 6.5)
