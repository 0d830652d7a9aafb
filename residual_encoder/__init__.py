"""The residual encoder of "Automatic Colorization" (2016) and the systems it is compared to.

Public names load their modules when they are first used; importing the package does no work.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Colorizer": "inference.colorizer",
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "build_network": "models.factory",
    "evaluate": "evaluation.metrics",
    "export_saved_model": "export.saved_model",
    "train": "training.trainer",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME[name]}")
    return getattr(module, "build" if name == "build_network" else name)
