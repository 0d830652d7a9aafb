"""Trains, evaluates, exports and colors in minutes, and writes one page."""

from __future__ import annotations

import sys

from absl import flags

from residual_encoder.apps import cli

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder for everything it makes.")
_STEPS = flags.DEFINE_integer(
    "steps", None, "Training steps; default: about three minutes' worth.", lower_bound=1
)


def main(_: list[str]) -> int:
    """Runs all steps and prints where the results are."""
    cli.quiet_tensorflow()
    from residual_encoder.apps.quickstart import QuickstartConfig, quickstart

    page = quickstart(QuickstartConfig(_WORKDIR.value, _STEPS.value))
    if page is None:
        print("Stopped and saved. Run again to resume.", file=sys.stderr)
        return cli.INTERRUPTED
    folder = page.resolve().parent
    print(f"Report:   {page.resolve()}")
    print(f"Pictures: {folder / 'color'}; by the shipped weights: {folder / 'shipped'}")
    return 0


def run() -> None:
    """Starts the command."""
    cli.run(main)
