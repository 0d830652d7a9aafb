"""How far the engines' colors lie apart, on photographs at full size and by the field's metric.

python tests/measurements/engines.py SHARDS [COUNT]: of every engine and precision, against
TensorFlow in float32, the largest difference of a sample of the colored picture of 8 bits, how many
samples differ at all and by more than one step; AuC and PSNR of center squares of 224 pixels; and
the network's time for the copy of a photograph of 4 by 3, the median of turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from residual_encoder.apps import cli

cli.quiet_tensorflow()

import numpy as np
import tensorflow as tf

from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.export.litert import LitertConfig, export_litert
from residual_encoder.inference.colorizer import Colorizer
from residual_encoder.inference.model_loading import shipped_weights
from residual_encoder.models.network_size import network_size

KINDS = (
    ("tensorflow", "float32"),
    ("tensorflow", "bfloat16"),
    ("onnx", "float32"),
    ("litert", "float16"),  # of the file; it computes in float32
    ("litert", "int8"),
)
TURNS = 15


def photographs(folder: str, count: int):
    """The encoded files of validation shards."""
    feature = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    shards = sorted(map(str, Path(folder).glob("val-*")))
    for record in tf.data.TFRecordDataset(shards).take(count):
        yield tf.io.parse_single_example(record, feature)["image/encoded"].numpy()


def loaded(data: str, engine: str, kind: str) -> Colorizer:
    """The shipped weights in an engine; LiteRT's file is made for it."""
    if engine != "litert":
        return Colorizer(engine=engine, precision=kind)
    photographs = DataConfig("tfrecord", data_dir=data) if kind == "int8" else None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "shipped.tflite")
        export_litert(LitertConfig(str(shipped_weights()), path, kind, data=photographs))
        return Colorizer(path)


def times(colorizers: list[Colorizer]) -> list[tuple[float, float]]:
    """Milliseconds of the network, by the clock and of CPU time: medians of turns."""
    size = network_size(3, 4, colorizers[0].size, colorizers[0].recipe.multiple)
    gray = np.random.default_rng(0).random((1, *size, 1), np.float32)
    found: list[list[tuple[float, float]]] = [[] for _ in colorizers]
    for _ in range(TURNS + 1):  # the first warms up
        for colorizer, spans in zip(colorizers, found, strict=True):
            start = time.perf_counter(), time.process_time()
            colorizer.predict(gray)
            spans.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    medians = [np.median(spans[1:], axis=0) * 1000 for spans in found]
    return [(float(clock), float(cpu)) for clock, cpu in medians]


def steps_apart(colorizers: list[Colorizer], folder: str, count: int) -> list[np.ndarray]:
    """Differences from the first in steps of 8 bits, of all samples of all photographs."""
    differences: list[list[np.ndarray]] = [[] for _ in colorizers]
    for picture in photographs(folder, count):
        outputs = [colorizer.colorize(picture).astype(int) for colorizer in colorizers]
        for found, output in zip(differences, outputs, strict=True):
            found.append(np.abs(output - outputs[0]).ravel())
    return [np.concatenate(found) for found in differences]


def main(folder: str, count: int = 50) -> None:
    colorizers = [loaded(folder, *kind) for kind in KINDS]
    differences, spans = steps_apart(colorizers, folder, count), times(colorizers)
    for kind, steps, span, colorizer in zip(KINDS, differences, spans, colorizers, strict=True):
        config = EvaluateConfig(DataConfig("tfrecord", data_dir=folder), limit=count)
        report = evaluate_model(config, colorizer)
        print(
            f"{' '.join(kind)}: at most {steps.max()} of 255, "
            f"{np.mean(steps > 0):.4%} differ, {np.mean(steps > 1):.4%} by more than 1; "
            f"AuC {report['auc']['mean']:.6f}, PSNR {report['psnr_pooled']['mean']:.4f} dB; "
            f"{span[0]:.0f} ms a picture, {span[1]:.0f} of CPU time",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
