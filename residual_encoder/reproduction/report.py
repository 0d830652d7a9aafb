"""report.html and report.json of `reproduce`: claims, systems, curves and sheets."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import html_report, plots, tables
from residual_encoder.evaluation.html_report import Figure, Section
from residual_encoder.evaluation.tables import Table
from residual_encoder.imaging import image_io
from residual_encoder.reproduction import (
    article_curve,
    claims,
    comparison_sheets,
    decisions,
    experiments,
    hue_wrap,
)
from residual_encoder.reproduction.evidence import Evidence, Finding
from residual_encoder.reproduction.experiments import (
    BASE,
    CODE,
    HYPERCOLUMN_CODE,
    PLAIN,
    Budget,
    Run,
    changed,
)
from residual_encoder.reproduction.results import Result
from residual_encoder.utils import files

PAGE, ROWS = "report.html", "report.json"
VERSIONED = ("tensorflow", "keras", "numpy")
BASELINES = {"gray": "gray", "oracle": "true chroma"}


def write(
    folder: Path, data: DataConfig, budget: Budget, runs: Sequence[Run], evidence: Evidence
) -> None:
    """Writes both files, from the runs that are finished.

    Args:
      folder: Where to; columns of the sheets are read from its `runs`.
      data: The data of training and measurement.
      budget: Extent of the reproduction.
      runs: All that the budget has.
      evidence: The finished runs and measurements.
    """
    findings = claims.findings(evidence)
    about = _about(data, budget, runs, evidence)
    shown = [run for run in runs if run.name in evidence.results and not run.data.train_limit]
    compared = [evidence.results[run.name] for run in shown if run.seed == budget.seeds[0]]
    rows = {
        **about,
        "claims": [finding.to_json() for finding in findings],
        "systems": [_row(result) for result in compared],
        "memory": {k: [dataclasses.asdict(s) for s in v] for k, v in evidence.memory.items()},
    }
    files.write_text(folder / ROWS, json.dumps(rows, indent=2) + "\n")
    sections = [
        Section("What ran", _paragraphs(about)),
        Section("Claims", table=_claims_table(findings)),
        *(_claim_section(finding, evidence) for finding in findings),
        *_systems_sections(compared, evidence),
        *_sheets(folder, data, budget, compared),
    ]
    title = f"Automatic colorization, 2016: its claims at budget {budget.name}"
    files.write_text(folder / PAGE, html_report.html(title, sections))


# --- what ran -------------------------------------------------------------------------------------


def _about(
    data: DataConfig, budget: Budget, runs: Sequence[Run], evidence: Evidence
) -> dict[str, Any]:
    found = evidence.results
    devices = sorted({r.about["device"] for r in found.values() if r.about})
    precisions = sorted({r.about["precision"] for r in found.values() if r.about})
    return {
        "budget": dataclasses.asdict(budget),
        "data": {"kind": data.kind, "name": Path(data.data_dir).name if data.data_dir else None},
        "devices": devices,
        "precisions": precisions,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in VERSIONED},
        "runs": len(runs),
        "unfinished": [run.name for run in runs if run.name not in found],
        "failures": {name: r.failure for name, r in found.items() if r.failure},
        "training_seconds": round(sum(r.about.get("seconds", 0.0) for r in found.values())),
        "made_smaller": sorted({r.recipe.name for r in runs if experiments.is_fitted(r.recipe)}),
    }


def _paragraphs(about: dict[str, Any]) -> list[str]:
    budget, data = about["budget"], about["data"]
    size = f"{budget['image_size']} pixels" if budget["image_size"] else "its recipe's size"
    batch = f"batches of {budget['batch_size']}" if budget["batch_size"] else "its recipe's batches"
    lines = [
        f"Every system saw {budget['images']:,} training pictures at {size} in {batch}, and was "
        f"measured on {budget['photographs']} validation photographs with the weights of its last "
        "step. All else is its recipe's, but that warm-up takes at most a tenth of the steps.",
        f"The six CNNs by their author's protocol: {budget['cnn_photographs']} photographs, "
        f"{budget['cnn_epochs']} epochs (his: 200), batches of {budget['cnn_batch']}.",
        f"Data: {data['kind']} {data['name'] or ''}. Machine: {', '.join(about['devices'])}; "
        f"{', '.join(about['precisions'])}. TensorFlow {about['versions']['tensorflow']}, "
        f"Keras {about['versions']['keras']}. {about['runs']} runs, "
        f"{about['training_seconds']:,} seconds of training.",
    ]
    if not budget["decisive"]:
        lines.append("This budget shows that everything runs; its figures decide nothing.")
    if about["made_smaller"]:
        names = ", ".join(about["made_smaller"])
        lines.append(f"With fewer levels, as the picture can be halved so often only: {names}.")
    if about["unfinished"]:
        lines.append(f"Not finished: {', '.join(about['unfinished'])}.")
    lines += [f"{name} broke: {reason}" for name, reason in about["failures"].items()]
    return lines


# --- claims ---------------------------------------------------------------------------------------


def _claims_table(findings: Sequence[Finding]) -> Table:
    lines = [["claim and its source", "experiment", "figures", "verdict"]]
    for finding in findings:
        claim, judgment = finding.claim, finding.judgment
        text, figures = f"{claim.text} ({claim.source})", "; ".join(judgment.figures)
        lines.append([text, claim.experiment, figures, judgment.verdict])
    return lines


def _claim_section(finding: Finding, evidence: Evidence) -> Section:
    claim, judgment = finding.claim, finding.judgment
    figures = [*_FIGURES[claim.name](evidence)] if claim.name in _FIGURES else []
    return Section(
        f"{claim.text} {judgment.verdict.capitalize()}.",
        [
            f"Source: {claim.source}. Experiment: {claim.experiment}.",
            f"Rule: {claim.rule}.",
            *judgment.figures,
            *judgment.notes,
        ],
        judgment.table,
        figures,
    )


def _of(evidence: Evidence, name: str) -> list[Result]:
    """Lists the runs of a system with all seeds, those that broke left out."""
    found = (r for r in evidence.results.values() if r.recipe["name"] == name and not r.failure)
    return sorted(found, key=lambda result: result.run["seed"])


def _article_figure(evidence: Evidence) -> Iterator[Figure]:
    names = {"residual encoder": CODE, "hypercolumns": HYPERCOLUMN_CODE}
    logs = {name: [r.log for r in _of(evidence, recipe)] for name, recipe in names.items()}
    drawing = article_curve.figure(logs)
    if drawing:
        yield Figure(drawing, article_curve.NOTE)


def _convergence_figure(evidence: Evidence) -> Iterator[Figure]:
    found = [*_of(evidence, BASE), *_of(evidence, changed(PLAIN))]
    logs = {result.name: result.log for result in found if decisions.watched(result)[0].size}
    if logs:
        drawing = plots.curve(logs, y=f"eval/{decisions.WATCHED}")
        yield Figure(drawing, "RMSE of ab on validation photographs while training")


def _hue_figure(_: Evidence) -> Iterator[Figure]:
    yield Figure(
        hue_wrap.picture(),
        "Red just below the wrap, red just above it, their mean in HSV, their mean in YUV. The "
        "network's own pictures are in the sheets below, in the column of tinyclouds2016-hsv.",
    )


_FIGURES = {
    "blurred": _convergence_figure,
    "hypercolumn_time": _article_figure,
    "hsv": _hue_figure,
}


# --- systems --------------------------------------------------------------------------------------

# Heading, metric, factor, digits.
METRICS = (
    ("AuC, %", "auc", 100, 2),
    ("rebalanced, %", "auc_rebalanced", 100, 2),
    ("PSNR pooled, dB", "psnr_pooled", 1, 2),
    ("SSIM", "ssim", 1, 4),
    ("colorfulness", "colorfulness", 1, 1),
)
HEADINGS = ["system", "parameters", "of them trained", "GFLOP", "images/s"]


def _row(result: Result) -> dict[str, Any]:
    """Returns one system's row in report.json."""
    means = {k: v for k, v in result.evaluation.items() if isinstance(v, dict) and "mean" in v}
    return {"name": result.name, **result.about, "failure": result.failure, **means}


def _systems_sections(compared: Sequence[Result], evidence: Evidence) -> Iterator[Section]:
    sound = [result for result in compared if not result.failure]
    if not sound:
        return
    truth = sound[0].mean("colorfulness_truth")
    yield Section(
        "All systems under an equal budget of images",
        [
            "GFLOP: of one pass over a picture of 224 pixels. Images/s: of training, the median "
            "of the log. PSNR is over luma gray, paired by photograph, with its 95 % interval; "
            f"each system keeps its own gray. Colorfulness of truth: {truth:.1f}.",
        ],
        _systems_table(sound),
    )
    yield Section("Training losses, system by system", figures=list(_loss_curves(sound)))


def _systems_table(sound: Sequence[Result]) -> Table:
    lines = [[*HEADINGS, *(metric[0] for metric in METRICS), "PSNR over gray, dB"]]
    for result in sound:
        about = result.about
        every = about["trainable"] + about["frozen"]
        size = [f"{every:,}", f"{about['trainable']:,}", f"{about['forward'] / 1e9:.1f}"]
        speed = about["images_per_second"]
        gain = tables.interval(result.evaluation["psnr_pooled_gain"], 1, 2)
        cells = _cells(result.evaluation)
        lines.append([result.name, *size, f"{speed:.0f}" if speed else "", *cells, gain])
    return lines + list(_baseline_lines(sound))


def _cells(block: dict[str, Any]) -> list[str]:
    return [f"{factor * block[key]['mean']:.{digits}f}" for _, key, factor, digits in METRICS]


def _baseline_lines(sound: Sequence[Result]) -> Iterator[list[str]]:
    """Yields rows of gray and true chroma, for each way to take gray and chroma."""
    ways = {(r.recipe["gray"], r.recipe["color_space"]): r for r in reversed(sound)}
    for (gray, space), result in ways.items():
        for key, name in BASELINES.items():
            cells = _cells(result.evaluation["baselines"][key])
            heading = f"{name}: {gray}" + (f", {space}" if key == "oracle" else "")
            yield [heading, *[""] * (len(HEADINGS) - 1), *cells, ""]


def _loss_curves(sound: Sequence[Result]) -> Iterator[Figure]:
    """Draws a chart for each loss; losses of different kinds do not compare."""
    groups: dict[str, dict[str, Any]] = {}
    for result in sound:
        against = " and a discriminator" if result.recipe.get("adversarial") else ""
        groups.setdefault(result.recipe["loss"] + against, {})[result.name] = result.log
    for loss, logs in groups.items():
        yield Figure(plots.curve(logs), f"{loss} by step")


# --- sheets ---------------------------------------------------------------------------------------

SHEETS = {
    comparison_sheets.VALIDATION: "The same validation photographs, colored by every system",
    comparison_sheets.SHOWCASE: "scikit-image's photographs and rendered scenes, "
    "colored by every system",
}


def _sheets(
    folder: Path, data: DataConfig, budget: Budget, compared: Sequence[Result]
) -> Iterator[Section]:
    """Yields both sheets, and writes them as files next to the report."""
    for name, pictures in comparison_sheets.sources(data, budget.photographs).items():
        places = {r.name: folder / "runs" / r.name / name for r in compared}
        colored = {k: image_io.read(place).rgb for k, place in places.items() if place.is_file()}
        drawing = comparison_sheets.sheet(pictures, colored)
        with files.replacing(folder / name) as temporary:
            temporary.write_bytes(drawing)
        yield Section(SHEETS[name], figures=[Figure(drawing, SHEETS[name])])
