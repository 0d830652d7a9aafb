"""Recipes: the published numbers, and refused combinations."""

import dataclasses
import json

import pytest

from residual_encoder.recipes import RECIPES, Recipe

TINY = RECIPES["tinyclouds2016"]


def test_the_numbers_of_2016():
    assert (TINY.optimizer, TINY.learning_rate, TINY.schedule) == ("sgd", 0.1, "constant")
    assert (TINY.batch_size, TINY.steps, TINY.batch_size * TINY.steps) == (6, 156_000, 936_000)
    assert (TINY.image_size, TINY.inference_size, TINY.gray) == (224, 224, "mean")
    assert (TINY.train_trunk, TINY.flip, TINY.min_crop) == (False, False, 1.0)
    code = RECIPES["tinyclouds2016_code"]
    assert dataclasses.replace(code, name=TINY.name, loss=TINY.loss) == TINY
    assert code.loss == "tinyclouds_code"


def test_photographs_are_seen_at_the_scale_of_training():
    # Crops of 0.6 to 1 of the short side show 0.8 of it on average: 128 / 0.8 and 96 / 0.8.
    modern = RECIPES["modern"]
    assert (modern.image_size, modern.min_crop, modern.inference_size) == (128, 0.6, 160)
    assert dataclasses.replace(modern, image_size=96).inference_size == 120
    assert dataclasses.replace(TINY, image_size=96).inference_size == 96


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip(name):
    assert RECIPES[name].name == name
    assert Recipe.from_json(json.loads(json.dumps(RECIPES[name].to_json()))) == RECIPES[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "l7"}, r"loss must be one of .* Received 'l7'"),
        ({"image_size": 100}, "image_size must be a positive multiple of 8. Received 100"),
        ({"margin": 4}, "margin must be 0 or 8. Received 4"),
        ({"batch_size": 0}, "batch_size must be above zero"),
        ({"batch_size": 2.5}, "batch_size must be a whole number. Received 2.5"),
        ({"image_size": 224.0}, "image_size must be a whole number"),
        ({"min_crop": 0.0}, "min_crop must be above 0"),
        ({"warp": 1.0}, "warp must be at least 0 and below 1. Received 1.0"),
        ({"color_space": "lab", "loss": "tinyclouds_code"}, 'color_space must be "yuv"'),
        ({"trunk_batch_norm": True}, "train_trunk must be true"),
        ({"rebalancing": 1.5}, "rebalancing must be 0 to 1. Received 1.5"),
        ({"trunk_rate": 0.0}, "trunk_rate must be above zero"),
        ({"trunk_rate": float("inf")}, "trunk_rate must be above zero, and finite"),
        ({"learning_rate": float("inf")}, "learning_rate must be above zero, and finite"),
        ({"learning_rate": float("nan")}, "learning_rate must be above zero, and finite"),
        ({"weight_decay": float("inf")}, "weight_decay must be 0 or more, and finite"),
        ({"warmup_steps": -1}, "warmup_steps must be 0 or more. Received -1"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"ema": 1.0}, "ema must be at least 0 and below 1"),
        ({"frozen_blocks": 5, "train_trunk": True}, "frozen_blocks must be 0 to 4"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_recipes_of_another_version_are_refused():
    fields = TINY.to_json()
    with pytest.raises(ValueError, match="Unknown network 'transformer'"):
        Recipe.from_json(fields | {"network": {"name": "transformer"}})
    with pytest.raises(ValueError, match="does not fit this version"):
        Recipe.from_json(fields | {"momentum": 0.9})


@pytest.mark.parametrize(
    "change",
    [{"adversarial": "x"}, {"adversarial": [1]}, {"network": 3}, {"network": {"name": ["cnn"]}},
     {"network": {"name": "cnn", "widths": ["a"]}}, {"steps": "many"},
     {"network": {"name": "vgg_autoencoder", "widths": [8, 8]}}],
)  # fmt: skip
def test_json_that_is_no_recipe_is_refused(change):
    with pytest.raises(ValueError, match="object of JSON|Unknown network|does not fit|five"):
        Recipe.from_json(TINY.to_json() | change)
