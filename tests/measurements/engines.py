"""How far the engines' colors lie apart, on photographs at full size and by the field's metric.

python tests/measurements/engines.py SHARDS [COUNT]: of every engine and precision, against
TensorFlow in float32, the largest difference of a sample of the colored picture of 8 bits, how many
samples differ at all and by more than one step; and AuC and PSNR of center squares of 224 pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from residual_encoder.apps import cli

cli.quiet_tensorflow()

import numpy as np
import tensorflow as tf

from residual_encoder.data.configs import DataConfig
from residual_encoder.evaluation.evaluator import EvaluateConfig, evaluate_model
from residual_encoder.inference.colorizer import Colorizer

KINDS = (("tensorflow", "float32"), ("tensorflow", "bfloat16"), ("onnx", "float32"))


def photographs(folder: str, count: int):
    """The encoded files of validation shards."""
    feature = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    shards = sorted(map(str, Path(folder).glob("val-*")))
    for record in tf.data.TFRecordDataset(shards).take(count):
        yield tf.io.parse_single_example(record, feature)["image/encoded"].numpy()


def main(folder: str, count: int = 50) -> None:
    colorizers = [Colorizer(engine=engine, precision=kind) for engine, kind in KINDS]
    differences: list[list[np.ndarray]] = [[] for _ in KINDS]
    for picture in photographs(folder, count):
        outputs = [colorizer.colorize(picture).astype(int) for colorizer in colorizers]
        for found, output in zip(differences, outputs, strict=True):
            found.append(np.abs(output - outputs[0]).ravel())
    for (engine, kind), found, colorizer in zip(KINDS, differences, colorizers, strict=True):
        steps = np.concatenate(found)
        config = EvaluateConfig(DataConfig("tfrecord", data_dir=folder), limit=count)
        report = evaluate_model(config, colorizer)
        print(
            f"{engine} {kind}: at most {steps.max()} of 255, {np.mean(steps > 0):.3%} differ, "
            f"{np.mean(steps > 1):.4%} by more than 1; AuC {report['auc']['mean']:.6f}, "
            f"PSNR {report['psnr_pooled']['mean']:.4f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
