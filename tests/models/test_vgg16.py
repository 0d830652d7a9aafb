"""The trunk: Keras's VGG16 with the right preprocessing, and its weights proven by evidence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.data.configs import DataConfig
from residual_encoder.data.input_pipeline import eval_batches
from residual_encoder.imaging import colorspace
from residual_encoder.models import vgg16

FROZEN = 7_635_264  # conv1_1 .. conv4_3, kernels and biases


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
    model = keras.applications.VGG16(include_top=False, weights=None)
    rng = np.random.default_rng(0)
    # Random biases, so that a lost bias shows.
    model.set_weights(
        [w + rng.normal(0, 0.1, w.shape) if w.ndim == 1 else w for w in model.get_weights()]
    )
    model.save_weights(path)
    return path, model


def test_every_tap_agrees_with_keras_behind_its_own_preprocessing(keras_file, rng):
    path, model = keras_file
    rgb = rng.uniform(size=(2, 32, 48, 3)).astype(np.float32)
    theirs = keras.Model(model.input, [model.get_layer(tap).output for tap in vgg16.TAPS])(
        keras.applications.vgg16.preprocess_input(rgb * 255)
    )
    ours = vgg16.build_trunk(str(path))(rgb)
    assert [tap.shape[1:] for tap in ours] == [
        (32, 48, 64),
        (16, 24, 128),
        (8, 12, 256),
        (4, 6, 512),
    ]
    for tap, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(tap, expected, rtol=1e-4, atol=1e-3)


def test_preprocessing_by_hand():
    caffe = vgg16.CaffePreprocessing()(tf.constant([[[[1.0, 0.5, 0.0]]]]))
    np.testing.assert_allclose(caffe[0, 0, 0], [-103.939, 127.5 - 116.779, 255 - 123.68], atol=1e-4)


def test_parameters_and_freezing():
    trunk = vgg16.build_trunk()
    assert trunk.count_params() == FROZEN
    assert not trunk.trainable_variables
    assert len(vgg16.build_trunk(trainable=True).trainable_variables) == 20
    top = vgg16.build_trunk(trainable=True, frozen_blocks=3).trainable_variables
    assert {variable.path.split("_")[0] for variable in top} == {"block4"}


def test_missing_and_misfit_files_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere.*--vgg16_weights"):
        vgg16.build_trunk("nowhere.h5")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="does not fit VGG16"):
        vgg16.build_trunk(str(tmp_path / "other.weights.h5"))
    (tmp_path / "text.weights.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match="does not fit VGG16"):
        vgg16.build_trunk(str(tmp_path / "text.weights.h5"))


def test_the_error_of_a_failed_download_tells_what_to_do(monkeypatch):
    original = keras.applications.VGG16

    def offline(weights=None, **kwargs):
        if weights == "imagenet":
            raise Exception("URL fetch failure")  # what Keras raises
        return original(weights=weights, **kwargs)

    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(OSError, match="could not be downloaded.*--vgg16_weights=PATH"):
        vgg16.build_trunk("imagenet")


@pytest.mark.network
def test_keras_downloads_the_released_weights():
    kernel = vgg16.build_trunk("imagenet").get_layer("block1_conv1").get_weights()[0]
    assert kernel.flat[0] == pytest.approx(0.42947057)


@pytest.mark.parametrize("rank", [0, 8])
def test_folding_batch_norm_changes_no_tap(rank, rng):
    """Of a split convolution the first of the two has neither norm nor ReLU."""
    trained = vgg16.build_trunk(trainable=True, batch_norm=True, rank=rank)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    plain = vgg16.build_trunk(rank=rank)
    folded = vgg16.folded_weights(trained)
    assert {v.path for v in plain.weights} == set(folded)
    for variable in plain.weights:
        variable.assign(folded[variable.path])
    rgb = rng.uniform(size=(1, 32, 32, 3)).astype(np.float32)
    for tap, expected in zip(plain(rgb), trained(rgb, training=False), strict=True):
        np.testing.assert_allclose(tap, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


def test_batch_norm_starts_from_the_given_weights(keras_file):
    path, model = keras_file
    trained = vgg16.build_trunk(str(path), trainable=True, batch_norm=True)
    np.testing.assert_array_equal(
        trained.get_layer("block3_conv2").kernel, model.get_layer("block3_conv2").kernel
    )


@pytest.mark.slow
@pytest.mark.parametrize("limit", [200, None], ids=["200", "all"])
def test_tap_statistics_follow_the_released_norms(shared, limit):
    """Mean and deviation of the four taps over photographs against the 2016 model's tap norms.

    Wrong kernels, channel order or means give correlations near zero.
    """
    from measurements.taps import correlations

    means, deviations = correlations(shared, limit)
    assert np.all(means >= [0.99, 0.95, 0.95, 0.97]), means
    assert np.all(deviations >= [0.99, 0.97, 0.97, 0.97]), deviations


def test_gray_of_photographs_is_the_scripts(shared):
    data = DataConfig("tfrecord", str(shared / "data"))
    batch = next(iter(eval_batches(data, batch_size=4, image_size=64)))
    truth = colorspace.split(batch.rgb, colorspace.YUV, "mean")
    np.testing.assert_allclose(truth.gray[..., 0], batch.rgb.numpy().mean(-1) / 255, atol=1e-6)
