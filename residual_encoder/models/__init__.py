"""Networks: building them, their layers and their weights files."""

from residual_encoder.models.factory import (
    NETWORKS,
    build,
    build_discriminator,
    deployable,
    for_coloring,
    multiple_of,
    trunk_of,
)

__all__ = [
    "NETWORKS",
    "build",
    "build_discriminator",
    "deployable",
    "for_coloring",
    "multiple_of",
    "trunk_of",
]
