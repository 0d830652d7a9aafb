"""An adversarial recipe that tests can afford."""

import dataclasses

import numpy as np
import pytest

from residual_encoder.models.factory import Pix2PixConfig
from residual_encoder.recipes import RECIPES, Adversarial

RIVAL = Adversarial(widths=(4, 8))
TINY = dataclasses.replace(
    RECIPES["pix2pix"],
    network=Pix2PixConfig((4, 8, 8, 8)),
    adversarial=RIVAL,
    image_size=32,
    batch_size=2,
    steps=4,
)


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
