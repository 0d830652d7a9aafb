"""The type of what TensorFlow and Keras compute with."""

from typing import Any

# Neither library ships types: eager, symbolic and Keras tensors share no class.
Tensor = Any
