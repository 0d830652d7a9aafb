"""Arithmetic of a network, counted from its layers: a multiplication and an addition are two.

Only convolutions and dense layers count; everything else is below a percent of the networks here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from residual_encoder.utils.typing import Tensor


@dataclass(frozen=True)
class Flops:
    """Floating-point operations for one picture.

    Attributes:
      forward: Of one pass.
      training: Of one training step: the pass, the gradients of the weights that train, and of what
        lies between them and the loss. A frozen trunk below them has neither.
    """

    forward: int
    training: int

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.forward + other.forward, self.training + other.training)


def count(model: keras.Model, size: int) -> Flops:
    """Counts a network's operations.

    Args:
      model: A functional model of one input, [B, H, W, C] with H and W unknown or `size`.
      size: Height and width of the input in pixels.
    """
    channels = model.inputs[0].shape[-1]
    return _walk(model, keras.Input((size, size, channels)), False)[0]


def _walk(model: keras.Model, x: Tensor, moving: bool) -> tuple[Flops, bool]:
    """Counts operations of a model on a symbolic input, and returns whether any weight trains.

    Args:
      model: The model; models inside it are walked as well.
      x: Its input.
      moving: Whether the input comes from weights that train, so that it needs a gradient.
    """
    total, moved = Flops(0, 0), {id(x)} if moving else set()
    alive: list[Tensor] = []  # so that no id is given twice

    def call(layer: keras.layers.Layer, *inputs: Tensor, **settings: Any) -> Tensor:
        nonlocal total
        outputs = layer(*inputs, **settings)
        before = any(id(tensor) in moved for tensor in keras.tree.flatten(inputs))
        if isinstance(layer, keras.Model):
            flops, moves = _walk(layer, keras.Input(inputs[0].shape[1:]), before)
        else:
            flops, moves = _of_layer(layer, inputs[0], outputs, before), _trains(layer)
        total += flops
        if before or moves:
            moved.update(id(tensor) for tensor in keras.tree.flatten(outputs))
        alive.append(outputs)
        return outputs

    keras.models.clone_model(
        model, input_tensors=x, clone_function=lambda layer: layer, call_function=call
    )
    return total, bool(moved)


def _trains(layer: keras.layers.Layer) -> bool:
    return bool(layer.trainable_weights)


def _of_layer(layer: keras.layers.Layer, x: Tensor, y: Tensor, before: bool) -> Flops:
    """Counts operations of one layer: of convolutions and dense layers; others have none.

    Args:
      layer: The layer.
      x: Its input.
      y: Its output.
      before: Whether its input needs a gradient.
    """
    if not isinstance(
        layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose | keras.layers.Dense
    ):
        return Flops(0, 0)
    # A kernel is applied once a place: of the output, but of a transposed convolution's input.
    places = x if isinstance(layer, keras.layers.Conv2DTranspose) else y
    forward = 2 * math.prod(layer.kernel.shape) * math.prod(places.shape[1:-1])
    return Flops(forward, forward * (1 + _trains(layer) + before))
