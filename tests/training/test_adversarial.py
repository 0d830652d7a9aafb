"""Adversarial training: both losses and both updates by hand, and a run the whole way."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.adversarial import RIVAL, TINY, rgb  # noqa: F401
from helpers.training_runs import ONE, SCENES, config, saved, small_square

from residual_encoder import models
from residual_encoder.data import sample_images
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.export.saved_model import export_saved_model
from residual_encoder.imaging import colorspace
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights
from residual_encoder.models.factory import CnnConfig, Pix2PixConfig
from residual_encoder.recipes import Recipe
from residual_encoder.training import adversarial
from residual_encoder.training.adversarial import (
    discriminator_loss,
    make_discriminator,
    network_loss,
    with_optimizer,
)
from residual_encoder.training.losses import tanh_l1
from residual_encoder.training.trainer import train
from residual_encoder.training.workdir import read_metrics

# No dropout, so that a step can be repeated by hand.
PLAIN = dataclasses.replace(TINY, network=CnnConfig((4,), skips=True), optimizer="sgd")


# --- losses ---------------------------------------------------------------------------------------


def test_adversarial_losses_by_hand():
    true, fake = (tf.reshape(tf.constant(x), [1, 2, 1, 1]) for x in ([1.0, 0.5], [0.5, 0.25]))
    # -(ln 0.5 + ln 0.25) / 2, and -(ln 1 + ln 0.5 + ln 0.5 + ln 0.75) / 2
    assert float(network_loss(fake)) == pytest.approx(1.039721, abs=1e-6)
    assert float(discriminator_loss(true, fake)) == pytest.approx(0.836988, abs=1e-6)


def test_logarithms_are_guarded():
    sure, wrong = tf.zeros([1, 1, 1, 1]), tf.ones([1, 1, 1, 1])
    assert float(network_loss(sure)) == pytest.approx(27.631, abs=1e-3)  # -ln 1e-12
    assert float(discriminator_loss(sure, wrong)) == pytest.approx(2 * 27.631, abs=1e-3)


def test_l1_is_in_tanh_units():
    truth = colorspace.Truth(None, None, tf.fill([1, 1, 1, 2], 0.5))
    # tanh 0.5 and -0.25 against 0: (0.5 + 0.25) / 2
    assert float(tanh_l1(truth, tf.constant([[[[0.75, 0.375]]]]))) == pytest.approx(0.375)


# --- one step -------------------------------------------------------------------------------------


def both_networks(recipe, precision="float32"):
    keras.utils.set_random_seed(5)
    network = with_optimizer(models.build(recipe.network, precision=precision), recipe, "optimizer")
    return network, make_discriminator(recipe, precision)


def values(variables):
    return {variable.path: variable.numpy() for variable in variables}


def test_a_step_by_hand(rgb):
    """SGD of 100 L1 + GAN for the network, the first step of Adam for the discriminator."""
    network, discriminator = both_networks(PLAIN)
    truth = colorspace.split(rgb, colorspace.LAB, "lightness")
    with tf.GradientTape(persistent=True) as tape:
        chroma = network.model(truth.gray, training=True)
        l1 = tf.reduce_mean(tf.abs((2 * chroma - 1) - (2 * truth.chroma - 1)))
        fake = discriminator.model([truth.gray, chroma])
        gan = tf.reduce_mean(-tf.math.log(fake))
        true = discriminator.model([truth.gray, truth.chroma])
        worse = tf.reduce_mean(-tf.math.log(true) - tf.math.log(1 - fake))
        loss = 100 * l1 + gan
    kernel = network.model.get_layer("ab").kernel
    judge = discriminator.model.get_layer("discriminator2")
    moved = kernel.numpy() - 2e-4 * tape.gradient(loss, kernel.value).numpy()
    slope = tape.gradient(worse, judge.kernel.value).numpy()
    # Keras adds 1e-7 to the root of the second moment, here of 0.001 of the slope's square.
    judged = judge.kernel.numpy() - 2e-4 * slope / (np.abs(slope) + 1e-7 / 0.001**0.5)
    losses = adversarial.make_step(network, discriminator, PLAIN, ONE)(rgb)
    expected = {"loss": loss, "loss_chroma": l1, "loss_adversarial": gan}
    expected |= {"loss_discriminator": worse}
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert float(losses[name]) == pytest.approx(float(value), rel=1e-5), name
    np.testing.assert_allclose(kernel.numpy(), moved, rtol=1e-4, atol=1e-8)
    clear = np.abs(slope) > 1e-5  # rounding decides the sign of what is smaller
    assert clear.mean() > 0.8
    np.testing.assert_allclose(judge.kernel.numpy()[clear], judged[clear], atol=2e-6)


@pytest.mark.parametrize("still", [0, 1], ids=["network", "discriminator"])
def test_each_optimizer_moves_its_own_network_only(still, rgb):
    """With one learning rate zero, whatever moves moves by the other's update."""
    both = both_networks(TINY)
    both[still].optimizer.learning_rate = 0.0
    before = [values(one.model.trainable_variables) for one in both]
    adversarial.make_step(*both, TINY, ONE)(rgb)
    for index, one in enumerate(both):
        for path, value in values(one.model.trainable_variables).items():
            # A decoder bias behind a dead ReLU may stand still, a kernel does not.
            if index == still or path.endswith("kernel"):
                assert np.any(value != before[index][path]) == (index != still), path


def test_only_the_networks_one_pass_moves_moving_averages(rgb):
    network, discriminator = both_networks(PLAIN)
    gray = colorspace.split(rgb, colorspace.LAB, "lightness").gray
    inside = keras.Model(network.model.input, network.model.get_layer("down1").output)
    moved = 0.1 * np.mean(inside(gray), axis=(0, 1, 2))
    adversarial.make_step(network, discriminator, PLAIN, ONE)(rgb)
    norm = network.model.get_layer("down1_bn")
    np.testing.assert_allclose(norm.moving_mean.numpy(), moved, rtol=1e-4, atol=1e-6)
    assert not discriminator.model.non_trainable_variables


def test_xla_step_equals_the_plain_one(rgb):
    results = []
    for jit in (False, True):
        network, discriminator = both_networks(PLAIN)
        losses = adversarial.make_step(network, discriminator, PLAIN, ONE, jit)(rgb)
        results.append((losses, network.model.get_layer("ab").kernel.numpy()))
    for name, value in results[0][0].items():
        assert float(results[1][0][name]) == pytest.approx(float(value), rel=1e-4), name
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-5)


def test_mixed_precision_keeps_float32_where_it_counts(rgb):
    network, discriminator = both_networks(PLAIN, "bfloat16")
    assert network.model.get_layer("down1").compute_dtype == "bfloat16"
    assert discriminator.model.get_layer("discriminator2").compute_dtype == "bfloat16"
    assert {v.dtype for v in (*network.variables, *discriminator.variables)} <= {
        "float32",
        "int64",
        "int32",
    }
    exact = adversarial.make_step(*both_networks(PLAIN), PLAIN, ONE)(rgb)
    rough = adversarial.make_step(network, discriminator, PLAIN, ONE)(rgb)
    for name, value in exact.items():
        assert float(rough[name]) == pytest.approx(float(value), rel=0.02), name


def test_overfits_four_photographs():
    pictures = np.stack([small_square(rgb, 32) for _, rgb in sample_images.photographs()])
    recipe = dataclasses.replace(TINY, learning_rate=2e-3, network=Pix2PixConfig((16, 32, 32, 32)))
    step = adversarial.make_step(*both_networks(recipe), recipe, ONE)
    losses = [step(pictures) for _ in range(150)]
    last = [float(each["loss_chroma"]) for each in losses[-10:]]
    assert max(last) < 0.6 * float(losses[0]["loss_chroma"])
    assert all(np.isfinite(float(value)) for value in losses[-1].values())


# --- the whole way --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    assert train(config(workdir, TINY, samples=2)).step == 4
    return workdir


def test_a_run_logs_all_losses_and_keeps_both_networks(trained):
    rows = [row for row in read_metrics(trained) if "loss" in row]
    assert [row["step"] for row in rows] == [2, 4]
    for row in rows:
        weighted = 100 * row["loss_chroma"] + row["loss_adversarial"]
        assert row["loss"] == pytest.approx(weighted, rel=1e-5)
        assert row["loss_discriminator"] > 0
    arrays, _ = saved(trained)
    kept = {"down1/kernel", "discriminator1/kernel", "optimizer/iteration"}
    assert kept | {"discriminator_optimizer/iteration"} <= arrays.keys()
    best, about = weights.read_arrays(trained / "checkpoints" / weights.BEST)
    assert not [path for path in best if "discriminator" in path or "optimizer" in path]
    assert Recipe.from_json(about["recipe"]) == TINY


def test_a_run_of_an_earlier_version_resumes_bit_equally(trained, tmp_path):
    """From the checkpoint of step 2; its config.json does not know beta1, 0.5 by default."""
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(trained / "checkpoints" / "step-00000002.h5", tmp_path / "checkpoints")
    about = json.loads((trained / "config.json").read_text())
    del about["recipe"]["adversarial"]["beta1"]
    (tmp_path / "config.json").write_text(json.dumps(about))
    assert train(config(tmp_path, TINY)).step == 4
    (arrays, _), (again, _) = saved(trained), saved(tmp_path)
    assert arrays.keys() == again.keys()
    for path, value in arrays.items():
        np.testing.assert_array_equal(again[path], value, err_msg=path)


def test_another_discriminator_in_a_used_workdir_is_refused(trained):
    weaker = dataclasses.replace(TINY, adversarial=dataclasses.replace(RIVAL, weight=0.5))
    with pytest.raises(ValueError, match="recipe.adversarial.weight was 1.0, now 0.5"):
        train(config(trained, weaker))


def test_evaluates_exports_and_colors(trained, tmp_path):
    report = evaluate_model(EvaluateConfig(SCENES, image_size=32, limit=2), Colorizer(trained))
    assert np.isfinite(report["psnr_pooled"]["mean"])
    exported = export_saved_model(trained, tmp_path / "saved")
    picture = small_square(next(sample_images.photographs())[1], 133)[:100]
    colored = [Colorizer(model).colorize(picture) for model in (trained, exported)]
    assert colored[0].shape == (100, 133, 3)
    assert np.abs(colored[0].astype(int) - colored[1]).max() <= 1
