"""The drawing of a network agrees with the model."""

import xml.etree.ElementTree as ElementTree

import keras
import pytest

from residual_encoder import models
from residual_encoder.models import diagram
from residual_encoder.models.factory import ResidualEncoderConfig

SVG = "{http://www.w3.org/2000/svg}"


def build(config, **settings):
    """Builds a network with any values in its trunk."""
    return models.build(config, vgg16_weights="later", **settings)


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def original():
    return texts(diagram.network_figure(build(ResidualEncoderConfig())))


def test_original_is_drawn_layer_by_layer(original):
    for name in ("color4", "color3", "color2", "color1", "color0", "uv", "chroma", "grayscale"):
        assert original.count(name) == 1
    # The table of the 2016 network: sizes of the decoder, of the taps, of input and output.
    for size in ("28 × 28 × 256", "56 × 56 × 128", "112 × 112 × 64", "224 × 224 × 64"):
        assert size in original
    for size in ("28 × 28 × 512", "56 × 56 × 256", "112 × 112 × 128", "224 × 224 × 1"):
        assert size in original
    assert original.count("224 × 224 × 3") == 2  # color1, color0
    assert original.count("224 × 224 × 2") == 2  # uv, output


def test_original_has_the_right_operations(original):
    assert original.count("1×1 conv, BN, ReLU") == 1
    assert original.count("3×3 conv, BN, ReLU") == 4
    assert original.count("3×3 conv, BN, sigmoid") == 1
    assert original.count("BN") == 4  # on the taps; none on gray
    assert original.count("3 copies, − 0.5") == 1
    assert original.count("upsample ×2") == 3
    assert original.count("+") == 4
    assert original.count("2 × 3×3 conv, ReLU") == original.count("3 × 3×3 conv, ReLU") == 2
    assert original.count("max pool") == 3
    assert "504,407 trainable parameters, 7,635,264 frozen" in original
    assert "vgg16 trunk, frozen" in original


def test_variant_with_other_widths_and_concatenation():
    config = ResidualEncoderConfig(widths=(256, 128, 64, 20, 12), gray_tap="concat")
    words = texts(diagram.network_figure(build(config, train_trunk=True)))
    assert words.count("concat") == 1
    assert words.count("+") == 3
    assert "− 0.5" in words
    assert "224 × 224 × 20" in words
    assert "224 × 224 × 12" in words
    assert "vgg16 trunk, trained" in words
    assert not any("frozen" in word for word in words)


def test_five_taps_and_other_options_are_drawn_too():
    config = ResidualEncoderConfig(activation="elu", dropout=0.5, upsampling="half_pixel", taps=5)
    words = texts(diagram.network_figure(build(config)))
    assert words.count("14 × 14 × 512") == 2  # the fifth tap, color5
    assert words.count("1×1 conv, BN, ELU, Dropout") == 1
    assert words.count("3×3 conv, BN, ELU, Dropout") == 3
    assert words.count("upsample ×2") == words.count("max pool") == 4


def test_a_trunk_that_trains_in_part_is_told():
    model = build(ResidualEncoderConfig(), train_trunk=True, frozen_blocks=3)
    words = texts(diagram.network_figure(model))
    assert "vgg16 trunk, trained in part" in words
    block4 = 9 * 512 * (256 + 512 + 512) + 3 * 512
    counts = f"{504_407 + block4:,} trainable parameters, {7_635_264 - block4:,} frozen"
    assert counts in words


def test_trunk_with_batch_norm_is_drawn_too():
    model = build(ResidualEncoderConfig(), train_trunk=True, trunk_batch_norm=True)
    words = texts(diagram.network_figure(model))
    assert words.count("2 × 3×3 conv, BN, ReLU") == 2


def two_taps_at_one_merge() -> keras.Model:
    rgb = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(rgb)
    pooled = keras.layers.MaxPooling2D(name="pool")(first)
    second = keras.layers.Conv2D(6, 3, padding="same", name="second")(pooled)
    trunk = keras.Model(rgb, [first, second], name="little")
    gray = keras.Input((None, None, 1), name="gray")
    shallow, deep = trunk(keras.layers.Concatenate()([gray, gray, gray]))
    up = keras.layers.UpSampling2D(name="up")(deep)
    joined = keras.layers.Concatenate(name="join")([up, shallow, gray])
    return keras.Model(gray, keras.layers.Conv2D(2, 1, name="ab<>")(joined), name="hyper")


def test_other_networks_and_odd_names():
    words = texts(diagram.network_figure(two_taps_at_one_merge()))
    assert {"first", "second", "gray", "ab<>", "concat"} <= set(words)
    assert "224 × 224 × 4" in words
    assert "112 × 112 × 6" in words


def test_everything_lies_within_the_drawing(original):
    svg = diagram.network_figure(two_taps_at_one_merge())
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    for element in [*root.iter(f"{SVG}text"), *root.iter(f"{SVG}rect")]:
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        assert 0 <= x <= width
        assert 0 <= y <= height


def test_model_without_a_trunk_is_refused():
    gray = keras.Input((8, 8, 1))
    model = keras.Model(gray, keras.layers.Conv2D(2, 1)(gray), name="flat")
    with pytest.raises(ValueError, match="'flat' has 0 nested models"):
        diagram.network_figure(model)
