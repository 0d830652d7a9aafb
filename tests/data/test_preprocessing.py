"""Crops, decoding, resizing and flips of training pictures, by hand and against TensorFlow."""

# ruff: noqa: F811  fixtures of another module are imported, and used as arguments

import numpy as np
import tensorflow as tf
from helpers.training_batches import NONE, colored, read, shards  # noqa: F401

from residual_encoder.data import preprocessing
from residual_encoder.imaging.augment_config import Augment


def test_centre_square_by_hand():
    for height, width, wanted in ((5, 9, [0, 2, 5, 5]), (8, 3, [2, 0, 3, 3]), (1, 1, [0, 0, 1, 1])):
        assert (
            preprocessing.square(height, width, 1.0, tf.constant([0, 0])).numpy().tolist() == wanted
        )


def test_random_squares_stay_inside_and_use_the_whole_picture():
    windows = [
        preprocessing.square(tf.constant(30), tf.constant(50), 0.4, tf.constant([1, n])).numpy()
        for n in range(300)
    ]
    top, left, height, width = np.transpose(windows)
    assert np.array_equal(height, width)
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 30).all() and (left + width <= 50).all()
    assert (height.min(), height.max()) == (12, 30)
    assert left.min() == 0 and (left + width).max() == 50


def test_cropping_while_decoding_equals_cropping_afterwards(shared):
    shard = str(shared / "data" / "val-00000-of-00002")
    key = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    for data in tf.data.TFRecordDataset(shard).take(5):
        jpeg = tf.io.parse_single_example(data, key)["image/encoded"]
        whole = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
        for top, left, side in ((0, 0, 64), (17, 33, 101), (16, 32, 48), (5, 8, 1), (7, 15, 200)):
            window = tf.constant([top, left, side, side])
            part = preprocessing.decode(jpeg, lambda *_, window=window: window)
            np.testing.assert_array_equal(part, whole[top : top + side, left : left + side])


def test_resize_averages_and_leaves_a_fitting_picture_alone():
    rgb = colored(4, 16, 16)
    np.testing.assert_array_equal(preprocessing.resize(rgb, 16), rgb)
    # By hand, 8 values to 2: a triangle that reaches 4 to either side of 2 and of 6; what lies
    # beyond the picture is left out of the mean.
    line = np.array([0, 10, 20, 30, 240, 250, 90, 70.0])
    places = np.arange(8) + 0.5
    weights = np.maximum(1 - np.abs(places - np.array([[2.0], [6.0]])) / 4, 0)
    wanted = weights @ line / weights.sum(1)
    picture = np.tile(line[None, :, None], (8, 1, 3)).astype(np.uint8)
    small = preprocessing.resize(picture, 2).numpy()
    np.testing.assert_array_equal(small[0, :, 0], np.rint(wanted))


def test_flips_are_about_half(shards):
    plain = read(shards, 11, augment=NONE, size=20)
    mirrored = read(shards, 11, augment=Augment(flip=True), size=20)
    flips = 0
    for (a, *_), (b, *_) in zip(plain, mirrored, strict=True):
        for x, y in zip(a, b, strict=True):
            assert np.array_equal(x, y) or np.array_equal(x[:, ::-1], y)
            flips += not np.array_equal(x, y)
    assert 12 <= flips <= 32  # of 44, 3 sigma
