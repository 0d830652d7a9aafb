"""Trains, evaluates, exports and colors in minutes, and writes one page: tools/quickstart.py."""

from __future__ import annotations

import sys

import _bootstrap
from absl import flags

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder for everything it makes.")
_STEPS = flags.DEFINE_integer("steps", None, "Training steps; default: about three minutes' worth.")
INTERRUPTED = 75  # as tools/train.py


def main(_: list[str]) -> int:
    """The whole way, and where to look."""
    from residual_encoder.apps.quickstart import TourConfig, tour

    page = tour(TourConfig(_WORKDIR.value, _STEPS.value))
    if page is None:
        print("Stopped and saved. Run again to go on.", file=sys.stderr)
        return INTERRUPTED
    folder = page.resolve().parent
    print(f"Report:   {page.resolve()}")
    print(f"Pictures: {folder / 'color'}; by the shipped weights: {folder / 'shipped'}")
    return 0


if __name__ == "__main__":
    _bootstrap.run(main)
