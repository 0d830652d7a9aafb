"""How much of a network is at work: the share of activations that a ReLU let through."""

from __future__ import annotations

import keras
import numpy as np

from residual_encoder.utils.typing import Tensor


def shares(model: keras.Model, gray: Tensor) -> dict[str, float]:
    """The share of non-zero activations of each ReLU outside the trunk.

    The author's script logged it for every color layer. A share near zero is a dead layer: the
    2016 network has three channels before its output, and color may hang on one of them.

    Args:
      model: gray -> chroma.
      gray: [B, H, W, 1] float32 in [0, 1], of sides that the network takes.

    Returns:
      Layer name -> share in [0, 1], input to output; empty for a network without ReLU.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    if not layers:
        return {}
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(gray, training=False)
    return {
        layer.name: float(np.mean(np.asarray(keras.ops.cast(output, "float32")) > 0))
        for layer, output in zip(layers, keras.tree.flatten(outputs), strict=True)
    }
