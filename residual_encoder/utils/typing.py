"""The type of tensors."""

from typing import Any

# Neither library ships types: eager, symbolic and Keras tensors share no class.
Tensor = Any
