"""A colorizer's network for people who know Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from residual_encoder.models import weights as weights_files


@keras.saving.register_keras_serializable("residual_encoder")
class NetworkModel(keras.Model):
    """A Keras model whose `load_weights` takes weights files of this package as well as Keras's."""

    def load_weights(self, filepath: Any, *arguments: Any, **settings: Any) -> None:
        """Loads weights by the variables' names from a file of this package, else as Keras does."""
        if not Path(filepath).exists():  # Keras's own error is HDF5's
            raise FileNotFoundError(f"There is no weights file {filepath}.")
        if weights_files.is_weights_file(filepath):
            weights_files.load_weights(self, filepath)
        else:
            super().load_weights(filepath, *arguments, **settings)
