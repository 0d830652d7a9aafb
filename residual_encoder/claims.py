"""The claims of the article and of the other systems' authors, each judged by finished runs.

A claim is a pure function of results; its rule stands beside it. A run that is not there, or broke,
leaves the claims that need it undecided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from residual_encoder import hue, verdicts
from residual_encoder.experiments import (
    BASE,
    CNN_RATES,
    CNNS,
    CODE,
    HSV,
    HYPERCOLUMN_CODE,
    MODERN,
    PIXELWISE,
    PIXELWISE_ADAM,
    PLAIN,
    changed,
    developed,
    seeded,
)
from residual_encoder.memory import METHOD, StepMemory
from residual_encoder.report import Table
from residual_encoder.results import Result, Results
from residual_encoder.verdicts import BY_INTERVAL, BY_SEEDS, FAILED, HELD, OPEN, show

ARTICLE = "article (Dahl 2016)"
GRAYISH = 0.25  # ours: below a quarter of the true colorfulness a picture passes for gray
LITTLE = 0.1  # dB, ours: what a change must bring to be worth its name
CODE_VALUE = 1.0  # of 255: rounding to 8 bits alone costs up to half of one
LATE = 0.25  # the last quarter of a stretch of training is its end
MEMORY_LIMIT, MEMORY_SIZE = 2048, 224  # MiB of the article's graphics card, pixels of its pictures


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


def _listed(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


# --- pixelwise ------------------------------------------------------------------------------------


def _pixelwise(evidence: Evidence) -> Judgment:
    runs = (evidence.results.get(name) for name in (PIXELWISE, changed(PIXELWISE_ADAM)))
    tried = [run for run in runs if run and not run.failure] or [evidence.get(PIXELWISE)]
    encoder = evidence.get(BASE)
    pixelwise = max(tried, key=gain)  # the one that trained better
    low, high = pixelwise.interval("colorfulness")
    grayish = GRAYISH * pixelwise.mean("colorfulness_truth")
    verdict = OPEN
    if high < grayish and high < encoder.interval("colorfulness")[0]:
        verdict = HELD
    elif low > grayish and pixelwise.interval("psnr_pooled_gain")[1] > 0:
        verdict = FAILED  # one that is worse than gray has not trained, and says nothing
    figures = [
        f"colorfulness {_with_interval(result, 'colorfulness', 1)} {result.name}, "
        f"{gain(result):.2f} dB over gray"
        for result in (*tried, encoder)
    ]
    return Judgment(verdict, [*figures, f"{pixelwise.mean('colorfulness_truth'):.1f} truth"])


def _with_interval(result: Result, metric: str, digits: int) -> str:
    return show((result.mean(metric), *result.interval(metric)), digits)


def gain(result: Result) -> float:
    """Pooled PSNR over gray, dB."""
    return result.mean("psnr_pooled_gain")


# --- blurred against plain ------------------------------------------------------------------------

WATCHED = "rmse_ab"  # of the validation photographs; neither loss is it


def watched(result: Result, metric: str = WATCHED) -> tuple[np.ndarray, np.ndarray]:
    """Steps and a metric's means, of the measurements during a run."""
    rows = [row for row in result.log if "eval" in row]
    steps = np.array([row["step"] for row in rows], np.float64)
    return steps, np.array([row["eval"][metric]["mean"] for row in rows], np.float64)


def steps_to(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """Where a falling figure first reaches a level, between measurements on a straight line.

    Returns:
      Steps; infinite where it never does.
    """
    reached = np.flatnonzero(values <= level)
    if not len(reached):
        return float("inf")
    here = reached[0]
    if here == 0:
        return float(steps[0])
    before, after = values[here - 1], values[here]
    share = (before - level) / (before - after)
    return float(steps[here - 1] + share * (steps[here] - steps[here - 1]))


def _blurred(evidence: Evidence) -> Judgment:
    lines, saved = [["seed", "level, RMSE of ab", "steps, blurred", "steps, plain"]], []
    for blurred, plain in evidence.pairs(BASE, changed(PLAIN)):
        curves = [watched(result) for result in (blurred, plain)]
        if any(not len(steps) for steps, _ in curves):
            raise Absent("the runs were not measured while they trained")
        level = max(values.min() for _, values in curves)
        ours, theirs = (steps_to(steps, values, level) for steps, values in curves)
        saved.append(theirs - ours)
        row = [f"{level:.2f}", f"{ours:.0f}", f"{theirs:.0f}"]
        lines.append([str(blurred.run["seed"]), *row])
    figures = [f"steps that blurring saves, by seed: {_listed(saved, 0)}"]
    return Judgment(verdicts.by_seeds(saved), figures, lines)


# --- residual encoder against hypercolumn ---------------------------------------------------------


def late_loss(log: Sequence[dict[str, Any]], by: str, end: float) -> float:
    """Mean training loss over the last quarter of a stretch.

    Args:
      log: Rows of metrics.jsonl.
      by: "step" or "seconds".
      end: Where the stretch ends.
    """
    rows = [row for row in log if "loss" in row and (1 - LATE) * end < row[by] <= end]
    return float(np.mean([row["loss"] for row in rows])) if rows else float("nan")


def _against_hypercolumn(by: str) -> Callable[[Evidence], Judgment]:
    def judged(evidence: Evidence) -> Judgment:
        lines, gains = [["seed", by, "residual encoder", "hypercolumn"]], []
        for encoder, hypercolumn in evidence.pairs(CODE, HYPERCOLUMN_CODE):
            logs = encoder.log, hypercolumn.log
            end = min(max(row[by] for row in log if "loss" in row) for log in logs)
            ours, theirs = (late_loss(log, by, end) for log in logs)
            gains.append(theirs - ours)
            row = [f"{end:.0f}", f"{ours:.4f}", f"{theirs:.4f}"]
            lines.append([str(encoder.run["seed"]), *row])
        figures = [f"loss of hypercolumn minus residual encoder, by seed: {_listed(gains, 4)}"]
        return Judgment(verdicts.by_seeds(gains), figures, lines)

    return judged


# --- memory ---------------------------------------------------------------------------------------

# The article's batches, and one more picture for the hypercolumn model than fit there.
MEMORY_BATCHES = {CODE: (1, 6), HYPERCOLUMN_CODE: (1, 2)}


def largest_batch(steps: Sequence[StepMemory], limit: int = MEMORY_LIMIT) -> int:
    """Pictures that fit, if each takes as much as the next; from steps of two batch sizes."""
    one, more = steps[0], steps[-1]
    if one.step is None or more.step is None:
        return max((step.batch_size for step in steps if step.fits), default=0)
    each = (more.step - one.step) / (more.batch_size - one.batch_size)
    return int((limit - one.weights - (one.step - each * one.batch_size)) // each)


def _memory(evidence: Evidence) -> Judgment:
    if not all(evidence.memory.get(name) for name in MEMORY_BATCHES):
        raise Absent("memory was not measured")
    encoder, hypercolumn = (evidence.memory[name] for name in MEMORY_BATCHES)
    fits = [encoder[-1].fits, not hypercolumn[-1].fits]
    most = largest_batch(encoder), largest_batch(hypercolumn)
    lines = [["network", "batch", "weights, MiB", "one step, MiB", f"fits in {MEMORY_LIMIT} MiB"]]
    for name, steps in evidence.memory.items():
        for step in steps:
            taken = "out of memory" if step.step is None else f"{step.step:.0f}"
            row = [str(step.batch_size), f"{step.weights:.0f}", taken, "yes" if step.fits else "no"]
            lines.append([name, *row])
    figures = [
        f"largest batch of {encoder[0].image_size}-pixel pictures in {MEMORY_LIMIT} MiB: "
        f"{most[0]} residual encoder, {most[1]} hypercolumn",
        f"{most[0] / max(most[1], 1):.1f} times as many",
    ]
    verdict = HELD if all(fits) else FAILED
    if encoder[0].image_size != MEMORY_SIZE:
        verdict = OPEN
    notes = METHOD[encoder[0].method], "largest batch: if each picture takes as much as the next"
    return Judgment(verdict, figures, lines, notes)


# --- intensity ------------------------------------------------------------------------------------


def _intensity(evidence: Evidence) -> Judgment:
    results = [evidence.get(name) for name in (BASE, MODERN)]
    lines = [["recipe", "its gray", "luma of the output off by", "its own gray off by"]]
    for result in results:
        off = [f"{result.values(name).mean():.2f}" for name in ("luma", "gray")]
        lines.append([result.recipe["name"], result.recipe["gray"], *off])
    worst = max(float(result.values("luma").mean()) for result in results)
    figures = [f"luma of the output against the gray given: {worst:.2f} of 255 at most, on average"]
    return Judgment(HELD if worst < CODE_VALUE else FAILED, figures, lines)


# --- changes to the residual encoder --------------------------------------------------------------


def brings_little(gains: Sequence[float]) -> str:
    """A change brings little if it is not worth `LITTLE` with any seed."""
    if len(gains) < verdicts.SEEDS:
        return OPEN
    if max(gains) <= LITTLE:
        return HELD
    return FAILED if min(gains) > LITTLE else OPEN


def _tried(evidence: Evidence) -> Judgment:
    lines, found = [["change", "PSNR over ReLU by seed, dB", "brings little"]], []
    for change in ("elu", "leaky_relu", "dropout"):
        pairs = evidence.pairs(changed(change), BASE)
        gains = [gain(ours) - gain(relu) for ours, relu in pairs]
        found.append(brings_little(gains))
        lines.append([change, _listed(gains), found[-1]])
    figures = [f"{line[0]} {line[1]} dB" for line in lines[1:]]
    return Judgment(verdicts.all_of(found), figures, lines)


def _better(ours: str, theirs: str) -> Callable[[Evidence], Judgment]:
    """By pooled PSNR over gray, seed by seed."""

    def judged(evidence: Evidence) -> Judgment:
        pairs = evidence.pairs(ours, theirs)
        gains = [gain(one) - gain(other) for one, other in pairs]
        lines = [["seed", f"{ours}, dB over gray", f"{theirs}, dB over gray", "colorfulness"]]
        for one, other in pairs:
            color = f"{one.mean('colorfulness'):.1f} and {other.mean('colorfulness'):.1f}"
            row = [f"{gain(one):.2f}", f"{gain(other):.2f}", color]
            lines.append([str(one.run["seed"]), *row])
        figures = [f"PSNR over the other by seed: {_listed(gains)} dB"]
        return Judgment(verdicts.by_seeds(gains), figures, lines)

    return judged


# --- the ceiling of the gray ----------------------------------------------------------------------


def _ceiling(evidence: Evidence) -> Judgment:
    mean, luma = evidence.get(BASE), evidence.get(MODERN)
    oracles = [result.evaluation["baselines"]["oracle"]["psnr_pooled"] for result in (mean, luma)]
    lines = [["gray", "PSNR of true chroma, pooled, dB", "mean of photographs, dB"]]
    for name, result in (("mean", mean), ("luma", luma)):
        oracle = result.evaluation["baselines"]["oracle"]
        lines.append([name, *(f"{oracle[key]['mean']:.1f}" for key in ("psnr_pooled", "psnr"))])
    figures = [f"true chroma: {lines[1][1]} dB with the mean, {lines[2][1]} dB with luma"]
    separate = oracles[0]["ci95"][1] < oracles[1]["ci95"][0]
    reverse = oracles[0]["ci95"][0] > oracles[1]["ci95"][1]
    return Judgment(HELD if separate else FAILED if reverse else OPEN, figures, lines)


# --- HSV ------------------------------------------------------------------------------------------


def _hsv(evidence: Evidence) -> Judgment:
    """The wrap is arithmetic; that it hurts is measured."""
    ours, theirs = evidence.get(BASE), evidence.get(changed(HSV))
    worse = verdicts.rmse_difference(theirs.values("ab_square"), ours.values("ab_square"))
    steps = hue.step_losses()
    figures = [
        f"one code of hue off: loss {steps['red']['hsv']:.3f} at red, "
        f"{steps['green']['hsv']:.6f} at green; in YUV {steps['red']['yuv']:.6f} at red",
        f"RMSE of ab, HSV minus YUV: {show(worse)}",
    ]
    return Judgment(verdicts.by_interval(worse), figures, hue.table())


# --- the six CNNs ---------------------------------------------------------------------------------


def _best_rates(evidence: Evidence) -> dict[str, Result]:
    """Of each CNN, the run with the lowest test loss.

    Raises:
      Absent: a net has no run.
    """
    best = {}
    for cnn in CNNS:
        runs = [evidence.results.get(developed(cnn, rate)) for rate in CNN_RATES]
        sound = [run for run in runs if run and not run.failure]
        if not sound:
            raise Absent(f"{cnn} has no finished run of its author's protocol")
        best[cnn] = min(sound, key=lambda run: run.values("loss").mean())
    return best


def _cnn_table(evidence: Evidence, best: dict[str, Result]) -> Table:
    """Every net at every rate; the best rate of a net is marked."""
    lines = [["network", "parameters", "rate", "train loss", "test loss", "test over train"]]
    for cnn in CNNS:
        for rate in sorted(CNN_RATES):
            result = evidence.results.get(developed(cnn, rate))
            if result and not result.failure:
                train, test = np.mean(result.training_loss), result.values("loss").mean()
                chosen = " *" if result is best[cnn] else ""
                row = [f"{result.about['trainable']:,}", f"{rate:g}{chosen}", f"{train:.1f}"]
                lines.append([cnn, *row, f"{test:.1f}", f"{test - train:.1f}"])
    return lines


def _each_later(evidence: Evidence) -> Judgment:
    best = _best_rates(evidence)
    steps = [
        verdicts.mean_difference(best[earlier].values("loss"), best[later].values("loss"))
        for earlier, later in zip(CNNS[:-1], CNNS[1:], strict=True)
    ]
    figures = [
        f"test loss {earlier} minus {later}: {show(step, 1)}"
        for earlier, later, step in zip(CNNS[:-1], CNNS[1:], steps, strict=True)
    ]
    verdict = verdicts.all_of(verdicts.by_interval(step) for step in steps)
    return Judgment(verdict, figures, _cnn_table(evidence, best))


def _overfits_less(evidence: Evidence) -> Judgment:
    best = _best_rates(evidence)
    five, six = best["cnn5"], best["cnn6"]
    difference = verdicts.gap_difference(
        five.values("loss") - six.values("loss"),
        np.subtract(five.training_loss, six.training_loss),
    )
    figures = [f"test minus train loss, 5 over 6: {show(difference, 1)}"]
    return Judgment(verdicts.by_interval(difference), figures)


# --- beyond 2016 ----------------------------------------------------------------------------------


def _squares(ours: str, theirs: str) -> Callable[[Evidence], Judgment]:
    """Pooled PSNR, paired by photograph; one seed."""

    def judged(evidence: Evidence) -> Judgment:
        one, other = evidence.get(ours), evidence.get(theirs)
        difference = verdicts.psnr_difference(one.values("square"), other.values("square"))
        figures = [f"PSNR of {ours} over {theirs}: {show(difference, 2, 'dB')}"]
        return Judgment(verdicts.by_interval(difference), [*figures, _colors(one, other)])

    return judged


def _more_color(ours: str, theirs: str) -> Callable[[Evidence], Judgment]:
    """Colorfulness by intervals that do not meet; PSNR beside it."""

    def judged(evidence: Evidence) -> Judgment:
        one, other = evidence.get(ours), evidence.get(theirs)
        (low, high), (floor, roof) = (r.interval("colorfulness") for r in (one, other))
        verdict = HELD if low > roof else FAILED if high < floor else OPEN
        difference = verdicts.psnr_difference(one.values("square"), other.values("square"))
        figures = [_colors(one, other), f"PSNR over it: {show(difference, 2, 'dB')}"]
        return Judgment(verdict, figures)

    return judged


def _colors(one: Result, other: Result) -> str:
    truth = one.mean("colorfulness_truth")
    return (
        f"colorfulness {one.mean('colorfulness'):.1f} against {other.mean('colorfulness'):.1f}, "
        f"truth {truth:.1f}"
    )


# --- the list -------------------------------------------------------------------------------------

CLAIMS = (
    Claim(
        "pixelwise",
        "A single 1x1 convolution over the hypercolumn collapses to gray.",
        ARTICLE,
        "pixelwise with the script's SGD and with Adam, and residual encoder, as many images, same "
        "seed; colorfulness of validation photographs",
        "of the pixelwise runs the better one by PSNR: held if it is below "
        f"{GRAYISH:.0%} of the true colorfulness and below the residual encoder, by the ends of "
        "the 95 % intervals; did not hold if above that share, unless it is worse than gray",
        _pixelwise,
    ),
    Claim(
        "blurred",
        "Blurred distances beside the plain one make training converge faster.",
        ARTICLE,
        "residual encoder with blurred_euclidean and euclidean; steps until the RMSE of ab on "
        "validation photographs reaches the level that both reach",
        BY_SEEDS,
        _blurred,
    ),
    Claim(
        "hypercolumn_iterations",
        "The residual encoder trains better than the hypercolumn model at equal iterations.",
        ARTICLE,
        "both with the script's loss, same order of photographs; mean training loss over the last "
        "quarter of the steps that both made",
        BY_SEEDS,
        _against_hypercolumn("step"),
    ),
    Claim(
        "hypercolumn_time",
        "The residual encoder trains better than the hypercolumn model at equal time.",
        ARTICLE + ", its curve",
        "the same runs; mean training loss over the last quarter of the time that both trained",
        BY_SEEDS,
        _against_hypercolumn("seconds"),
    ),
    Claim(
        "memory",
        "In 2 GB the residual encoder trains 6 images at a time, the hypercolumn model 1.",
        ARTICLE,
        "memory of one training step at the article's batch sizes, and of the hypercolumn model "
        "at 2, in a fresh process each",
        f"held if 6 fit {MEMORY_LIMIT} MiB with the residual encoder and 2 do not with the other",
        _memory,
    ),
    Claim(
        "intensity",
        "The output keeps the input's intensity.",
        ARTICLE,
        "distance between the gray given and the output's luma, saved in 8 bits, for the mean gray "
        "of 2016 and for luma",
        f"held if below {CODE_VALUE:g} code value of 255 on average for both",
        _intensity,
    ),
    Claim(
        "activations",
        "ELU, leaky ReLU and dropout bring little over ReLU.",
        ARTICLE,
        "residual encoder with one change each; pooled PSNR over gray, same seeds",
        f"held if none brings more than {LITTLE:g} dB with any of {verdicts.SEEDS} seeds; did not "
        "hold if one brings more with all of them",
        _tried,
    ),
    Claim(
        "gray",
        "With the mean as gray even true chroma does not give the picture back (34.2 dB on 200 "
        "photographs of ImageNet, by our own count); with luma it does.",
        "the author's script",
        "true chroma merged with either gray; no training is in it",
        "held if the ends of the 95 % intervals do not meet",
        _ceiling,
    ),
    Claim(
        "upsampling",
        "Half-pixel upsampling, which does not shift the color, is better than that of 2016.",
        "ours",
        "residual encoder with either; pooled PSNR over gray, same seeds",
        BY_SEEDS,
        _better(changed("half_pixel"), BASE),
    ),
    Claim(
        "formula",
        "The article's formula trains a better network than the loss in its author's script.",
        "ours: which of the two ran is not known",
        "tinyclouds2016 and tinyclouds2016_code; pooled PSNR over gray, same seeds",
        BY_SEEDS,
        _better(BASE, CODE),
    ),
    Claim(
        "hsv",
        "HSV is worse than YUV, as hue wraps.",
        ARTICLE,
        "residual encoder in either; RMSE of ab, which does not depend on the gray, paired by "
        "photograph; loss of a picture that is one code of hue off",
        BY_INTERVAL,
        _hsv,
    ),
    Claim(
        "cnn_order",
        "Of the six CNNs each later one beats the one before.",
        "their author",
        "development set, three learning rates each, the rate of the lowest test loss; paired by "
        "photograph",
        f"{BY_INTERVAL}; all five steps have to hold, and one that goes the other way decides",
        _each_later,
    ),
    Claim(
        "cnn_overfitting",
        "CNN 6 overfits less than CNN 5.",
        "their author",
        "the same runs; test loss minus train loss",
        BY_INTERVAL,
        _overfits_less,
    ),
    Claim(
        "five_taps",
        "Tapping all five pools is better than four.",
        ARTICLE + ", future work",
        "modern_five_taps and modern; pooled PSNR, paired by photograph, one seed",
        BY_INTERVAL,
        _squares("modern_five_taps", MODERN),
    ),
    Claim(
        "fine_tuning",
        "Training the trunk on gray pictures is better than leaving it frozen.",
        ARTICLE + ", future work",
        "modern and modern_frozen; pooled PSNR, paired by photograph, one seed",
        BY_INTERVAL,
        _squares(MODERN, "modern_frozen"),
    ),
    Claim(
        "adversarial",
        "An adversarial loss makes pictures more colorful.",
        ARTICLE + ", future work",
        "modern_adversarial and modern; colorfulness, one seed",
        "held or not if the 95 % intervals do not meet",
        _more_color("modern_adversarial", MODERN),
    ),
    Claim(
        "classes",
        "Classes of color, rebalanced, make pictures more colorful than a mean.",
        "Zhang et al. 2016",
        "modern_classes and modern; colorfulness, one seed",
        "held or not if the 95 % intervals do not meet",
        _more_color("modern_classes", MODERN),
    ),
)


def findings(evidence: Evidence) -> list[Finding]:
    """All claims, judged."""
    return [judge(claim, evidence) for claim in CLAIMS]
