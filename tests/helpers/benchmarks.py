"""A recipe whose benchmark takes no time."""

import dataclasses

from conftest import SMALL

from residual_encoder.data.configs import DataConfig
from residual_encoder.models.factory import CnnConfig

TINY = dataclasses.replace(
    SMALL, network=CnnConfig(widths=(2, 2)), color_space="lab", gray="lightness",
    loss="lab_mse", image_size=16, batch_size=3,
)  # fmt: skip
DATA = DataConfig("synthetic", synthetic_size=20)
