"""How close colorized photographs come to the true ones: field metrics, baselines, intervals.

A picture is measured as it would be saved: gray and chroma merged, clipped, rounded to 8 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from residual_encoder.imaging import colorspace
from residual_encoder.imaging.ab_classes import smoothed_prior
from residual_encoder.imaging.ab_quantization import (
    HALF_GRID,
    ab_cell,
    centers,
    gamut_cells,
)
from residual_encoder.imaging.colorspace import ColorSpace, Truth
from residual_encoder.utils.typing import Tensor

THRESHOLDS = 150  # Zhang, Isola and Efros 2016, section 3.1: ab distances 0..150
DISTANCE_SLACK = 1e-3  # float32 noise of Lab, far below one threshold
PSNR_CAP = 100.0  # dB for identical pictures, whose PSNR is infinite; customary
SSIM_WINDOW = 11  # Wang et al. 2004, and the default of tf.image.ssim
RESAMPLES = 2000
INTERVAL = (2.5, 97.5)  # percentiles of the bootstrap

PRIOR_NOTE = (
    "weights 1 / p by the pixel's true ab cell (Zhang et al. 2016, Eq. 4, lambda 0), mean 1 under "
    "p; p: ab histogram of the evaluated photographs themselves on the in-gamut cells of 10, "
    "smoothed by a Gaussian of sigma 5; held fixed over the bootstrap"
)
PROTOCOL = {
    "picture": "gray and chroma merged, clipped, rounded to 8 bits; all metrics are of this",
    "gray": "baselines.gray is the photograph's luma (BT.601), rounded to 8 bits, whatever gray "
    "the model's recipe takes",
    "interval": f"95 %, percentile bootstrap over photographs, {RESAMPLES} resamples",
    "auc": "share of pixels with ab distance <= t, t = 0..150, trapezoid rule / 150",
    "auc_points": "the same curve, plain mean of its 151 values",
    "psnr": f"dB, 8-bit RGB, mean over photographs, each at most {PSNR_CAP:g}, which is what gray "
    "scores on photographs that are gray themselves: to compare with gray take psnr_pooled",
    "psnr_pooled": f"dB, 8-bit RGB, of the mean squared error of all, at most {PSNR_CAP:g}",
    "psnr_pooled_gain": "psnr_pooled minus that of baselines.gray (luma), paired by photograph",
    "auc_gain": "auc minus that of baselines.gray (luma), paired by photograph",
    "ssim": "Wang et al. 2004: RGB, Gaussian 11 x 11 of sigma 1.5, no padding (tf.image.ssim)",
    "rmse_ab": "Lab units, root of the mean square over all pixels and the two channels",
    "delta_e00": "CIEDE2000, mean over pixels (skimage.color.deltaE_ciede2000)",
    "colorfulness": "Hasler and Suesstrunk 2003, mean over photographs",
}

Loss = Callable[[Truth, Tensor], Tensor]  # of the truth and chroma [B, H, W, 2]: mean, a scalar
Rows = dict[str, np.ndarray]  # one float64 row (or one number) a photograph


class PictureMeasure(Protocol):
    """Describes a further measure of the same pictures; `recognition.Recognizer` fits."""

    def add(self, system: str, rgb_u8: np.ndarray, names: Sequence[bytes]) -> None:
        """Takes in pictures of a system: uint8 [B, H, W, 3], with the photographs' names."""

    def summary(self, system: str) -> dict[str, dict[str, Any]]:
        """Returns the metrics of all pictures of a system, by name."""


# --- single numbers -------------------------------------------------------------------------------


def quantize(rgb: Tensor) -> Tensor:
    """Rounds RGB in [0, 1] to uint8, as when a picture is saved."""
    return tf.cast(tf.round(tf.clip_by_value(rgb, 0.0, 1.0) * 255), tf.uint8)


def psnr(mean_square: Any) -> np.ndarray:
    """Converts mean squared errors of 8-bit code values (any shape) to dB, at most `PSNR_CAP`."""
    floor = 255.0**2 / 10 ** (PSNR_CAP / 10)
    return 10 * np.log10(255.0**2 / np.maximum(mean_square, floor))


def colorfulness(rgb_u8: Tensor) -> Tensor:
    """Measures colorfulness (Hasler and Suesstrunk 2003): [B, H, W, 3] uint8 -> [B] float64."""
    red, green, blue = tf.unstack(tf.cast(rgb_u8, tf.float64), axis=-1)
    opponent = tf.stack([red - green, (red + green) / 2 - blue], axis=-1)
    mean, variance = tf.nn.moments(opponent, axes=[1, 2])
    spread = tf.sqrt(tf.reduce_sum(variance, axis=-1))
    return spread + 0.3 * tf.sqrt(tf.reduce_sum(mean**2, axis=-1))


def rebalancing_weights(counts: np.ndarray) -> np.ndarray:
    """Weighs pixels by the cell of their true color: 1 / smoothed prior, mean 1 under the prior.

    Args:
      counts: [cells] pixels in each cell of the whole ab grid.

    Returns:
      [cells] float64; 0 where the smoothed prior is 0 and so no pixel lies.
    """
    # A color outside the sampled shadow by a hair keeps its own cell.
    cells = np.union1d(gamut_cells(), np.flatnonzero(counts))
    prior = smoothed_prior(centers(cells), counts[cells])
    seen = prior > 0
    weights = np.zeros(counts.shape)
    weights[cells[seen]] = 1 / (prior[seen] * seen.sum())
    return weights


# --- rows: sums over one photograph ---------------------------------------------------------------


def _sums_by_cell(values: Tensor, cell: Tensor) -> Tensor:
    """Sums [B, H, W] int64 within the cells of each photograph: [B, cells] int64."""
    photographs, cells = tf.shape(cell)[0], (2 * HALF_GRID + 1) ** 2
    segment = cell + cells * tf.range(photographs)[:, None, None]
    sums = tf.math.unsorted_segment_sum(values, segment, photographs * cells)
    return tf.reshape(sums, [photographs, cells])


@tf.function(reduce_retracing=True)
def _measure(output: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Measures uint8 [B, H, W, 3] against the same of the truth; all results have B rows."""
    difference = tf.cast(output, tf.float64) - tf.cast(truth, tf.float64)
    lab = [colorspace.rgb_to_lab(tf.cast(rgb, tf.float32) / 255) for rgb in (output, truth)]
    ab_square = tf.reduce_sum((lab[0] - lab[1])[..., 1:] ** 2, axis=-1)
    threshold = tf.maximum(tf.math.ceil(tf.sqrt(ab_square) - DISTANCE_SLACK), 0.0)
    first = tf.cast(threshold, tf.int64)  # the smallest threshold that takes the pixel in
    # Trapezoid rule over the step curve of one pixel, in units of 1/300 so that sums are exact.
    area = tf.clip_by_value(2 * THRESHOLDS + 1 - 2 * first, 0, 2 * THRESHOLDS)
    points = tf.maximum(THRESHOLDS + 1 - first, 0)
    cell = ab_cell(lab[1][..., 1:])
    return {
        "square": tf.reduce_mean(difference**2, axis=[1, 2, 3]),
        "ssim": tf.image.ssim(output, truth, max_val=255),
        "ab_square": tf.reduce_mean(tf.cast(ab_square, tf.float64), axis=[1, 2]) / 2,
        "auc": tf.reduce_mean(tf.cast(area, tf.float64), axis=[1, 2]) / (2 * THRESHOLDS),
        "auc_points": tf.reduce_mean(tf.cast(points, tf.float64), axis=[1, 2]) / (THRESHOLDS + 1),
        "colorfulness": colorfulness(output),
        "colorfulness_truth": colorfulness(truth),
        "area_by_cell": _sums_by_cell(area, cell),
        "pixels_by_cell": _sums_by_cell(tf.ones_like(area), cell),
        "lab": lab[0],
        "lab_truth": lab[1],
    }


def measure(output: Tensor, truth: Tensor) -> Rows:
    """Computes every per-photograph number of a batch.

    Args:
      output: [B, H, W, 3] uint8, what the colorizer made.
      truth: [B, H, W, 3] uint8, what the photograph is.

    Returns:
      Arrays of leading size B: means over the picture's pixels, and sums by cell of the true color.

    Raises:
      ValueError: the two differ in shape, or are too small for SSIM.
    """
    from skimage.color import deltaE_ciede2000

    if output.shape != truth.shape or min(truth.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(
            f"measure() takes two [B, H, W, 3] of one shape, {SSIM_WINDOW} pixels or more a side. "
            f"Received {tuple(output.shape)} and {tuple(truth.shape)}."
        )
    rows = {name: value.numpy() for name, value in _measure(output, truth).items()}
    distance = deltaE_ciede2000(rows.pop("lab_truth"), rows.pop("lab"))
    rows["delta_e00"] = distance.mean(axis=(1, 2), dtype=np.float64)
    return rows


# --- statistics of many photographs ---------------------------------------------------------------

# Each takes the means over (resampled) photographs of the rows, any shape, and gives the metric.
STATISTICS: dict[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = {
    "auc": lambda mean: mean["auc"],
    "auc_points": lambda mean: mean["auc_points"],
    "auc_rebalanced": lambda mean: mean["weighted_area"] / mean["weight"],
    "psnr": lambda mean: mean["psnr"],
    "psnr_pooled": lambda mean: psnr(mean["square"]),
    "ssim": lambda mean: mean["ssim"],
    "rmse_ab": lambda mean: np.sqrt(mean["ab_square"]),
    "delta_e00": lambda mean: mean["delta_e00"],
    "colorfulness": lambda mean: mean["colorfulness"],
    "colorfulness_truth": lambda mean: mean["colorfulness_truth"],
    "psnr_pooled_gain": lambda mean: psnr(mean["square"]) - psnr(mean["gray_square"]),
    "auc_gain": lambda mean: mean["auc"] - mean["gray_auc"],
}


def resampled_means(rows: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Resamples the means of per-photograph rows. [n, columns] -> [resamples, columns] float64.

    All columns see the same resamples, so differences between them are paired.
    """
    n = len(rows)
    random = np.random.default_rng(seed)
    block = max(1, 2_000_000 // n)  # bounds the memory of the counts to 16 MB
    means = []
    for start in range(0, resamples, block):
        drawn = min(block, resamples - start)
        picked = random.integers(n, size=(drawn, n)) + n * np.arange(drawn)[:, None]
        counts = np.bincount(picked.ravel(), minlength=drawn * n).reshape(drawn, n)
        means.append(counts @ rows / n)
    return np.concatenate(means)


def summarize(rows: Rows, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Gives every metric its mean and 95 % interval, from rows of per-photograph numbers."""
    names = sorted(rows)
    table = np.stack([np.asarray(rows[name], np.float64) for name in names], axis=-1)
    point = dict(zip(names, table.mean(axis=0), strict=True))
    boot = dict(zip(names, resampled_means(table, seed).T, strict=True))
    summary = {}
    for name, statistic in STATISTICS.items():
        low, high = np.percentile(statistic(boot), INTERVAL)
        summary[name] = {"mean": float(statistic(point)), "ci95": [float(low), float(high)]}
    return summary


def _finish(rows: Rows, gray: Rows, weights: np.ndarray) -> Rows:
    """Adds what needs all photographs or the gray baseline; drops the cells."""
    numbers = {name: value for name, value in rows.items() if value.ndim == 1}
    return numbers | {
        "psnr": psnr(rows["square"]),
        "weighted_area": rows["area_by_cell"] @ weights / (2 * THRESHOLDS),
        "weight": rows["pixels_by_cell"] @ weights,
        "gray_square": gray["square"],
        "gray_auc": gray["auc"],
    }


# --- evaluation -----------------------------------------------------------------------------------


def _predicted(predict: Callable[[Tensor], Tensor], gray: Tensor) -> Tensor:
    chroma = tf.convert_to_tensor(predict(gray))
    wanted = (*gray.shape[:3], 2)
    if tuple(chroma.shape) != wanted:
        raise ValueError(f"predict gave chroma of shape {tuple(chroma.shape)}, expected {wanted}")
    if not np.isfinite(chroma.numpy()).all():
        raise ValueError("predict gave chroma that is not finite: the model is broken")
    return chroma


def _stack(parts: list[Rows]) -> Rows:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _outputs(truth: Truth, chroma: Tensor, space: ColorSpace) -> dict[str, Tensor]:
    """Returns what the model and the two baselines make of photographs, uint8 [B, H, W, 3] each."""
    return {
        "model": quantize(space.merge(truth.gray, chroma)),
        "gray": quantize(tf.repeat(colorspace.luma_gray(truth.rgb), 3, axis=-1)),
        "oracle": quantize(space.merge(truth.gray, truth.chroma)),
    }


def evaluate(
    predict: Callable[[Tensor], Tensor],
    batches: Iterable[Any],
    *,
    space: ColorSpace,
    gray: str,
    seed: int = 0,
    further: PictureMeasure | None = None,
    losses: Mapping[str, Loss] | None = None,
) -> dict[str, Any]:
    """Measures a colorizer and the two baselines on the same photographs.

    The baselines are `gray` (the photograph's luma, whatever gray the recipe takes, so that gains
    of different recipes compare) and `oracle` (the true chroma merged with the recipe's gray: the
    best that any chroma of this recipe can do).

    Args:
      predict: gray [B, H, W, 1] float32 in [0, 1] -> chroma [B, H, W, 2] in [0, 1].
      batches: Batches with a field `rgb`, uint8 [B, H, W, 3], all of one H and W.
      space: The color space of the chroma.
      gray: A key of `colorspace.GRAYS`: what the model sees.
      seed: Of the bootstrap.
      further: Measures the same pictures in another way; its metrics join the others. It also
        measures the photographs themselves, as a third baseline, and the batches need a field
        `name`, bytes [B].
      losses: By name, of the chroma before it is merged and rounded; their means over the
        photographs join the model's metrics as "loss_NAME", {"mean"} without an interval.

    Returns:
      What goes into JSON: `n`; each metric as {"mean", "ci95": [low, high]}; the same under
      baselines.gray and baselines.oracle, with `further` also under baselines.truth; `prior` and
      `protocol` in words.

    Raises:
      ValueError: no photograph came, or `predict` gave another shape or numbers not finite.
    """
    parts: dict[str, list[Rows]] = defaultdict(list)
    loss_sums: dict[str, float] = defaultdict(float)
    for batch in batches:
        photographs = tf.convert_to_tensor(batch.rgb)
        truth = colorspace.split(photographs, space, gray)
        chroma = _predicted(predict, truth.gray)
        for name, loss in (losses or {}).items():
            loss_sums[name] += len(photographs) * float(loss(truth, chroma))
        outputs = _outputs(truth, chroma, space) | ({"truth": photographs} if further else {})
        for name, output in outputs.items():
            parts[name].append(measure(output, photographs))
            if further:
                further.add(name, output.numpy(), list(np.asarray(batch.name)))
    if not parts:
        raise ValueError("no photograph to evaluate: the data or its validation split is empty")
    rows = {name: _stack(part) for name, part in parts.items()}
    weights = rebalancing_weights(rows["model"]["pixels_by_cell"].sum(axis=0))
    report = {name: _block(part, rows["gray"], weights, seed) for name, part in rows.items()}
    if further:
        report = {name: block | further.summary(name) for name, block in report.items()}
    model = report.pop("model")
    model |= {f"loss_{name}": {"mean": x / model["n"]} for name, x in loss_sums.items()}
    return model | {"prior": PRIOR_NOTE, "protocol": dict(PROTOCOL), "baselines": report}


def _block(rows: Rows, gray: Rows, weights: np.ndarray, seed: int) -> dict[str, Any]:
    return {"n": len(rows["square"]), **summarize(_finish(rows, gray, weights), seed)}
