"""Layers against TensorFlow's and Keras's: upsampling and batch norm."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder.models.layers import BatchNorm, Dropout, HalfPixelUpsample2, Upsample2
from residual_encoder.utils import devices


def legacy(x):
    return tf.compat.v1.image.resize_bilinear(x, [2 * x.shape[1], 2 * x.shape[2]])


def half_pixel(x):
    return tf.image.resize(x, [2 * x.shape[1], 2 * x.shape[2]])


KINDS = pytest.mark.parametrize(
    ("layer", "reference"), [(Upsample2, legacy), (HalfPixelUpsample2, half_pixel)]
)


@KINDS
@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 1, 4), (1, 28, 28, 8)])
def test_upsampling_is_tensorflows(layer, reference, shape, rng, run_mode):
    x = tf.constant(rng.normal(size=shape).astype(np.float32))
    np.testing.assert_allclose(run_mode(layer())(x), reference(x), atol=1e-6)


@KINDS
def test_upsampling_with_unknown_sizes_and_under_xla(layer, reference, rng):
    x = tf.constant(rng.normal(size=(2, 5, 7, 3)).astype(np.float32))
    unknown = tf.function(layer(), input_signature=[tf.TensorSpec([None] * 3 + [3])])
    np.testing.assert_allclose(unknown(x), reference(x), atol=1e-6)
    compiled = tf.function(layer(), jit_compile=True)
    np.testing.assert_allclose(compiled(x), reference(x), atol=1e-6)


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layer", [Upsample2, HalfPixelUpsample2])
def test_upsampling_with_a_quick_gradient(layer, dtype, amx, rng, monkeypatch):
    """In training on a CPU, against the slices otherwise: quarters are exact in bfloat16, too."""
    monkeypatch.setattr(devices, "has_amx", lambda: amx)
    x, weights = (tf.cast(rng.integers(0, 9, (2, *n, 4)), dtype) for n in ((3, 5), (6, 10)))
    upsample = layer(quick_gradient=True, dtype=dtype)

    def value_and_slope(training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = upsample(x, training=training)
            total = tf.reduce_sum(y * weights)
        return y, tape.gradient(total, x)

    for quick, plain in zip(value_and_slope(True), value_and_slope(False), strict=True):
        assert quick.dtype == dtype
        quick, plain = (tf.cast(value, tf.float32) for value in (quick, plain))
        np.testing.assert_allclose(quick, plain, atol=1e-5 if dtype == "float32" else 0.3)


def operations(layer, x):
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(x).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(
    ("flags", "limit", "dtype", "wanted"),
    [
        ("avx512_bf16 amx_bf16", "", "bfloat16", "Conv2D"),
        ("avx512_bf16 amx_bf16", "avx512_core_bf16", "bfloat16", "ResizeBilinear"),
        ("avx512_bf16 amx_bf16", "", "float32", "ResizeBilinear"),
        ("avx512_bf16", "", "bfloat16", "ResizeBilinear"),
    ],
)
def test_products_take_the_place_of_passes_where_amx_makes_them(
    flags, limit, dtype, wanted, monkeypatch
):
    monkeypatch.setattr(devices, "gpus", lambda: [])
    monkeypatch.setattr(devices, "_cpu_info", lambda: {"flags": flags})
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    found = operations(Upsample2(quick_gradient=True, dtype=dtype), tf.zeros([1, 4, 4, 3], dtype))
    assert found & {"Conv2D", "ResizeBilinear"} == {wanted}


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batch_norm_in_training_is_keras(channels, dtype, rng):
    x = tf.cast(rng.normal(2, 3, (4, 6, 5, channels)), dtype)
    weights = tf.cast(rng.normal(0, 1, x.shape), dtype)
    policy = "float32" if dtype == "float32" else "mixed_bfloat16"
    results = []
    for kind in (keras.layers.BatchNormalization, BatchNorm):
        norm = kind(momentum=0.9, epsilon=1e-3, dtype=policy)
        norm.build(x.shape)
        norm.gamma.assign(np.linspace(0.5, 1.5, channels))
        norm.beta.assign(np.linspace(-1, 1, channels))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = norm(x, training=True)
            total = tf.reduce_sum(tf.cast(y * weights, tf.float32))
        slopes = tape.gradient(total, [x, norm.gamma.value, norm.beta.value])
        results.append([y, *slopes, norm.moving_mean.value, norm.moving_variance.value])
    rounding = 1e-5 if dtype == "float32" else 2**-7
    for ours, theirs in zip(*results, strict=True):
        ours, theirs = (tf.cast(value, tf.float32) for value in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=4 * rounding)


def test_upsampling_by_hand():
    x = tf.reshape([1.0, 3.0], [1, 1, 2, 1])
    np.testing.assert_array_equal(Upsample2()(x)[0, 0, :, 0], [1, 2, 3, 3])
    np.testing.assert_array_equal(HalfPixelUpsample2()(x)[0, 0, :, 0], [1, 1.5, 2.5, 3])


def test_every_replica_drops_other_values_and_the_first_those_of_one_alone(monkeypatch):
    x, dropped = tf.ones([4, 200]), []
    for replica, replicas in ((0, 1), (0, 2), (1, 2)):
        context = SimpleNamespace(num_replicas_in_sync=replicas, replica_id_in_sync_group=replica)
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda context=context: context)
        keras.utils.set_random_seed(3)
        layer = Dropout(0.5, name="dropout")
        dropped.append([layer(x, training=True).numpy() == 0 for _ in range(2)])
    alone, first, second = np.array(dropped)
    np.testing.assert_array_equal(alone, first)
    # Independent halves agree in half of the values; of 800, within five standard deviations.
    assert abs((first[0] == second[0]).mean() - 0.5) < 5 * 0.5 / 800**0.5
    assert abs((second[0] == second[1]).mean() - 0.5) < 5 * 0.5 / 800**0.5
