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


class Absent(LookupError):
    """A run that a claim needs was not made, or broke."""


@dataclass(frozen=True)
class Evidence:
    """What claims are judged by.

    Attributes:
      results: Finished runs by name.
      memory: Of one training step, by network.
      decisive: Whether the budget is large enough to decide anything.
    """

    results: Results
    memory: dict[str, list[StepMemory]] = field(default_factory=dict)
    decisive: bool = True

    def get(self, name: str) -> Result:
        """A finished run.

        Raises:
          Absent: it is not there, or broke.
        """
        result = self.results.get(name)
        if result is None:
            raise Absent(f"{name} is not among the finished runs")
        if result.failure:
            raise Absent(f"{name} broke: {result.failure}")
        return result

    def pairs(self, ours: str, theirs: str) -> list[tuple[Result, Result]]:
        """Two systems with the same seed, for all seeds that both have.

        Raises:
          Absent: there is none.
        """
        seeds = sorted({result.run["seed"] for result in self.results.values()})
        found = []
        for seed in seeds:
            names = seeded(ours, seed), seeded(theirs, seed)
            if all(name in self.results and not self.results[name].failure for name in names):
                found.append((self.results[names[0]], self.results[names[1]]))
        if not found:
            self.get(ours), self.get(theirs)
            raise Absent(f"{ours} and {theirs} share no seed")
        return found


@dataclass(frozen=True)
class Judgment:
    """What came of a claim.

    Attributes:
      verdict: One of `verdicts.HELD`, `FAILED`, `OPEN`.
      figures: In words, the decisive one first.
      table: Where there is more to show.
      notes: How the figures came about, where the experiment does not say it.
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
      text: What is claimed.
      source: By whom.
      experiment: What is run and compared.
      rule: When it held.
      judge: Evidence -> judgment; raises Absent.
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
        """One row of report.json."""
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
    except Absent as missing:
        judgment = Judgment(OPEN, [str(missing)])
    verdict = judgment.verdict if evidence.decisive else OPEN
    return Finding(claim, dataclasses.replace(judgment, verdict=verdict))
