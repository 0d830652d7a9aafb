"""Measures how the trunk's taps follow the tap norms of the released 2016 model.

python tests/measurements/taps.py    # over all 500 validation photographs
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import numpy as np
import tensorflow as tf

from residual_encoder.imaging import colorspace
from residual_encoder.models import vgg16


def released_trunk(shared: Path):
    """VGG16 cut after block 4, with the released kernels."""
    trunk = vgg16.build_trunk()
    known = np.load(shared / "vgg16" / "blocks1234.npz", allow_pickle=False)
    for variable in trunk.weights:
        variable.assign(known[variable.path])
    return trunk


def photographs(shared: Path) -> tf.data.Dataset:
    """Center squares at 224, by the plain bilinear resizing of 2016: it does not average."""

    def square(record):
        features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        encoded = tf.io.parse_single_example(record, features)["image/encoded"]
        rgb = tf.io.decode_jpeg(encoded, channels=3)
        side = tf.minimum(tf.shape(rgb)[0], tf.shape(rgb)[1])
        rgb = tf.image.resize_with_crop_or_pad(rgb, side, side)
        return tf.compat.v1.image.resize_bilinear(rgb[None], [224, 224])[0]

    shards = sorted(str(path) for path in (shared / "data").glob("val-*"))
    return tf.data.TFRecordDataset(shards).map(square, num_parallel_calls=2)


def correlations(shared: Path, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Channel-wise correlation of (means, deviations) with pool1_bn .. pool4_bn, one a tap."""
    trunk, count = released_trunk(shared), 0
    sums = [np.zeros((2, trunk_tap.shape[-1])) for trunk_tap in trunk.outputs]
    for rgb in photographs(shared).take(limit or -1).batch(10):
        gray = colorspace.mean_gray(rgb / 255).numpy()
        for total, tap in zip(sums, trunk(np.repeat(gray, 3, -1)), strict=True):
            tap = tap.numpy().astype(np.float64)
            total += [tap.mean((1, 2)).sum(0), (tap**2).mean((1, 2)).sum(0)]
        count += len(gray)
    released = np.load(shared / "vgg16" / "released_decoder_2016.npz", allow_pickle=False)
    return tuple(np.array(pairs) for pairs in zip(*_compare(sums, count, released), strict=True))


def _compare(sums, count, released):
    for k, (first, second) in enumerate(sums, start=1):
        mean, square = first / count, second / count
        deviation = np.sqrt(square - mean**2)
        theirs = released[f"pool{k}_bn/mean"], np.sqrt(released[f"pool{k}_bn/variance"])
        yield tuple(np.corrcoef(a, b)[0, 1] for a, b in zip((mean, deviation), theirs, strict=True))


if __name__ == "__main__":
    means, deviations = correlations(Path(sys.argv[1]) if sys.argv[1:] else conftest.SHARED)
    print("means", means.round(4), "deviations", deviations.round(4))
