"""Measures whether colored pictures are recognized: a classifier's shares, a distance of features.

The third figure of Zhang et al. 2016, section 3.1, who use VGG16. Classifier and features are
LiteRT files that take uint8 RGB, such as MobileNet's; read differences between systems over the
same photographs, not levels.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.evaluation import metrics
from residual_encoder.imaging import resizing
from residual_encoder.utils import files, litert_runtime

BORDER = 16  # of the short side, one part of so many is cut off each side: the central 87.5 % stay
TOP = 5
PROTOCOL = {
    "top1": "share of photographs whose class, by file name, the classifier ranks first; of the "
    "central 87.5 % of the picture, resized bilinearly; baselines.truth are the photographs",
    "top5": "the same, among the first five",
    "frechet": "Frechet distance between Gaussians fitted to the features of the pictures and to "
    "those of the photographs in true color; no interval, as it depends on their number",
}


@dataclass(frozen=True)
class RecognitionConfig:
    """Configures what recognizes the pictures.

    Attributes:
      classifier: LiteRT file: uint8 RGB [1, S, S, 3] -> one score for each class, if need be with
        others before them, such as "background".
      features: LiteRT file: uint8 RGB [1, S, S, 3] -> features, any shape.
      classes: Text file with the classes' names in the classifier's order, one a line. The stem of
        a photograph's file name is the name of its class.
    """

    classifier: str
    features: str
    classes: str


class Recognizer:
    """Recognizes the pictures of several systems, and compares their features with the truth's."""

    def __init__(self, config: RecognitionConfig) -> None:
        """Loads the models.

        Raises:
          FileNotFoundError: a file is missing.
          ValueError: a model takes something else than uint8 squares, its scores do not fit the
            classes, or LiteRT is not installed.
        """
        self._classes = read_classes(config.classes)
        self._source = config.classes
        self._classifier = LitertModel(config.classifier)
        self._feature_model = LitertModel(config.features)
        self.about = {
            name: {"name": Path(path).name, "sha256": files.sha256(path)}
            for name, path in vars(config).items()
        }
        wanted, received = len(self._classes), self._classifier.outputs
        if received - wanted not in (0, 1):
            raise ValueError(
                f"{config.classifier} gives {received} scores for the {wanted} classes of "
                f"{config.classes}; wanted one for each, with or without a background before them."
            )
        self._ranks: dict[str, list[int]] = defaultdict(list)
        self._found: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, system: str, rgb_u8: np.ndarray, names: Sequence[bytes]) -> None:
        """Recognizes pictures of a system.

        Args:
          system: Whose they are; "truth" is what features are compared with.
          rgb_u8: uint8 [B, H, W, 3].
          names: File names of the photographs; their stems are the classes.

        Raises:
          ValueError: a photograph's name is no class.
        """
        for picture, name in zip(rgb_u8, names, strict=True):
            truth = self._class_of(os.fsdecode(name))
            center = central(picture)
            self._ranks[system].append(
                rank(self._classifier.run(center), truth, len(self._classes))
            )
            self._found[system].append(self._feature_model.run(center))

    def _class_of(self, name: str) -> int:
        stem = Path(name).stem
        if stem not in self._classes:
            raise ValueError(
                f"The photograph {name} is of no known class: {stem!r} is no line of "
                f"{self._source}. Name photographs by their classes, or measure without "
                "--classifier, --features and --classes."
            )
        return self._classes[stem]

    def features(self, system: str) -> np.ndarray:
        """Returns the features of a system's pictures: [n, features] float32."""
        return np.stack(self._found[system])

    def summary(self, system: str) -> dict[str, dict[str, Any]]:
        """Returns top1, top5 (shares, with 95 % intervals) and frechet (without) of a system."""
        ranks = np.array(self._ranks[system])
        shares = {"top1": ranks < 1, "top5": ranks < TOP}
        distance = {"frechet": {"mean": frechet(self.features(system), self.features("truth"))}}
        return {name: with_interval(hit) for name, hit in shares.items()} | distance


# --- models ---------------------------------------------------------------------------------------


class LitertModel:
    """Runs a LiteRT file on one picture.

    Attributes:
      side: Of the square that it takes, pixels.
      outputs: How many numbers it gives.
    """

    def __init__(self, path: str) -> None:
        """Loads the file.

        Raises:
          FileNotFoundError: it is missing.
          ValueError: it is no LiteRT file, takes no uint8 RGB square, has more than one output, or
            LiteRT is not installed.
        """
        self._interpreter = _interpreter(path)
        inputs, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        shape = [int(side) for side in inputs[0]["shape"]]
        squares = len(shape) == 4 and shape[1] == shape[2] and (shape[0], shape[3]) == (1, 3)
        if len(inputs) != 1 or len(outputs) != 1 or not squares or inputs[0]["dtype"] != np.uint8:
            raise ValueError(
                f"{path} takes {inputs[0]['dtype'].__name__} {shape} and has {len(outputs)} "
                "output(s); wanted uint8 [1, S, S, 3] and one output, as MobileNet's 8-bit files."
            )
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._scale, self._zero = outputs[0]["quantization"]
        self.side, self.outputs = shape[1], int(np.prod(outputs[0]["shape"]))

    def run(self, rgb_u8: np.ndarray) -> np.ndarray:
        """Runs the model on a picture: uint8 [H, W, 3] -> float32 [outputs]."""
        square = resizing.sampled_u8(rgb_u8, self.side, self.side)
        self._interpreter.set_tensor(self._input, square[None])
        self._interpreter.invoke()
        numbers = self._interpreter.get_tensor(self._output).reshape(-1).astype(np.float32)
        return (numbers - self._zero) * (self._scale or 1)  # the scale of floats is 0


def _interpreter(path: str) -> Any:
    """Returns LiteRT's interpreter of a file, ready to run."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no {path}. Wanted a LiteRT file (.tflite).")
    return litert_runtime.interpreter(Path(path).read_bytes(), path)


def read_classes(path: str) -> dict[str, int]:
    """Reads the names of classes, one a line: name -> number.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no text, is empty, or names a class twice.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no {path}. Wanted a text file, a class's name a line.")
    names = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    index = {name: number for number, name in enumerate(names)}
    if not names or "" in index or len(index) < len(names):
        raise ValueError(f"{path} is empty, has an empty line, or names a class twice.")
    return index


# --- numbers --------------------------------------------------------------------------------------


def central(rgb_u8: np.ndarray) -> np.ndarray:
    """Cuts a sixteenth of the short side off each side: uint8 [H, W, 3] -> [h, w, 3]."""
    height, width = rgb_u8.shape[:2]
    cut = round(min(height, width) / BORDER)
    return rgb_u8[cut : height - cut, cut : width - cut]


def rank(scores: np.ndarray, truth: int, classes: int) -> int:
    """Returns how many classes a classifier puts before the true one; ties by their order.

    Args:
      scores: [n], those of the classes last.
      truth: Number of the true class.
      classes: How many there are.
    """
    order = np.argsort(-scores[-classes:], kind="stable")
    return int(np.flatnonzero(order == truth)[0])


def with_interval(hits: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Gives a share its 95 % interval, a bootstrap over photographs. [n] bool -> mean and ci95."""
    rows = np.asarray(hits, np.float64)[:, None]
    low, high = np.percentile(metrics.resampled_means(rows, seed), metrics.INTERVAL)
    return {"mean": float(rows.mean()), "ci95": [float(low), float(high)]}


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Computes the Frechet distance between Gaussians fitted to two sets of features, squared.

    Fewer pictures than features are enough: covariances are never formed.

    Args:
      first: [n, features].
      second: [m, features].

    Returns:
      |difference of means|^2 + tr(A + B - 2 sqrt(A B)), A and B the covariances; 0 or more.
    """
    x, y = _covariance_root(first), _covariance_root(second)
    # With A = X'X and B = Y'Y, tr sqrt(A B) is the sum of the singular values of X Y'.
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    means = ((first.mean(0, np.float64) - second.mean(0, np.float64)) ** 2).sum()
    return float(max(means + (x**2).sum() + (y**2).sum() - 2 * cross, 0))


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """Returns X with X'X the covariance of features: [n, d] -> [min(n, d), d] float64."""
    exact = np.asarray(features, np.float64)
    centered = (exact - exact.mean(0)) / np.sqrt(max(len(exact) - 1, 1))
    if len(centered) <= centered.shape[1]:
        return centered
    return np.asarray(np.linalg.qr(centered, mode="r"))
