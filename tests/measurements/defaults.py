"""Measures tools/colorize.py with its defaults on gray PNG files of the validation photographs.

Center squares of 224 pixels are written as PNG files of their luma, colored by the command, read
again and compared with the truth. Prints colored, gray and truth, each with its 95 % interval;
that of the Frechet distance is a jackknife over 20 groups, the others a bootstrap.

python tests/measurements/defaults.py                                 # the shipped weights
python tests/measurements/defaults.py --model=runs/modern [other flags of tools/colorize.py]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import conftest
import numpy as np

from residual_encoder.data import input_pipeline, sample_images
from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation import metrics, recognition, tables
from residual_encoder.evaluation.recognition import RecognitionConfig, Recognizer
from residual_encoder.imaging import image_io

SHARED = conftest.ROOT / "../shared"
SIZE = 224
BATCH = 10
GROUPS = 20  # of the jackknife


def truths() -> tuple[np.ndarray, list[bytes]]:
    """The validation photographs, uint8 [n, SIZE, SIZE, 3], and their names."""
    data = DataConfig("tfrecord", data_dir=str(SHARED / "data"))
    batches = list(input_pipeline.eval_batches(data, batch_size=BATCH, image_size=SIZE))
    names = [name for batch in batches for name in batch.name.numpy()]
    return np.concatenate([batch.rgb.numpy() for batch in batches]), names


def colored(grays: list[np.ndarray], flags: list[str]) -> np.ndarray:
    """What the command makes of gray pictures, uint8 [SIZE, SIZE] each: uint8 [n, ..., 3]."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "gray"), Path(folder, "colored")
        source.mkdir()
        for number, gray in enumerate(grays):
            image_io.write(source / f"{number:05d}.png", gray)
        command = [
            sys.executable,
            conftest.ROOT / "tools/colorize.py",
            source,
            f"--output={target}",
        ]
        subprocess.run([*command, *flags], check=True, stdout=sys.stderr)
        found = sorted(target.rglob("*.png"))
        if len(found) != len(grays):
            raise ValueError(f"{len(found)} of {len(grays)} pictures were colored")
        return np.stack([image_io.read(path).rgb for path in found])


def rows_of(output: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """AuC, squared error, colorfulness and that of the truth by picture: [n, 4]."""
    names = ("auc", "square", "colorfulness", "colorfulness_truth")
    parts = []
    for start in range(0, len(truth), BATCH):
        rows = metrics.measure(output[start : start + BATCH], truth[start : start + BATCH])
        parts.append(np.stack([rows[name] for name in names], axis=-1))
    return np.concatenate(parts)


# Of the means of such rows, with the first two of gray after them: [..., 6].
STATISTICS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "AuC": (lambda mean: mean[..., 0], 4),
    "AuC over gray, points": (lambda mean: 100 * (mean[..., 0] - mean[..., 4]), 2),
    "PSNR pooled, dB": (lambda mean: metrics.psnr(mean[..., 1]), 2),
    "over gray, dB": (lambda mean: metrics.psnr(mean[..., 1]) - metrics.psnr(mean[..., 5]), 2),
    "colorfulness, % of truth": (lambda mean: 100 * mean[..., 2] / mean[..., 3], 1),
}


def with_intervals(rows: np.ndarray) -> dict[str, dict]:
    """The figures of [n, 6] rows, as `metrics.summarize` gives them."""
    boot = metrics.resampled_means(rows, seed=0)
    return {
        name: {
            "mean": float(statistic(rows.mean(0))),
            "ci95": np.percentile(statistic(boot), metrics.INTERVAL).tolist(),
        }
        for name, (statistic, _) in STATISTICS.items()
    }


def frechet_with_interval(features: np.ndarray, truth: np.ndarray) -> dict:
    """The distance, and 1.96 standard errors of a jackknife over groups around it."""
    distance = recognition.frechet(features, truth)
    group = np.random.default_rng(0).permutation(len(truth)) % GROUPS
    parts = [recognition.frechet(features[group != g], truth[group != g]) for g in range(GROUPS)]
    reach = 1.96 * np.sqrt((GROUPS - 1) * np.var(parts))
    return {"mean": distance, "ci95": [max(distance - reach, 0), distance + reach]}


def recognized(systems: dict[str, np.ndarray], names: list[bytes]) -> dict[str, dict]:
    """Top 1, top 5 and the Frechet distance of each system."""
    folder = SHARED / "classifier"
    recognizer = Recognizer(
        RecognitionConfig(
            str(folder / "mobilenet_v2_1.0_224_quant.tflite"),
            str(folder / "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"),
            str(folder / "classes.txt"),
        )
    )
    for system, pictures in systems.items():
        recognizer.add(system, pictures, names)
    truth = recognizer.features("truth")
    return {
        system: recognizer.summary(system)
        | {"frechet": frechet_with_interval(recognizer.features(system), truth)}
        for system in systems
    }


def main(flags: list[str]) -> None:
    """Prints the table."""
    truth, names = truths()
    grays = [sample_images.luma_u8(picture) for picture in truth]
    systems = {
        "colored": colored(grays, flags),
        "gray": np.repeat(np.stack(grays)[..., None], 3, axis=-1),
        "truth": truth,
    }
    rows = {name: rows_of(output, truth) for name, output in systems.items()}
    figures = {
        name: with_intervals(np.hstack([part, rows["gray"][:, :2]])) for name, part in rows.items()
    }
    seen = recognized(systems, names)
    table = [["", *systems]]
    for name, (_, digits) in STATISTICS.items():
        table.append([name, *(tables.interval(figures[s][name], 1, digits) for s in systems)])
    for name, key, factor in (("top 1, %", "top1", 100), ("top 5, %", "top5", 100),
                              ("Frechet", "frechet", 1)):  # fmt: skip
        table.append([name, *(tables.interval(seen[s][key], factor, 1) for s in systems)])
    print(f"{len(truth)} photographs, {' '.join(flags) or 'defaults'}")
    print(tables.text_table(table))


if __name__ == "__main__":
    main(sys.argv[1:])
