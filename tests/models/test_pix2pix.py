"""pix2pix and adversarial training: both networks, both losses, both updates, the whole way."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.training_runs import ONE, SCENES, config, saved, small_square

from residual_encoder import models
from residual_encoder.data import preprocessing, sample_images
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.export.saved_model import export_saved_model
from residual_encoder.imaging import colorspace
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.models import weights
from residual_encoder.models.factory import CnnConfig, Pix2PixConfig
from residual_encoder.models.pix2pix import PictureNorm
from residual_encoder.recipes import RECIPES, Adversarial, Recipe
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

RIVAL = Adversarial(widths=(4, 8))
TINY = dataclasses.replace(
    RECIPES["pix2pix"],
    network=Pix2PixConfig((4, 8, 8, 8)),
    adversarial=RIVAL,
    image_size=32,
    batch_size=2,
    steps=4,
)
# No dropout, so that a step can be repeated by hand.
PLAIN = dataclasses.replace(TINY, network=CnnConfig((4,), skips=True), optimizer="sgd")


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


# --- the generator --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generator():
    return models.build(Pix2PixConfig())


def test_levels_of_the_published_generator(generator):
    sizes = {"down1": (128, 64), "down4": (16, 512), "down8": (1, 512), "skip7": (2, 1024)}
    sizes |= {"skip4": (16, 1024), "skip1": (128, 128), "ab": (256, 2)}
    outputs = [generator.get_layer(name).output for name in sizes]
    found = keras.Model(generator.input, outputs)(np.zeros((1, 256, 256, 1), np.float32))
    assert [(x.shape[1], x.shape[3]) for x in found] == list(sizes.values())
    names = {layer.name for layer in generator.layers}
    assert {f"up{k}_dropout" for k in (5, 6, 7)} == {n for n in names if "dropout" in n}
    normed = {f"down{k}_norm" for k in range(2, 8)} | {f"up{k}_norm" for k in range(1, 8)}
    assert normed == {n for n in names if n.endswith("norm")}


def test_parameters_by_hand(generator):
    """Kernels of 16 values a pair of channels; gamma and beta where there is norm, else a bias."""
    e = (64, 128, 256, 512, 512, 512, 512, 512)
    pairs = [(1, 64), *zip(e[:-1], e[1:], strict=True), (512, 512), (128, 2)]
    pairs += [(2 * e[k], e[k - 1]) for k in range(6, 0, -1)]
    norms = 2 * (sum(e[1:7]) + sum(e[:7]))
    expected = 16 * sum(a * b for a, b in pairs) + norms + 64 + 512 + 2
    assert sum(np.prod(v.shape) for v in generator.trainable_variables) == expected


def test_initial_weights_are_the_published(rgb):
    for model in (
        models.build(Pix2PixConfig((64, 64))),
        make_discriminator(RECIPES["pix2pix"]).model,
    ):
        kernels = [v.numpy().ravel() for v in model.weights if v.path.endswith("kernel")]
        assert np.concatenate(kernels).std() == pytest.approx(0.02, rel=0.02)
        gammas = np.concatenate([v.numpy() for v in model.weights if v.path.endswith("gamma")])
        assert gammas.mean() == pytest.approx(1, abs=0.01) and 0.01 < gammas.std() < 0.03


@pytest.mark.parametrize("size", [(16, 32), (10, 13), (1, 50), (3, 2)])
def test_any_size_is_padded_at_its_border_and_cropped(size, rng):
    model = models.build(Pix2PixConfig((4, 8, 8, 8)))
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1, variable.shape) / 10)
    gray = rng.uniform(size=(2, *size, 1)).astype(np.float32)
    run = tf.function(model, input_signature=[tf.TensorSpec([None, None, None, 1])])
    added = [-side % 16 for side in size]
    around = [(0, 0), *((n // 2, n - n // 2) for n in added), (0, 0)]
    whole = model(np.pad(gray, around, "edge")).numpy()
    expected = whole[:, added[0] // 2 :][:, : size[0], added[1] // 2 :][:, :, : size[1]]
    np.testing.assert_allclose(run(gray), expected, atol=1e-6)
    np.testing.assert_allclose(model(gray), expected, atol=1e-6)
    assert np.ptp(expected) > 1e-3


def test_dropout_is_for_training_only(rng):
    model = models.build(Pix2PixConfig((4, 8, 8, 8)))
    gray = rng.uniform(size=(1, 16, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(gray), model(gray))
    assert np.any(model(gray, training=True).numpy() != model(gray, training=True))


def test_tanh_is_ab_over_128():
    model = models.build(Pix2PixConfig((4,)))
    for variable in model.weights:
        variable.assign(tf.zeros_like(variable))
    model.get_layer("ab").bias.assign(np.arctanh([0.5, -0.25]))
    color = colorspace.LAB.chroma(colorspace.lab_to_rgb([[60.0, 64, -32]]))  # out of the gamut?
    chroma = model(np.zeros((1, 2, 2, 1), np.float32))[0, 0]
    np.testing.assert_allclose(chroma[0], [64 / 256 + 0.5, -32 / 256 + 0.5], atol=1e-6)
    np.testing.assert_allclose(chroma[0], color[0], atol=2e-3)


# --- the discriminator ----------------------------------------------------------------------------


def test_patches_are_70_by_70(monkeypatch):
    """Which pixels one of the 30x30 words depends on, by gradient; norm would join all."""
    monkeypatch.setattr(PictureNorm, "call", lambda self, x: x)
    model = models.build_discriminator((64, 128, 256, 512))
    for variable in model.weights:
        variable.assign(tf.abs(variable))
    gray, chroma = tf.ones([1, 256, 256, 1]), tf.ones([1, 256, 256, 2])
    logits = keras.Model(model.inputs, model.get_layer("discriminator5").output)
    with tf.GradientTape() as tape:
        tape.watch([gray, chroma])
        words = logits([gray, chroma])
        word = words[0, 15, 15, 0]
    assert words.shape == (1, 30, 30, 1)
    for gradient in tape.gradient(word, [gray, chroma]):
        seen = np.argwhere(np.any(gradient[0] != 0, axis=-1))
        assert (np.ptp(seen, axis=0) + 1).tolist() == [70, 70]
        assert len(seen) == 70 * 70


def test_norm_is_that_of_a_batch_of_one(rng):
    x = rng.normal(3, 2, (2, 3, 4, 5)).astype(np.float32)
    layer = PictureNorm()
    values = layer(x)
    keras_norm = keras.layers.BatchNormalization(epsilon=1e-5)
    for each, value in zip(x, values, strict=True):
        alone = keras_norm(each[None], training=True)[0]
        expected = alone * layer.gamma.numpy() + layer.beta.numpy()
        np.testing.assert_allclose(value, expected, atol=1e-5)
    assert not layer.non_trainable_variables


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


# --- recipes --------------------------------------------------------------------------------------


def test_the_published_numbers():
    recipe = RECIPES["pix2pix"]
    assert (recipe.optimizer, recipe.learning_rate, recipe.beta1) == ("adam", 2e-4, 0.5)
    assert (recipe.batch_size, recipe.image_size, recipe.flip) == (1, 256, True)
    assert recipe.min_crop == recipe.max_crop == 256 / 286
    assert recipe.inference_size == 288  # 286 to a multiple of 8
    against = recipe.adversarial
    assert (against.loss_weight, against.weight, against.widths) == (100, 1, (64, 128, 256, 512))
    modern = RECIPES["modern_adversarial"]
    unchanged = dataclasses.replace(modern, name="modern", adversarial=None)
    assert unchanged == RECIPES["modern"]


def test_recipes_of_before_the_new_fields_load():
    fields = RECIPES["modern"].to_json()
    for name in ("adversarial", "beta1", "max_crop"):
        del fields[name]
    assert Recipe.from_json(fields) == RECIPES["modern"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 16, "adversarial": Adversarial()}, "image_size must be at least 24"),
        ({"max_crop": 0.5, "min_crop": 0.6}, "min_crop must be above 0 and at most max_crop, 0.5"),
        ({"max_crop": 1.1}, "max_crop must be above 0 and at most 1"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": ()}, "widths must be one or more positive numbers"),
        ({"weight": 0.0}, "weight must be above zero"),
        ({"beta1": 1.0}, "beta1 must be at least 0"),
    ],
)
def test_impossible_discriminators_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Adversarial(**change)


def test_crops_of_a_fixed_share_anywhere():
    share = 256 / 286
    windows = np.array(
        [
            preprocessing.square(
                tf.constant(286), tf.constant(300), share, tf.constant([1, n]), share
            )
            for n in range(60)
        ]
    )
    assert np.unique(windows[:, 2:]).tolist() == [256]
    assert windows[:, 0].min() <= 3 and windows[:, 0].max() >= 27  # of 0 to 30
    assert windows[:, 1].min() <= 4 and windows[:, 1].max() >= 40  # of 0 to 44


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
