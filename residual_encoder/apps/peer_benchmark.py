"""Runs another implementation's benchmark script on the same work, in its own process."""

from __future__ import annotations

import json
import shlex
import statistics
import subprocess
from typing import Any

from residual_encoder.recipes import Recipe

# The modes that a peer's script takes as its first argument, named as in `benchmark.MODES`.
MODES = ("train", "infer")


class PeerBenchmark:
    """Times both variants of one script, eager and compiled, in alternation.

    The script is called with a mode and --batch, --size, --steps, --bf16, --compile and
    --train_encoder, as the work needs them, and prints one JSON object last, with
    `images_per_second`, `peer` (what it runs on) and `device`.
    """

    def __init__(self, command: str, mode: str, recipe: Recipe, precision: str, steps: int) -> None:
        """Builds the script's command line.

        Args:
          command: The interpreter and the script, as one would type them.
          mode: One of `MODES`.
          recipe: Its batch, picture size and whether the trunk is trained.
          precision: "float32" or "bfloat16".
          steps: Batches a run.
        """
        self.command = shlex.split(command)
        self.arguments = [mode, f"--batch={recipe.batch_size}", f"--size={recipe.image_size}"]
        self.arguments += [f"--steps={steps}"]
        self.arguments += ["--bf16"] * (precision == "bfloat16")
        self.arguments += ["--train_encoder"] * (mode == "train" and recipe.train_trunk)
        self.answers: dict[bool, list[dict[str, Any]]] = {False: [], True: []}

    def run(self) -> None:
        """Runs both variants of the script once.

        Raises:
          OSError: the command cannot be started.
          ValueError: it fails, or does not print its result.
        """
        for compiled, answers in self.answers.items():
            answers.append(self._answer(["--compile"] * compiled))

    def _answer(self, more: list[str]) -> dict[str, Any]:
        command = [*self.command, *self.arguments, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            answer = json.loads(done.stdout.strip().splitlines()[-1])
            return answer | {"images_per_second": float(answer["images_per_second"])}
        except (IndexError, KeyError, TypeError, ValueError) as error:
            reason = (done.stderr.strip().splitlines() or ["it printed no images_per_second"])[-1]
            raise ValueError(
                f"The peer {shlex.join(command)} failed with exit code {done.returncode}: {reason}"
            ) from error

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row each: `peer`, `compiled`, `device`, the median `images_per_second`."""
        return [
            {
                "peer": answers[-1].get("peer"),
                "compiled": compiled,
                "device": answers[-1].get("device"),
                **rates([answer["images_per_second"] for answer in answers]),
            }
            for compiled, answers in self.answers.items()
        ]

    def best(self) -> float:
        """Returns images a second of the faster variant."""
        return max(row["images_per_second"] for row in self.rows())


def rates(values: list[float]) -> dict[str, Any]:
    """Returns `images_per_second`, the median, and `images_per_second_range`."""
    return {
        "images_per_second": round(statistics.median(values), 2),
        "images_per_second_range": [round(min(values), 2), round(max(values), 2)],
    }
