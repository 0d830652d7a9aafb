"""Loaded by Dask's workers (--preload): a network that costs nothing and gives gray pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from residual_encoder.apps.archive import processes


class Stub:
    """Takes the place of a `Colorizer`."""

    sha256 = "stub"

    def colorize(self, picture: Any, hints: Any = ()) -> np.ndarray:
        """Returns the gray picture as RGB."""
        pixels = picture.pixels
        return np.repeat(pixels[..., :1] if pixels.ndim == 3 else pixels[..., None], 3, axis=-1)


def dask_setup(worker: Any) -> None:
    """Replaces the loading of networks in a worker."""
    processes.worker().load = lambda config: Stub()
