"""The residual encoder: counts, names, gradients, options, sizes, what is saved."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from residual_encoder import models
from residual_encoder.models.any_size import chroma_at, network_size, with_margin
from residual_encoder.models.factory import ResidualEncoderConfig
from residual_encoder.models.layers import Upsample2
from residual_encoder.recipes import RECIPES

# name: (trainable, frozen in the trunk)
PARAMETERS = {
    "tinyclouds2016": (504_407, 7_635_264),
    "tinyclouds2016_code": (504_407, 7_635_264),
    # 9 * (963 * 128 + 128 * 64 + 64 * 2) and gamma, beta of 128 + 64 + 2 channels
    "tinyclouds2016_hypercolumn": (1_184_644, 7_635_264),
    # 9 * (963 * 128 + 128 * 64 + 64 * 3 + 3 * 2) and gamma, beta of 128 + 64 + 3 + 2 channels
    "tinyclouds2016_hypercolumn_code": (1_185_280, 7_635_264),
    "tinyclouds2016_pixelwise": (963 * 2 + 2, 7_635_264),
    "vgg_autoencoder": (1_572_114, 14_714_688),
    "cnn1": (67_458, 0),
    "cnn2": (330_178, 0),
    "cnn3": (364_026, 0),
    "cnn4": (1_544_826, 0),
    "cnn5": (2_594_170, 0),
    "cnn6": (3_643_514, 0),
    "pix2pix": (54_410_434, 0),  # taken apart in test_pix2pix.py
    "modern": (8_166_436, 0),
    "modern_adversarial": (8_166_436, 0),
    "modern_frozen": (531_172, 7_635_264),
    # modern; conv5 of the trunk; pool5_bn, color5 with its norm, and color4 of 3x3
    "modern_five_taps": (8_166_436 + 7_079_424 + 1_024 + 263_168 + 1_048_576, 0),
    # trunk; pool3_bn, pool4_bn; color4 and color3 with their norms; logits with bias
    "modern_classes": (7_635_264 + 512 + 1_024 + 131_584 + 590_336 + 257 * 261, 0),
    # blocks 4 and 5 split; pool norms; color5, color4, color3; four bottlenecks; logits
    "modern_distribution": (
        (9 * 160 * (256 + 5 * 512) + 6 * (160 * 512 + 512))
        + (512 + 1_024 + 1_024)
        + (263_168 + 131_584 + 590_336)
        + 4 * (2 * 256 * 128 + 9 * 128**2 + 2 * (128 + 128 + 256))
        + 257 * 261,
        1_735_488,
    ),
}
RELEASED_PARTS = {
    "filter": "kernel",
    "beta": "beta",
    "gamma": "gamma",
    "mean": "moving_mean",
    "variance": "moving_variance",
}


def count(variables):
    return sum(math.prod(variable.shape) for variable in variables)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    return models.build(ResidualEncoderConfig())


@pytest.mark.parametrize("name", RECIPES)
def test_parameter_counts(name):
    recipe = RECIPES[name]
    model = models.build_recipe(recipe, vgg16_weights="later")  # any values
    trunk = models.trunk_of(model)
    frozen = count(trunk.non_trainable_variables) if trunk else 0
    assert (count(model.trainable_variables), frozen) == PARAMETERS[name]


def test_2016_is_501575_of_convolution_and_2832_of_batch_norm(network):
    kernels = [v for v in network.trainable_variables if v.path.endswith("/kernel")]
    assert count(kernels) == 501_575
    assert count(network.trainable_variables) - count(kernels) == 2_832


def output_shapes(network, names, shape):
    outputs = [network.get_layer(name).output for name in names]
    values = keras.Model(network.input, outputs)(np.zeros(shape, np.float32))
    return {name: value.shape[1:] for name, value in zip(names, values, strict=True)}


def test_shapes_of_every_step(network):
    expected = {
        "color4": (2, 3, 256),
        "merge3": (4, 6, 256),
        "color3": (4, 6, 128),
        "merge2": (8, 12, 128),
        "color2": (8, 12, 64),
        "merge1": (16, 24, 64),
        "color1": (16, 24, 3),
        "merge0": (16, 24, 3),
        "color0": (16, 24, 3),
        "uv": (16, 24, 2),
    }
    assert output_shapes(network, expected, (1, 16, 24, 1)) == expected


def test_no_convolution_of_the_decoder_has_a_bias(network):
    names = {v.path for v in network.weights if v.path.endswith("/bias")}
    assert all(name.startswith("block") for name in names)


def test_gray_tap_has_no_batch_norm_and_is_gray_minus_a_half(network):
    gray = np.full((1, 8, 8, 1), 0.75, np.float32)
    tap = keras.Model(network.input, network.get_layer("gray_tap").output)(gray)
    np.testing.assert_allclose(tap, np.full((1, 8, 8, 3), 0.25))


def test_initial_weights_are_the_scripts(network):
    kernel = np.asarray(network.get_layer("color3").kernel)
    assert np.abs(kernel).max() <= 0.02  # truncated at two sigma of 0.01
    assert kernel.std() == pytest.approx(0.0088, abs=2e-4)  # 0.01 truncated at two sigma


@pytest.mark.parametrize("name", ["tinyclouds2016", "modern"])
def test_every_trainable_variable_has_a_gradient(name, rng):
    assert_gradients_everywhere(
        models.build(RECIPES[name].network, train_trunk=name == "modern"), rng
    )


def assert_gradients_everywhere(model, rng):
    gray = rng.uniform(size=(2, 16, 16, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(gray, training=True) - 0.3))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert gradient is not None and np.any(gradient != 0), variable.path


# --- options --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything():
    """All options at once."""
    keras.utils.set_random_seed(1)
    options = {"activation": "leaky_relu", "dropout": 0.25, "upsampling": "half_pixel", "taps": 5}
    return models.build(ResidualEncoderConfig(**options), train_trunk=True)


def test_the_default_options_change_nothing(network):
    names = [layer.name for layer in network.layers]
    assert [name for name in names if name.endswith(("_relu", "_upsample"))] == [
        "color4_relu",
        "merge3_upsample",
        "color3_relu",
        "merge2_upsample",
        "color2_relu",
        "merge1_upsample",
        "color1_relu",
        "color0_relu",
    ]
    assert type(network.get_layer("merge3_upsample")) is Upsample2
    # 10 convolutions of the trunk; 4 norms of taps; 6 convolutions with their norms
    assert len(network.weights) == 10 * 2 + 4 * 4 + 6 * 5


def test_shapes_with_five_taps(everything):
    expected = {
        "pool5_bn": (1, 2, 512),
        "color5": (1, 2, 512),
        "merge4": (2, 4, 512),
        "color4": (2, 4, 256),
        "merge3": (4, 8, 256),
        "color1": (16, 32, 3),
        "chroma": (16, 32, 2),
    }
    assert output_shapes(everything, expected, (1, 16, 32, 1)) == expected
    assert everything.get_layer("color5").kernel_size == (1, 1)
    assert everything.get_layer("color4").kernel_size == (3, 3)
    assert models.multiple_of(ResidualEncoderConfig(taps=5)) == 16


def test_parameters_of_five_taps_by_hand():
    model = models.build(ResidualEncoderConfig(taps=5))
    more = 2 * 512 + (512 * 512 + 2 * 512)  # pool5_bn; color5 with its norm
    more += (9 - 1) * 512 * 256  # color4 is 3x3 instead of 1x1
    assert count(model.trainable_variables) == 504_407 + more
    # conv5_1, conv5_2 and conv5_3, with their biases
    assert count(models.trunk_of(model).weights) == 7_635_264 + 3 * (9 * 512 * 512 + 512)


def test_gradients_reach_everything_with_all_options(everything, rng):
    assert_gradients_everywhere(everything, rng)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", [0, 0, 2]),
        ("elu", [math.exp(-1) - 1, 0, 2]),
        ("leaky_relu", [-0.1, 0, 2]),
    ],
)
def test_activations_by_hand(activation, expected):
    model = models.build(ResidualEncoderConfig(activation=activation))
    names = [f"color{k}_{activation}" for k in range(5)]
    for layer in map(model.get_layer, names):
        np.testing.assert_allclose(layer(np.array([-1.0, 0.0, 2.0])), expected, atol=1e-6)


def test_dropout_drops_in_training_only_and_keeps_the_mean(everything):
    x = np.ones((1, 64, 64, 256), np.float32)
    layer = everything.get_layer("color4_dropout")
    np.testing.assert_array_equal(layer(x, training=False), x)
    left, again = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert set(np.unique(left)) == {0, np.float32(4 / 3)}
    assert left.mean() == pytest.approx(1, abs=0.01)
    assert (left != again).any()
    dropped = [layer.name for layer in everything.layers if "dropout" in layer.name]
    assert dropped == [f"color{k}_dropout" for k in (5, 4, 3, 2)]


def test_random_states_are_called_alike_in_every_network_of_a_process():
    config = ResidualEncoderConfig(dropout=0.5)
    paths = [[v.path for v in models.build(config).variables] for _ in range(2)]
    assert paths[0] == paths[1]
    assert "color3_dropout/seed_generator_state" in paths[0]


# --- the released model ---------------------------------------------------------------------------


def test_released_decoder_loads_by_name(network, shared):
    released = np.load(shared / "vgg16" / "released_decoder_2016.npz", allow_pickle=False)
    ours = {v.path: v for v in network.weights if not v.path.startswith("block")}
    theirs = {}
    for key in released.files:
        layer, part = key.split("/")
        theirs[f"{layer}/{RELEASED_PARTS[part]}"] = released[key]
    assert ours.keys() == theirs.keys()
    for path, value in theirs.items():
        assert ours[path].shape == value.shape, path
        ours[path].assign(value)
    chroma = network(np.random.default_rng(0).uniform(size=(1, 32, 32, 1)).astype(np.float32))
    assert np.isfinite(chroma).all()


# --- sizes ----------------------------------------------------------------------------------------


def test_sizes_may_be_unknown(network, rng):
    spec = tf.TensorSpec([None, None, None, 1])
    function = tf.function(lambda gray: network(gray), input_signature=[spec])
    for size in [(8, 8), (16, 40)]:
        gray = rng.uniform(size=(1, *size, 1)).astype(np.float32)
        np.testing.assert_allclose(function(gray), network(gray), atol=1e-5)
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("picture", "size", "expected"),
    [
        ((224, 224), 224, (224, 224)),
        ((1500, 1000), 224, (336, 224)),
        ((1, 1), 64, (64, 64)),
        ((17, 23), 64, (64, 88)),  # 64 * 23 / 17 = 86.6, to the next multiple of 8
        ((1, 5000), 64, (64, 256)),  # squeezed to four short sides
    ],
)
def test_network_size(picture, size, expected):
    assert tuple(int(side) for side in network_size(*picture, size)) == expected


@pytest.mark.parametrize("shape", [(1, 1), (17, 23), (64, 64), (3, 400)])
def test_chroma_at_any_size(shape, rng, run_mode):
    seen = []

    def network(gray):
        seen.append(gray.shape)
        return tf.concat([gray, 1 - gray], axis=-1)

    gray = tf.constant(rng.uniform(size=(2, *shape, 1)).astype(np.float32))
    chroma = run_mode(lambda x: chroma_at(network, x, 64))(gray)
    assert chroma.shape == (2, *shape, 2)
    assert 0 <= chroma.numpy().min() <= chroma.numpy().max() <= 1
    np.testing.assert_allclose(tf.reduce_sum(chroma, -1), np.ones((2, *shape)), atol=1e-5)


def test_a_picture_of_the_networks_size_is_not_resized(rng):
    gray = tf.constant(rng.uniform(size=(1, 32, 40, 1)).astype(np.float32))
    chroma = chroma_at(lambda x: tf.concat([x, x], -1), gray, 32)
    np.testing.assert_array_equal(chroma[..., :1], gray)


def test_a_margin_is_the_border_mirrored(rng):
    gray = rng.uniform(size=(2, 16, 24, 1)).astype(np.float32)

    def box(x):  # sums of 5x5 pixels, zeros beyond the border
        return 25 * tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]), 5, 1, "VALID")

    mirrored = np.pad(gray, [(0, 0), (2, 2), (2, 2), (0, 0)], "symmetric")
    expected = sum(mirrored[:, y : y + 16, x : x + 24] for y in range(5) for x in range(5))
    np.testing.assert_allclose(with_margin(box, 8)(gray), expected, atol=1e-5)
    assert np.abs(box(gray) - expected).max() > 1
    assert with_margin(box, 0) is box


# --- what is saved --------------------------------------------------------------------------------


def test_for_saving_is_the_same_function_without_batch_norm_in_the_trunk(rng):
    config = RECIPES["modern"].network
    trained = models.build(config, train_trunk=True, trunk_batch_norm=True)
    gray = rng.uniform(size=(2, 16, 16, 1)).astype(np.float32)
    for _ in range(3):
        trained(gray, training=True)  # moves the moving averages
    plain = models.for_saving(trained, config)
    assert not any("conv" in v.path and "_bn" in v.path for v in plain.weights)
    np.testing.assert_allclose(plain(gray), trained(gray, training=False), atol=2e-4)


def test_bfloat16_keeps_float32_weights_and_output():
    model = models.build(ResidualEncoderConfig(), precision="bfloat16")
    assert model.get_layer("color3").compute_dtype == "bfloat16"
    assert {v.dtype for v in model.weights} == {"float32"}
    assert model(np.zeros((1, 8, 8, 1), np.float32)).dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": (128, 128, 64, 3, 3)}, "widths must begin"),
        ({"widths": (256, 128, 64, 32, 3)}, r"widths\[3\] = 3"),
        ({"widths": (256, 128, 64, 3)}, "widths must be five positive numbers"),
        ({"widths": (256, 128, 64, 3, 0)}, "widths must be five positive numbers"),
        ({"gray_tap": "multiply"}, "gray_tap must be"),
        ({"activation": "swish"}, "activation must be one of .* Received 'swish'"),
        ({"upsampling": "nearest"}, "upsampling must be one of"),
        ({"dropout": 1.0}, "dropout must be from 0"),
        ({"taps": 3}, "taps must be 4 or 5"),
    ],
)
def test_impossible_configs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ResidualEncoderConfig(**change)
