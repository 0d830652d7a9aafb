"""The author's released model, rebuilt from its decoder and VGG16, on the article's own pictures.

The released file is for non-commercial use and not part of this project. A user gives the decoder's
arrays as an .npz file, `<layer>/filter` of the convolutions and `<layer>_bn/{beta, gamma, mean,
variance}` of the batch norms, and the article's validation strips, gray | published output | truth.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from residual_encoder import models
from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.record_stats import RecordStats
from residual_encoder.evaluation import image_grids, metrics
from residual_encoder.evaluation.tables import Table
from residual_encoder.imaging import colorspace, image_io
from residual_encoder.models import weights
from residual_encoder.recipes import RECIPES
from residual_encoder.utils import files

RECIPE = RECIPES["tinyclouds2016"]
# What the released graph calls a part of a layer, and what Keras calls it.
PARTS = {
    "filter": "kernel",
    "beta": "beta",
    "gamma": "gamma",
    "mean": "moving_mean",
    "variance": "moving_variance",
}
PANELS = 3  # of a strip: gray, output of the 2016 model, truth
STRIPS = (".jpg", ".png")
REPORT, WEIGHTS, SHEET = "released.json", "released.weights.h5", "sheet.png"
TAP_BATCH = 10  # photographs at a time; changes speed and memory only


@dataclass(frozen=True)
class ReleasedConfig:
    """Configures what to rebuild the released model from, and what to run it on.

    Attributes:
      decoder: The .npz file with the decoder's arrays.
      vgg16_weights: "imagenet" or the path of a Keras VGG16 file.
      strips: Folder of the article's strips.
      output: Folder for the report, the model's weights and the strips with its output; made if
        need be. Files of an earlier run are replaced. Keep it out of version control.
      data: Photographs for the statistics of the taps; None leaves these out.
    """

    decoder: str
    vgg16_weights: str
    strips: str
    output: str
    data: DataConfig | None = None

    def __post_init__(self) -> None:
        """Checks that the trunk has weights.

        Raises:
          ValueError: `vgg16_weights` is "none".
        """
        if self.vgg16_weights == "none":
            raise ValueError(
                'The released model needs VGG16 as trained on ImageNet: vgg16_weights is "none"; '
                'pass "imagenet" or a Keras VGG16 file.'
            )


class Strip(NamedTuple):
    """Holds one of the article's strips; uint8 [S, S, 3] each."""

    name: str
    gray: np.ndarray
    published: np.ndarray
    truth: np.ndarray


def measure_released(config: ReleasedConfig) -> dict[str, Any]:
    """Runs the released model on the article's strips and measures it and the published outputs.

    Returns:
      {"pictures": figures of gray, published and released; "correlation": of U and of V with the
      published outputs, by picture; "taps": with `data`, correlation of the taps' means and
      deviations over the photographs with the released norms}. Also written to the output folder
      as released.json, with a strip gray | published | released | truth for each picture, all on
      sheet.png, and the model as released.weights.h5, which tools/evaluate.py measures.

    Raises:
      FileNotFoundError: decoder, weights or strips are missing.
      ValueError: a file does not fit.
      OSError: the output cannot be written.
    """
    strips = read_strips(config.strips)
    network = released_network(config.decoder, config.vgg16_weights)
    chroma = [np.asarray(network(_gray(strip.gray)[None]))[0] for strip in strips]
    colored = [_merged(strip.gray, uv) for strip, uv in zip(strips, chroma, strict=True)]
    report: dict[str, Any] = {
        "pictures": _figures(strips, colored),
        "correlation": {
            strip.name: correlation(strip, uv) for strip, uv in zip(strips, chroma, strict=True)
        },
    }
    if config.data:
        report["taps"] = tap_correlations(network, config.data)
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    _write_strips(folder, strips, colored)
    weights.save_weights(network, folder / WEIGHTS, RECIPE.to_json())
    files.write_text(folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return report


def tables_of(report: dict[str, Any]) -> list[Table]:
    """Puts a report into tables: figures, correlation by picture and, where measured, taps."""
    figures: Table = [["", "AuC, %", "PSNR mean, dB", "colorfulness of truth, %"]]
    for name, row in report["pictures"].items():
        cells = (100 * row["auc"], row["psnr"], 100 * row["colorfulness_of_truth"])
        figures.append([name, *(f"{cell:.2f}" for cell in cells)])
    pictures: Table = [["correlation with the published output", "U", "V"]]
    for name, pair in report["correlation"].items():
        pictures.append([name, *("" if r is None else f"{r:.3f}" for r in pair.values())])
    taps: Table = [["correlation with the norms", *(f"pool{k}" for k in range(1, 5))]]
    for name, values in report.get("taps", {}).items():
        taps.append([name, *(f"{value:.4f}" for value in values)])
    return [table for table in (figures, pictures, taps) if len(table) > 1]


# --- the model ------------------------------------------------------------------------------------


def released_network(decoder: str, vgg16_weights: str) -> keras.Model:
    """Builds the 2016 network with the released decoder: mean gray [B, H, W, 1] -> UV [B, H, W, 2].

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: the decoder's arrays are not those of the released model.
    """
    arrays = read_decoder(decoder)
    network = models.build(RECIPE.network, vgg16_weights=vgg16_weights)
    own = [variable for variable in network.weights if not variable.path.startswith("block")]
    weights.assign(own, arrays, decoder)
    return network


def read_decoder(path: str) -> dict[str, np.ndarray]:
    """Reads the decoder's arrays by the names of this project's variables.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no .npz file, or has other names.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no {path}. Give the decoder of the released colorize.tfmodel as an .npz "
            "file; docs/reproduction.md lists its arrays."
        )
    try:
        with np.load(path, allow_pickle=False) as released:
            names = [key.split("/") for key in released.files]
            return {f"{layer}/{PARTS[part]}": released[f"{layer}/{part}"] for layer, part in names}
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not the released decoder ({error}). Wanted an .npz file with the arrays "
            "that docs/reproduction.md lists."
        ) from error


def _gray(rgb_u8: np.ndarray) -> np.ndarray:
    """Returns a gray panel as the network sees it: uint8 [S, S, 3] -> [S, S, 1] in [0, 1]."""
    return colorspace.mean_gray(rgb_u8 / np.float32(255)).numpy()


def _merged(gray_u8: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Joins a gray panel, uint8 [S, S, 3], and chroma, [S, S, 2], to uint8 RGB [S, S, 3]."""
    return metrics.quantize(RECIPE.space.merge(_gray(gray_u8), chroma)).numpy()


# --- the article's pictures -----------------------------------------------------------------------


def read_strips(folder: str) -> list[Strip]:
    """Reads the strips of a folder in order of their names.

    Raises:
      FileNotFoundError: there is none.
      ValueError: one is not three squares side by side, or they differ in size.
    """
    paths = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in STRIPS)
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no {' or '.join(STRIPS)} strips gray | output | truth; give the "
            "folder of the article's validation strips."
        )
    strips = [_read_strip(path) for path in paths]
    sizes = sorted({len(strip.gray) for strip in strips})
    if len(sizes) > 1:
        raise ValueError(f"The strips of {folder} are {sizes} pixels high; wanted one height.")
    return strips


def _read_strip(path: Path) -> Strip:
    pixels = image_io.read(path).rgb
    height, width = pixels.shape[:2]
    if width != PANELS * height or pixels.dtype != np.uint8:
        raise ValueError(
            f"{path} is {width}x{height} of {pixels.dtype}; wanted three squares in a row, 8 bits."
        )
    return Strip(path.stem, *np.split(pixels, PANELS, axis=1))


def _figures(strips: list[Strip], colored: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Measures gray, published and rebuilt outputs: means over the pictures."""
    truth = np.stack([strip.truth for strip in strips])
    outputs = {
        "gray": np.stack([strip.gray for strip in strips]),
        "published": np.stack([strip.published for strip in strips]),
        "released": np.stack(colored),
    }
    figures = {}
    for name, output in outputs.items():
        rows = metrics.measure(output, truth)
        share = rows["colorfulness"].mean() / rows["colorfulness_truth"].mean()
        figures[name] = {
            "auc": float(rows["auc"].mean()),
            "psnr": float(metrics.psnr(rows["square"]).mean()),
            "colorfulness_of_truth": float(share),
        }
    return figures


def correlation(strip: Strip, chroma: np.ndarray) -> dict[str, float | None]:
    """Computes Pearson's correlation of U and of V with those of the published output.

    Args:
      strip: One of S by S pixels.
      chroma: [S, S, 2] float32 in [0, 1], what the network gave.

    Returns:
      {"u", "v"}: from -1 to 1; None where one of the two is constant.
    """
    published = RECIPE.space.chroma(strip.published / np.float32(255)).numpy()
    return {
        channel: _pearson(published[..., k].ravel(), chroma[..., k].ravel())
        for k, channel in enumerate("uv")
    }


def _pearson(first: np.ndarray, second: np.ndarray) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _write_strips(folder: Path, strips: list[Strip], colored: list[np.ndarray]) -> None:
    """Writes a picture gray | published | released | truth for each strip, and all on a sheet."""
    rows = [
        np.concatenate([strip.gray, strip.published, output, strip.truth], axis=1)
        for strip, output in zip(strips, colored, strict=True)
    ]
    for strip, row in zip(strips, rows, strict=True):
        image_io.write(folder / f"{strip.name}.png", row)
    image_io.write(folder / SHEET, image_grids.contact_sheet(rows, columns=2))


# --- tap statistics -------------------------------------------------------------------------------


def tap_correlations(
    network: keras.Model, data: DataConfig, limit: int | None = None
) -> dict[str, list[float]]:
    """Compares the taps' statistics over photographs with those that the batch norms hold.

    Args:
      network: What `released_network` built.
      data: Photographs; their validation split is read, center squares at the recipe's size.
      limit: How many to look at; None takes all.

    Returns:
      {"mean": [4], "deviation": [4]}: correlation over the channels of each tap, pool1 to pool4.
    """
    trunk = models.trunk_of(network)
    if trunk is None:
        raise ValueError("The network has no trunk to look at.")
    sums = [np.zeros((2, tap.shape[-1])) for tap in trunk.outputs]
    count = 0
    for gray in _grays(data, limit):
        for total, tap in zip(sums, trunk(np.repeat(gray, 3, -1)), strict=True):
            values = np.asarray(tap, np.float64)
            total += [values.mean((1, 2)).sum(0), (values**2).mean((1, 2)).sum(0)]
        count += len(gray)
    pairs = [_compared(network, k, total / count) for k, total in enumerate(sums, start=1)]
    means, deviations = zip(*pairs, strict=True)
    return {"mean": list(means), "deviation": list(deviations)}


def _grays(data: DataConfig, limit: int | None) -> Iterator[np.ndarray]:
    stats = RecordStats()
    batches = input_pipeline.eval_batches(
        data, batch_size=TAP_BATCH, image_size=RECIPE.image_size, limit=limit, stats=stats
    )
    with stats.reraising():
        for batch in batches:
            yield colorspace.split(batch.rgb, RECIPE.space, RECIPE.gray).gray.numpy()


def _compared(network: keras.Model, level: int, moments: np.ndarray) -> tuple[float, float]:
    """Correlates (means, deviations) of one tap with those of its batch norm, over channels."""
    norm = network.get_layer(f"pool{level}_bn")
    mean, square = moments
    pairs = (
        (mean, norm.moving_mean.numpy()),
        # Of a constant channel rounding may leave a little less than zero.
        (np.sqrt(np.maximum(square - mean**2, 0)), np.sqrt(norm.moving_variance.numpy())),
    )
    first, second = (float(np.corrcoef(seen, held)[0, 1]) for seen, held in pairs)
    return first, second
