"""The curve of vividness, and what it does to the config of a network."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from residual_encoder.models import vividness
from residual_encoder.models.configs import AbClassesConfig, ResidualEncoderConfig
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.recipes import RECIPES

CONFIG = AbClassesConfig(temperature=0.38, prior_correction=0.05)


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        (0.0, (0.5, 0.0)),
        (0.125, (0.575, 0.025)),
        (0.25, (0.65, 0.05)),
        (0.5, (0.6, 0.1)),
        (0.75, (0.55, 0.2)),
        (0.9, (0.52, 0.26)),
        (1.0, (0.5, 0.3)),
    ],
)
def test_curve_by_hand(place: float, wanted: tuple[float, float]) -> None:
    point = vividness.point(place)
    assert point.vividness == place
    assert point[1:] == pytest.approx(wanted)


def test_more_vivid_is_never_a_smaller_correction() -> None:
    corrections = [vividness.point(step / 20).prior_correction for step in range(21)]
    assert corrections == sorted(corrections) and corrections[0] < corrections[-1]


def test_the_setting_of_the_recipe_is_a_knot() -> None:
    network = RECIPES["modern_distribution"].network
    assert ColorChoice(0.25).applied(network) == network


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (ColorChoice(), (0.38, 0.05)),
        (ColorChoice(0.75), (0.55, 0.2)),
        (ColorChoice(temperature=0.9), (0.9, 0.05)),
        (ColorChoice(prior_correction=0.0), (0.38, 0.0)),
        (ColorChoice(0.75, temperature=0.9), (0.9, 0.2)),
        (ColorChoice(0.75, prior_correction=0.0), (0.55, 0.0)),
        (ColorChoice(0.75, 0.9, 0.4), (0.9, 0.4)),
    ],
)
def test_parts_override_the_curve_and_the_curve_the_recipe(
    choice: ColorChoice, wanted: tuple[float, float]
) -> None:
    config = choice.applied(CONFIG)
    assert (config.temperature, config.prior_correction) == pytest.approx(wanted)
    assert (config.width, config.taps) == (CONFIG.width, CONFIG.taps)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_vividness_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match="vividness must be 0 to 1. Received"):
        ColorChoice(value)


@pytest.mark.parametrize(
    "numbers",
    [{"temperature": 0.0}, {"temperature": float("nan")}, {"temperature": float("inf")},
     {"temperature": 1e-40}, {"temperature": 0.00999}, {"temperature": 1e300},
     {"prior_correction": 1.5}, {"prior_correction": float("nan")}],
)  # fmt: skip
def test_impossible_parts_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ColorChoice(**numbers).applied(CONFIG)


@pytest.mark.parametrize("name", ["vividness", "temperature", "prior_correction"])
def test_without_a_distribution_saturation_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} cannot be set.*--saturation"):
        ColorChoice(**{name: 0.5}).applied(ResidualEncoderConfig())
    assert ColorChoice().applied(ResidualEncoderConfig()) == ResidualEncoderConfig()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.85, 1.0])
def test_a_setting_finds_its_place_on_the_curve(place: float) -> None:
    assert vividness.nearest(*vividness.point(place)[1:]) == pytest.approx(place)


def test_off_the_curve_the_nearest_place_is_found() -> None:
    assert vividness.nearest(0.4, 0.0) == 0
    assert vividness.nearest(0.45, 0.9) == 1
    assert vividness.nearest(0.605, 0.1) == 0.5


def test_settings_are_those_of_classes_only() -> None:
    assert vividness.settings(CONFIG) == {"temperature": 0.38, "prior_correction": 0.05}
    assert vividness.settings(ResidualEncoderConfig()) == {}


def test_the_curve_needs_no_tensorflow() -> None:
    code = "import residual_encoder.models.vividness, sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
