"""Trains a recipe on a dataset; run again with the same flags, it resumes.

  residual-encoder-train --data=imagenet --data_dir=~/tensorflow_datasets --manual_dir=~/ilsvrc \
      --workdir=runs/tinyclouds2016

Exit codes: 0 done; 1 an error, in one line; 75 stopped by SIGTERM or Ctrl-C after saving.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from residual_encoder.apps import cli, shared_flags
from residual_encoder.recipes import LOSSES, OPTIMIZERS, RECIPES, SCHEDULES, Recipe
from residual_encoder.utils import devices

if TYPE_CHECKING:
    from residual_encoder.data.configs import DataConfig
    from residual_encoder.training.trainer import TrainConfig

# What to train on.
shared_flags.data("Kind of training data.", required=True)
shared_flags.data_dir()
shared_flags.manual_dir()
flags.DEFINE_bool("skip_gray", False, "Leave out pictures without color.")
flags.DEFINE_float("max_bad_records", 0.001, "Share of broken records that is tolerated.")
flags.DEFINE_integer("synthetic_size", 2000, "Number of distinct synthetic scenes.")
# What to train, and where to.
flags.DEFINE_string("workdir", None, "Folder of the run; a used one is resumed.", required=True)
shared_flags.recipe(
    "What to train; default: what --init_from was trained with, or tinyclouds2016.", default=None
)
shared_flags.vgg16_weights()
flags.DEFINE_string(
    "init_from", None, "Weights file or workdir to start from; shipped: the package's own weights."
)
flags.DEFINE_integer("seed", 0, "Seed of weights, order and augmentation.")
# Fields of the recipe; None leaves the recipe's own.
flags.DEFINE_integer("steps", None, "Training steps.")
flags.DEFINE_integer("batch_size", None, "Pictures a step, over all devices.")
flags.DEFINE_integer(
    "image_size", None, "Side of the training squares, pixels; 4 to 32 must divide it, by network."
)
flags.DEFINE_float("min_crop", None, "Smallest random crop, as a share of the short side.")
flags.DEFINE_float("max_crop", None, "Largest random crop, as a share of the short side.")
flags.DEFINE_bool("flip", None, "Mirror half of the pictures.")
flags.DEFINE_float("warp", None, "Largest random turn, stretch and shear, 0 to below 1.")
flags.DEFINE_float("tone", None, "Largest bend of a random tone curve, 0 to below 1.")
flags.DEFINE_float("grain", None, "Largest standard deviation of random noise, 0 to below 1.")
flags.DEFINE_float("learning_rate", None, "Peak learning rate.")
flags.DEFINE_enum("optimizer", None, OPTIMIZERS, "Optimizer.")
flags.DEFINE_float("beta1", None, "Momentum of all optimizers but sgd.")
flags.DEFINE_enum("schedule", None, SCHEDULES, "Learning-rate schedule.")
flags.DEFINE_integer("warmup_steps", None, "Linear warm-up of the cosine schedule, steps.")
flags.DEFINE_enum("loss", None, sorted(LOSSES), "Loss.")
flags.DEFINE_bool("train_trunk", None, "Fine-tune the VGG16 trunk.")
flags.DEFINE_integer("frozen_blocks", None, "First blocks of the trunk that stay frozen, 0 to 4.")
flags.DEFINE_float("trunk_rate", None, "Learning rate of the trunk as a share of the decoder's.")
flags.DEFINE_float("rebalancing", None, "Of loss ab_classes: 0 counts pixels alike, 1 colors.")
flags.DEFINE_float("ema", None, "Momentum of the average of the weights that is kept; 0: none.")
flags.DEFINE_bool("trunk_batch_norm", None, "Batch norm in the trunk while it trains.")
shared_flags.precision(default=None)
# How to run.
shared_flags.jit()
flags.DEFINE_enum(
    "strategy",
    "auto",
    devices.STRATEGIES,
    "Who shares a batch. one: a device; mirrored: all GPUs of this machine; multiworker: the "
    "workers of TF_CONFIG, each with all its GPUs; auto: as many GPUs here as divide the "
    "batch. Neither the batch size nor the learning rate is scaled.",
)
shared_flags.data("Kind of evaluation data; --data's without it.", name="eval_data")
flags.DEFINE_string("eval_dir", None, "Folder of the evaluation data; --data_dir without it.")
flags.DEFINE_integer("eval_every", 5000, "Steps between evaluations; 0 is never.")
flags.DEFINE_integer("eval_limit", 200, "Photographs an evaluation looks at.")
flags.DEFINE_list(
    "eval_losses", [], "Losses that an evaluation computes besides the metrics, as tinyclouds_code."
)
flags.DEFINE_integer("checkpoint_every", 1000, "Steps between checkpoints and strips.")
flags.DEFINE_integer("log_every", 50, "Steps between log rows.")

FLAGS = flags.FLAGS


def _recipe() -> Recipe:
    names = {field.name for field in dataclasses.fields(Recipe)}
    changes: dict[str, Any] = {
        name: FLAGS[name].value for name in names & set(FLAGS) if FLAGS[name].value is not None
    }
    recipe = dataclasses.replace(_unchanged_recipe(), **changes)
    _check_effect(recipe, changes)
    return recipe


def _check_effect(recipe: Recipe, changes: dict[str, Any]) -> None:
    """Refuses flags that the recipe's other settings leave without effect.

    A run that an earlier version began with such a flag is resumed with it.
    """
    has_effect = {
        "warmup_steps": (recipe.schedule == "cosine", "--schedule=cosine"),
        "beta1": (recipe.optimizer != "sgd", "an --optimizer other than sgd"),
        "rebalancing": (LOSSES[recipe.loss].reads_logits, "--loss=ab_classes"),
        "trunk_rate": (recipe.train_trunk, "--train_trunk"),
    }
    neutral = {field.name: field.default for field in dataclasses.fields(Recipe)}
    begun = _begun()
    for name, (holds, wanted) in has_effect.items():
        allowed = neutral[name], begun.get(name)
        if not holds and changes.get(name, neutral[name]) not in allowed:
            raise ValueError(
                f"--{name}={changes[name]} has no effect on recipe {recipe.name}, which trains "
                f"without {wanted}: leave it out, or give that too"
            )


def _begun() -> dict[str, Any]:
    """Returns the recipe of the run in the workdir; empty where there is none that can be read."""
    try:
        about = json.loads((Path(FLAGS.workdir) / "config.json").read_text(encoding="utf-8"))
        return dict(about["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _unchanged_recipe() -> Recipe:
    """Returns the recipe before other flags are applied."""
    if FLAGS.recipe or not FLAGS.init_from:
        return RECIPES[FLAGS.recipe or "tinyclouds2016"]
    from residual_encoder.models import weights

    return Recipe.from_json(weights.read_recipe(weights.find_weights(_init_from() or "")))


def _init_from() -> str | None:
    if FLAGS.init_from != "shipped":
        return FLAGS.init_from
    from residual_encoder.inference.model_loading import shipped_weights

    return str(shipped_weights())


def _data(kind: str, data_dir: str | None) -> DataConfig:
    from residual_encoder.data.configs import DataConfig

    return DataConfig(
        kind=kind,
        data_dir=data_dir,
        manual_dir=FLAGS.manual_dir,
        skip_gray=FLAGS.skip_gray,
        max_bad_records=FLAGS.max_bad_records,
        synthetic_size=FLAGS.synthetic_size,
    )


def _config() -> TrainConfig:
    from residual_encoder.training.trainer import TrainConfig

    evaluated = FLAGS.eval_data or FLAGS.data, FLAGS.eval_dir or FLAGS.data_dir
    return TrainConfig(
        recipe=_recipe(),
        data=_data(FLAGS.data, FLAGS.data_dir),
        workdir=FLAGS.workdir,
        vgg16_weights=FLAGS.vgg16_weights,
        init_from=_init_from(),
        eval_data=_data(*evaluated),
        eval_every=FLAGS.eval_every,
        eval_limit=FLAGS.eval_limit,
        eval_losses=tuple(FLAGS.eval_losses),
        checkpoint_every=FLAGS.checkpoint_every,
        log_every=FLAGS.log_every,
        seed=FLAGS.seed,
        jit=FLAGS.jit,
        strategy=FLAGS.strategy,
    )


def main(_: list[str]) -> int:
    """Trains until the last step or a signal."""
    cli.quiet_tensorflow()
    from residual_encoder.training.trainer import train

    outcome = train(_config())
    if outcome.interrupted:
        print(f"Stopped and saved at step {outcome.step}. Run again to resume.", file=sys.stderr)
        return cli.INTERRUPTED
    print(f"Trained to step {outcome.step}: {FLAGS.workdir}")
    _print_figures(outcome.evaluation)
    _print_next_commands()
    return 0


def _print_figures(evaluation: dict[str, Any] | None) -> None:
    """Prints the last evaluation's gains over gray, where there was one."""
    if evaluation is None:
        return
    from residual_encoder.evaluation.tables import interval

    psnr = interval(evaluation["psnr_pooled_gain"], 1, 2)
    auc = interval(evaluation["auc_gain"], 100, 2)
    print(
        f"On {evaluation['n']} photographs, over gray and with 95 % intervals: pooled PSNR {psnr} "
        f"dB, AuC {auc} points"
    )


def _print_next_commands() -> None:
    """Prints how to color with what was trained, and how to measure it."""
    data = {"data": FLAGS.eval_data or FLAGS.data, "data_dir": FLAGS.eval_dir or FLAGS.data_dir}
    given = [f"--{name}={shlex.quote(value)}" for name, value in data.items() if value]
    model = f"--model={shlex.quote(FLAGS.workdir)}"
    print(f"Next: colorize PHOTOGRAPH {model}")
    print(f"or:   residual-encoder-evaluate {model} {' '.join(given)} --output=report.json")


def run() -> None:
    """Starts the command."""
    cli.run(main)
