"""Measures the brush: how far one hint reaches in rendered scenes, and three hints in photographs.

python tests/measurements/brush.py [--model=...]

Scenes of `helpers.shapes`: of each shape the share within 10 in ab of its hint, and of the rest the
share that moves by more than 5. Photographs: the change of the RMSE of ab by three hints, each the
true color (mean of 3 x 3 pixels of the network's size) where the error is largest; the error is
smoothed over some pixels of the network's size. "then" looks for each place after the hints before
it, as a person does; "at once" looks for all three in the first result, at least 20 pixels apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import conftest  # noqa: F401  finds the package
import cv2
import numpy as np
from absl import app, flags
from helpers import brush, shapes

from residual_encoder.data import sample_images
from residual_encoder.imaging import array_colors
from residual_encoder.inference.colorizer import Colorizer

SMOOTHED = 0, 3, 6, 12
APART = 20
HINTS = 3
SCENES = 10  # measured while the method was chosen; as many others check it

_MODEL = flags.DEFINE_string("model", None, "As of colorize.")


def main(_: list[str]) -> None:
    """Prints all figures."""
    model = Colorizer(_MODEL.value)
    for name, seeds in (("chosen on", range(SCENES)), ("others", range(SCENES, 2 * SCENES))):
        _scenes(model, name, seeds)
    for name, rgb in sample_images.gallery_photographs():
        if rgb.ndim == 3:
            _photograph(Photograph(model, rgb), name)


def _scenes(model: Colorizer, name: str, seeds: range) -> None:
    scenes = [shapes.render(seed) for seed in seeds]
    shares = np.array(
        [[brush.spread(model, scene, part) for part in scene.regions[1:]] for scene in scenes]
    )
    for kind, some in (("one shape of each", shares[:, 0]), ("all", shares.reshape(-1, 2))):
        hold = (some[:, 0] >= 0.95) & (some[:, 1] <= 0.02)
        inside, outside = 100 * some.mean(axis=0)
        lowest, most = 100 * some[:, 0].min(), 100 * some[:, 1].max()
        print(
            f"scenes {name} {seeds}, {kind}: {hold.sum()} of {len(some)} hold; inside {inside:.1f} "
            f"(least {lowest:.1f}), outside {outside:.1f} (most {most:.1f}) %",
            flush=True,
        )


class Photograph:
    """A photograph whose color is known, and its gray colored."""

    def __init__(self, model: Colorizer, rgb: np.ndarray) -> None:
        """Takes uint8 [H, W, 3]."""
        self.model, self.rgb, self.gray = model, rgb, sample_images.luma_u8(rgb)
        self.height, self.width = model.network_input(self.gray).shape[:2]
        self.small = self._shrunk(rgb.astype(np.float32))
        self.truth = array_colors.rgb_to_lab(self.small / 255)[..., 1:]

    def _shrunk(self, pixels: np.ndarray) -> np.ndarray:
        return cv2.resize(pixels, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def colored(self, places: list[tuple[int, int]]) -> np.ndarray:
        """Returns the ab, [H, W, 2], with hints at places of the network's size."""
        return brush.ab(self.model.colorize(self.gray, hints=[self._hint(*at) for at in places]))

    def _hint(self, y: int, x: int) -> dict[str, object]:
        rgb = self.small[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean((0, 1))
        full_y = int((y + 0.5) * self.rgb.shape[0] / self.height)
        full_x = int((x + 0.5) * self.rgb.shape[1] / self.width)
        return {"x": full_x, "y": full_y, "rgb": [round(float(value)) for value in rgb]}

    def rmse(self, ab: np.ndarray) -> float:
        """Returns the error at full size."""
        return float(np.sqrt(np.mean(np.sum((ab - brush.ab(self.rgb)) ** 2, axis=-1))))

    def worst(self, ab: np.ndarray, smoothed: float) -> Iterator[tuple[int, int]]:
        """Yields places of the network's size by their error, each apart from those before it."""
        error = brush.distance(self._shrunk(ab), self.truth)
        if smoothed:
            error = cv2.GaussianBlur(error, (0, 0), smoothed)
        rows, columns = np.mgrid[: self.height, : self.width]
        while True:
            y, x = map(int, np.unravel_index(error.argmax(), error.shape))
            yield y, x
            error[np.hypot(rows - y, columns - x) < APART] = 0


def _photograph(photo: Photograph, name: str) -> None:
    plain = photo.colored([])
    for kind, choose in (("then", _then), ("at once", _at_once)):
        changes = [
            photo.rmse(photo.colored(choose(photo, plain, s))) / photo.rmse(plain) for s in SMOOTHED
        ]
        told = ", ".join(f"{100 * (change - 1):+.1f}" for change in changes)
        print(f"{name}, RMSE {photo.rmse(plain):.1f}, {kind}: {told} %", flush=True)


def _then(photo: Photograph, ab: np.ndarray, smoothed: float) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    for _ in range(HINTS):
        places.append(next(photo.worst(ab, smoothed)))
        ab = photo.colored(places)
    return places


def _at_once(photo: Photograph, ab: np.ndarray, smoothed: float) -> list[tuple[int, int]]:
    return [at for at, _ in zip(photo.worst(ab, smoothed), range(HINTS), strict=False)]


if __name__ == "__main__":
    app.run(main)
