"""Networks: building them, their layers and their weights files.

The names below come from `factory`, which is loaded with TensorFlow when one of them is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from residual_encoder.models.factory import (
        NETWORKS,
        build,
        build_discriminator,
        build_recipe,
        for_inference,
        for_saving,
        multiple_of,
        trunk_of,
    )

__all__ = [
    "NETWORKS",
    "build",
    "build_discriminator",
    "build_recipe",
    "for_inference",
    "for_saving",
    "multiple_of",
    "trunk_of",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.factory"), name)
