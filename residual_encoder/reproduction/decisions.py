"""Judges each claim by a pure function of finished runs; the rules are in `claims`.

A run that is missing, or broke, leaves the claims that need it undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from residual_encoder.evaluation.tables import Table
from residual_encoder.reproduction import hue_wrap, paired_statistics
from residual_encoder.reproduction.evidence import Evidence, Judgment, MissingRun
from residual_encoder.reproduction.experiments import (
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
)
from residual_encoder.reproduction.paired_statistics import FAILED, HELD, OPEN, show
from residual_encoder.reproduction.results import Result
from residual_encoder.reproduction.step_memory import METHOD, StepMemory

GRAYISH = 0.25  # below a quarter of the true colorfulness a picture passes for gray
LITTLE = 0.1  # dB: what a change must bring to be worth its name
CODE_VALUE = 1.0  # of 255: rounding to 8 bits alone costs up to half of one
LATE = 0.25  # the last quarter of a stretch of training is its end
MEMORY_LIMIT, MEMORY_SIZE = 2048, 224  # MiB of the article's graphics card, pixels of its pictures


def _listed(values: Iterable[float], digits: int = 2) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


# --- pixelwise ------------------------------------------------------------------------------------


def pixelwise(evidence: Evidence) -> Judgment:
    """Judges by colorfulness, of the pixelwise run that trained better."""
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
        verdict = FAILED  # one that is worse than gray has not trained, and shows nothing
    figures = [
        f"colorfulness {_with_interval(result, 'colorfulness', 1)} {result.name}, "
        f"{gain(result):.2f} dB over gray"
        for result in (*tried, encoder)
    ]
    return Judgment(verdict, [*figures, f"{pixelwise.mean('colorfulness_truth'):.1f} truth"])


def _with_interval(result: Result, metric: str, digits: int) -> str:
    return show((result.mean(metric), *result.interval(metric)), digits)


def gain(result: Result) -> float:
    """Returns pooled PSNR over gray, dB."""
    return result.mean("psnr_pooled_gain")


# --- blurred against plain ------------------------------------------------------------------------

WATCHED = "rmse_ab"  # of the validation photographs; neither loss is it


def watched(result: Result, metric: str = WATCHED) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and a metric's means, of the measurements during a run."""
    rows = [row for row in result.log if "eval" in row]
    steps = np.array([row["step"] for row in rows], np.float64)
    return steps, np.array([row["eval"][metric]["mean"] for row in rows], np.float64)


def steps_to(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """Finds where a falling figure first reaches a level, interpolating linearly.

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


def blurred(evidence: Evidence) -> Judgment:
    """Judges by the steps until both losses reach one level."""
    lines, saved = [["seed", "level, RMSE of ab", "steps, blurred", "steps, plain"]], []
    for blurred, plain in evidence.pairs(BASE, changed(PLAIN)):
        curves = [watched(result) for result in (blurred, plain)]
        if any(not len(steps) for steps, _ in curves):
            raise MissingRun("the runs were not measured while they trained")
        level = max(values.min() for _, values in curves)
        system, reference = (steps_to(steps, values, level) for steps, values in curves)
        saved.append(reference - system)
        row = [f"{level:.2f}", f"{system:.0f}", f"{reference:.0f}"]
        lines.append([str(blurred.run["seed"]), *row])
    figures = [f"steps that blurring saves, by seed: {_listed(saved, 0)}"]
    return Judgment(paired_statistics.by_seeds(saved), figures, lines)


# --- residual encoder against hypercolumn ---------------------------------------------------------


def late_loss(log: Sequence[dict[str, Any]], by: str, end: float) -> float:
    """Averages training loss over the last quarter of a stretch.

    Args:
      log: Rows of metrics.jsonl.
      by: "step" or "seconds".
      end: Where the stretch ends.
    """
    rows = [row for row in log if "loss" in row and (1 - LATE) * end < row[by] <= end]
    return float(np.mean([row["loss"] for row in rows])) if rows else float("nan")


def against_hypercolumn(by: str) -> Callable[[Evidence], Judgment]:
    """Judges by late training loss, at equal "step" or "seconds", seed by seed."""

    def judged(evidence: Evidence) -> Judgment:
        lines, gains = [["seed", by, "residual encoder", "hypercolumn"]], []
        for encoder, hypercolumn in evidence.pairs(CODE, HYPERCOLUMN_CODE):
            logs = encoder.log, hypercolumn.log
            end = min(max(row[by] for row in log if "loss" in row) for log in logs)
            system, reference = (late_loss(log, by, end) for log in logs)
            gains.append(reference - system)
            row = [f"{end:.0f}", f"{system:.4f}", f"{reference:.4f}"]
            lines.append([str(encoder.run["seed"]), *row])
        figures = [f"loss of hypercolumn minus residual encoder, by seed: {_listed(gains, 4)}"]
        return Judgment(paired_statistics.by_seeds(gains), figures, lines)

    return judged


# --- memory ---------------------------------------------------------------------------------------

# The article's batches, and one more picture for the hypercolumn model than fit there.
MEMORY_BATCHES = {CODE: (1, 6), HYPERCOLUMN_CODE: (1, 2)}


def largest_batch(steps: Sequence[StepMemory], limit: int = MEMORY_LIMIT) -> int:
    """Estimates the largest batch that fits, from steps of two batch sizes."""
    one, more = steps[0], steps[-1]
    if one.step is None or more.step is None:
        return max((step.batch_size for step in steps if step.fits), default=0)
    each = (more.step - one.step) / (more.batch_size - one.batch_size)
    if each <= 0:  # too small for the measurement, as with the pictures of 32 pixels of "smoke"
        return max((step.batch_size for step in steps if step.fits), default=0)
    return int((limit - one.weights - (one.step - each * one.batch_size)) // each)


def memory(evidence: Evidence) -> Judgment:
    """Judges by the batches that fit."""
    if not all(evidence.memory.get(name) for name in MEMORY_BATCHES):
        raise MissingRun("memory was not measured")
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


def intensity(evidence: Evidence) -> Judgment:
    """Judges by the luma of outputs against the gray given."""
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
    """Judges that a change brings little if it is not worth `LITTLE` with any seed."""
    if len(gains) < paired_statistics.SEEDS:
        return OPEN
    if max(gains) <= LITTLE:
        return HELD
    return FAILED if min(gains) > LITTLE else OPEN


def activation_variants(evidence: Evidence) -> Judgment:
    """Judges by the gain of each change, with every seed."""
    lines, found = [["change", "PSNR over ReLU by seed, dB", "brings little"]], []
    for change in ("elu", "leaky_relu", "dropout"):
        pairs = evidence.pairs(changed(change), BASE)
        gains = [gain(system) - gain(relu) for system, relu in pairs]
        found.append(brings_little(gains))
        lines.append([change, _listed(gains), found[-1]])
    figures = [f"{line[0]} {line[1]} dB" for line in lines[1:]]
    return Judgment(paired_statistics.all_of(found), figures, lines)


def paired_seeds(system: str, reference: str) -> Callable[[Evidence], Judgment]:
    """Judges by pooled PSNR over gray, seed by seed."""

    def judged(evidence: Evidence) -> Judgment:
        pairs = evidence.pairs(system, reference)
        gains = [gain(one) - gain(other) for one, other in pairs]
        lines = [["seed", f"{system}, dB over gray", f"{reference}, dB over gray", "colorfulness"]]
        for one, other in pairs:
            color = f"{one.mean('colorfulness'):.1f} and {other.mean('colorfulness'):.1f}"
            row = [f"{gain(one):.2f}", f"{gain(other):.2f}", color]
            lines.append([str(one.run["seed"]), *row])
        figures = [f"PSNR over the other by seed: {_listed(gains)} dB"]
        return Judgment(paired_statistics.by_seeds(gains), figures, lines)

    return judged


# --- the ceiling of the gray ----------------------------------------------------------------------


def gray_ceiling(evidence: Evidence) -> Judgment:
    """Judges by the true chroma, merged with either gray."""
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


def hsv(evidence: Evidence) -> Judgment:
    """Judges by RMSE of ab; that hue wraps is arithmetic, that it hurts is measured."""
    system, reference = evidence.get(BASE), evidence.get(changed(HSV))
    worse = paired_statistics.rmse_difference(
        reference.values("ab_square"), system.values("ab_square")
    )
    steps = hue_wrap.step_losses()
    figures = [
        f"one code of hue off: loss {steps['red']['hsv']:.3f} at red, "
        f"{steps['green']['hsv']:.6f} at green; in YUV {steps['red']['yuv']:.6f} at red",
        f"RMSE of ab, HSV minus YUV: {show(worse)}",
    ]
    return Judgment(paired_statistics.by_interval(worse), figures, hue_wrap.table())


# --- the six CNNs ---------------------------------------------------------------------------------


def _best_rates(evidence: Evidence) -> dict[str, Result]:
    """Returns for each CNN the run with the lowest test loss.

    Raises:
      MissingRun: a net has no run.
    """
    best = {}
    for cnn in CNNS:
        runs = [evidence.results.get(developed(cnn, rate)) for rate in CNN_RATES]
        sound = [run for run in runs if run and not run.failure]
        if not sound:
            raise MissingRun(f"{cnn} has no finished run of its author's protocol")
        best[cnn] = min(sound, key=lambda run: run.values("loss").mean())
    return best


def _cnn_table(evidence: Evidence, best: dict[str, Result]) -> Table:
    """Lists every net at every rate; the best rate of a net is marked."""
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


def each_later(evidence: Evidence) -> Judgment:
    """Judges by test loss, each net at its best rate, paired by photograph."""
    best = _best_rates(evidence)
    steps = [
        paired_statistics.mean_difference(best[earlier].values("loss"), best[later].values("loss"))
        for earlier, later in zip(CNNS[:-1], CNNS[1:], strict=True)
    ]
    figures = [
        f"test loss {earlier} minus {later}: {show(step, 1)}"
        for earlier, later, step in zip(CNNS[:-1], CNNS[1:], steps, strict=True)
    ]
    verdict = paired_statistics.all_of(paired_statistics.by_interval(step) for step in steps)
    return Judgment(verdict, figures, _cnn_table(evidence, best))


def overfits_less(evidence: Evidence) -> Judgment:
    """Judges by test minus train loss, each net at its best rate."""
    best = _best_rates(evidence)
    five, six = best["cnn5"], best["cnn6"]
    difference = paired_statistics.gap_difference(
        five.values("loss") - six.values("loss"),
        np.subtract(five.training_loss, six.training_loss),
    )
    figures = [f"test minus train loss, 5 over 6: {show(difference, 1)}"]
    return Judgment(paired_statistics.by_interval(difference), figures)


# --- beyond 2016 ----------------------------------------------------------------------------------


def paired_psnr(system: str, reference: str) -> Callable[[Evidence], Judgment]:
    """Judges by pooled PSNR, paired by photograph; one seed."""

    def judged(evidence: Evidence) -> Judgment:
        one, other = evidence.get(system), evidence.get(reference)
        difference = paired_statistics.psnr_difference(one.values("square"), other.values("square"))
        figures = [f"PSNR of {system} over {reference}: {show(difference, 2, 'dB')}"]
        return Judgment(paired_statistics.by_interval(difference), [*figures, _colors(one, other)])

    return judged


def colorfulness_gain(system: str, reference: str) -> Callable[[Evidence], Judgment]:
    """Judges by intervals of colorfulness that do not meet; reports PSNR as well."""

    def judged(evidence: Evidence) -> Judgment:
        one, other = evidence.get(system), evidence.get(reference)
        (low, high), (floor, roof) = (r.interval("colorfulness") for r in (one, other))
        verdict = HELD if low > roof else FAILED if high < floor else OPEN
        difference = paired_statistics.psnr_difference(one.values("square"), other.values("square"))
        figures = [_colors(one, other), f"PSNR over it: {show(difference, 2, 'dB')}"]
        return Judgment(verdict, figures)

    return judged


def _colors(one: Result, other: Result) -> str:
    truth = one.mean("colorfulness_truth")
    return (
        f"colorfulness {one.mean('colorfulness'):.1f} against {other.mean('colorfulness'):.1f}, "
        f"truth {truth:.1f}"
    )
