"""The train command: its recipe, its data, and what it prints at the end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from residual_encoder.apps import train_cli
from residual_encoder.inference.model_loading import shipped_weights
from residual_encoder.models import weights
from residual_encoder.recipes import RECIPES, Recipe


@pytest.fixture
def given() -> Any:
    """Parses flags, and forgets them again."""
    values = flags.FLAGS

    def parse(*arguments: str) -> None:
        values.unparse_flags()
        values(["train", "--workdir=runs/a b", *arguments])

    before = values.is_parsed()
    with flags_saved():
        yield parse
    if before:
        values.mark_as_parsed()


class flags_saved:
    """Gives every flag the value back that it had."""

    def __enter__(self) -> None:
        self.values = {name: flags.FLAGS[name].value for name in flags.FLAGS}
        self.present = {name: flags.FLAGS[name].present for name in flags.FLAGS}

    def __exit__(self, *_: Any) -> None:
        for name, value in self.values.items():
            flags.FLAGS[name].value, flags.FLAGS[name].present = value, self.present[name]


def test_the_recipe_is_that_of_the_weights(given: Any, soft_weights: Path) -> None:
    shipped = Recipe.from_json(weights.read_recipe(shipped_weights()))
    given("--data=synthetic", "--init_from=shipped", "--steps=7")
    recipe = train_cli._recipe()
    assert recipe.name == shipped.name and recipe.network == shipped.network
    assert recipe.steps == 7 and recipe.margin == shipped.margin
    assert train_cli._init_from() == str(shipped_weights())
    given("--data=synthetic", "--init_from=shipped", "--recipe=modern_classes")
    assert train_cli._recipe() == RECIPES["modern_classes"]
    given("--data=synthetic", f"--init_from={soft_weights}")
    assert train_cli._recipe().name == "tinyclouds2016" and train_cli._recipe().image_size == 32
    given("--data=synthetic")
    assert train_cli._recipe() == RECIPES["tinyclouds2016"]


def test_data_sets_of_tfds_are_kinds(given: Any) -> None:
    given("--data=tfds:cifar10")
    assert train_cli._config().eval_data.kind == "tfds:cifar10"
    given("--data=tfds:cifar10:train[:80%]", "--eval_data=tfds:cifar10:test")
    assert train_cli._config().data.kind == "tfds:cifar10:train[:80%]"
    given("--data=tfds:cifar10:train")
    for more in ([], ["--eval_dir=elsewhere"], ["--eval_data=tfds:cifar10:train"]):
        given("--data=tfds:cifar10:train", *more)
        with pytest.raises(ValueError, match="--eval_data=tfds:cifar10:test.*leave the split out"):
            train_cli._config()
    given("--data=tfds:cifar10:train", "--eval_every=0")  # nothing is evaluated
    assert train_cli._config().eval_every == 0
    with pytest.raises(flags.IllegalFlagValueError, match="should be one of <imagenet.*tfds:NAME"):
        given("--data=photos")


@pytest.mark.parametrize(
    ("flag", "wanted", "more"),
    [
        ("--trunk_rate=0.1", "--train_trunk", ["--train_trunk"]),
        ("--warmup_steps=10", "--schedule=cosine", ["--schedule=cosine"]),
        ("--beta1=0.5", "optimizer other than sgd", ["--optimizer=adam"]),
        ("--rebalancing=0", "--loss=ab_classes", ["--recipe=modern_classes"]),
    ],
)
def test_flags_without_effect_are_refused(
    given: Any, flag: str, wanted: str, more: list[str]
) -> None:
    given("--data=synthetic", flag)
    with pytest.raises(ValueError, match=f"{flag}.* has no effect on recipe.*{wanted}"):
        train_cli._recipe()
    given("--data=synthetic", flag, *more)
    name, _, value = flag.removeprefix("--").partition("=")
    assert getattr(train_cli._recipe(), name) == float(value)
    given("--data=synthetic", "--trunk_rate=1", "--warmup_steps=0")  # which is what holds anyway
    assert train_cli._recipe() == RECIPES["tinyclouds2016"]


def test_a_run_that_was_begun_with_a_flag_without_effect_is_resumed(
    given: Any, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(RECIPES["cnn1"], warmup_steps=10)
    (tmp_path / "config.json").write_text(json.dumps({"recipe": recipe.to_json()}))
    flag = ["--data=synthetic", "--recipe=cnn1", f"--workdir={tmp_path}"]
    given(*flag, "--warmup_steps=10")
    assert train_cli._recipe() == recipe
    for other in ("--warmup_steps=11", "--rebalancing=0.25"):
        given(*flag, other)
        with pytest.raises(ValueError, match=f"{other} has no effect"):
            train_cli._recipe()


def test_the_end_has_figures_and_the_next_command(given: Any, capsys: Any) -> None:
    given("--data=folder", "--data_dir=my photos")
    gain = {"mean": 0.01, "ci95": [0.005, 0.015]}
    train_cli._print_figures({"n": 30, "auc_gain": gain, "psnr_pooled_gain": gain})
    train_cli._print_figures(None)
    train_cli._print_next_commands()
    assert capsys.readouterr().out.splitlines() == [
        "On 30 photographs, over gray and with 95 % intervals: pooled PSNR 0.01 [0.01, 0.01] dB, "
        "AuC 1.00 [0.50, 1.50] points",
        "Next: colorize PHOTOGRAPH --model='runs/a b'",
        "or:   residual-encoder-evaluate --model='runs/a b' --data=folder --data_dir='my photos' "
        "--output=report.json",
    ]
