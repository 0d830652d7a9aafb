"""Finished runs as evidence, and the claims that are judged by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from residual_encoder.evaluation.tables import Table
from residual_encoder.reproduction.experiments import seeded
from residual_encoder.reproduction.paired_statistics import OPEN
from residual_encoder.reproduction.results import Result, Results
from residual_encoder.reproduction.step_memory import StepMemory


class MissingRun(LookupError):
    """A run that a claim needs is missing, or broke."""


@dataclass(frozen=True)
class Evidence:
    """Finished runs and measurements that claims are judged by.

    Attributes:
      results: Finished runs by name.
      memory: Of one training step, by network.
      decisive: Whether the budget is large enough to decide anything.
    """

    results: Results
    memory: dict[str, list[StepMemory]] = field(default_factory=dict)
    decisive: bool = True

    def get(self, name: str) -> Result:
        """Returns a finished run.

        Raises:
          MissingRun: it is not there, or broke.
        """
        result = self.results.get(name)
        if result is None:
            raise MissingRun(f"{name} is not among the finished runs")
        if result.failure:
            raise MissingRun(f"{name} broke: {result.failure}")
        return result

    def pairs(self, system: str, reference: str) -> list[tuple[Result, Result]]:
        """Pairs two systems with the same seed, for all seeds that both have.

        Raises:
          MissingRun: there is none.
        """
        seeds = sorted({result.run["seed"] for result in self.results.values()})
        found = []
        for seed in seeds:
            names = seeded(system, seed), seeded(reference, seed)
            if all(name in self.results and not self.results[name].failure for name in names):
                found.append((self.results[names[0]], self.results[names[1]]))
        if not found:
            self.get(system), self.get(reference)
            raise MissingRun(f"{system} and {reference} share no seed")
        return found


@dataclass(frozen=True)
class Judgment:
    """Verdict on a claim, with its figures.

    Attributes:
      verdict: One of `paired_statistics.HELD`, `FAILED`, `OPEN`.
      figures: As sentences, the decisive one first.
      table: Where there is more to show.
      notes: How the figures came about, where the experiment does not describe it.
    """

    verdict: str
    figures: list[str]
    table: Table = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A claim and how it is judged.

    Attributes:
      name: Short, for links and JSON.
      text: The claim in words.
      source: By whom.
      experiment: The runs and their comparison.
      rule: When it held.
      judge: Evidence -> judgment; raises MissingRun.
    """

    name: str
    text: str
    source: str
    experiment: str
    rule: str
    judge: Callable[[Evidence], Judgment]


@dataclass(frozen=True)
class Finding:
    """A judged claim."""

    claim: Claim
    judgment: Judgment

    def to_json(self) -> dict[str, Any]:
        """Returns one row of report.json."""
        claim, judgment = self.claim, self.judgment
        return {
            "name": claim.name,
            "claim": claim.text,
            "source": claim.source,
            "experiment": claim.experiment,
            "rule": claim.rule,
            "figures": judgment.figures,
            "notes": list(judgment.notes),
            "verdict": judgment.verdict,
            "table": judgment.table,
        }


def judge(claim: Claim, evidence: Evidence) -> Finding:
    """Judges a claim; one whose runs are missing is undecided."""
    try:
        judgment = claim.judge(evidence)
    except MissingRun as missing:
        judgment = Judgment(OPEN, [str(missing)])
    verdict = judgment.verdict if evidence.decisive else OPEN
    return Finding(claim, dataclasses.replace(judgment, verdict=verdict))
