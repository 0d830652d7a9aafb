"""Weights of the networks with a form for inference, batch norms folded, as NumPy arrays.

Every batch norm is folded into the convolution before or behind it. `folding` computes with these
in TensorFlow; `portable_network` writes them down for other frameworks. TensorFlow is not loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from residual_encoder.models.weights import Arrays

DEEP_BLOCKS = (4, 5)  # whose convolutions a rank splits: three quarters of VGG16's weights
BASIS = "_basis"  # ends the name of the first of a split convolution's two; the second keeps it
# Mean of the ImageNet training set: blue, green, red on 0..255 (ry/tensorflow-vgg16, from Caffe).
BGR_MEAN = (103.939, 116.779, 123.68)
EPSILON = 1e-3  # of the decoder's batch norms, as in the script


class Kernel(NamedTuple):
    """A convolution, with bias or None for none."""

    kernel: Any  # [h, w, C, K] float32
    bias: np.ndarray | None  # [K] float32


class Norm(NamedTuple):
    """A batch norm as it is after training."""

    scale: np.ndarray  # [C] float32
    offset: np.ndarray  # [C] float32

    @classmethod
    def of(cls, variables: Sequence[np.ndarray], epsilon: float = EPSILON) -> Self:
        """Returns a batch norm of gamma, beta, moving mean and moving variance, [C] each."""
        gamma, beta, mean, variance = variables
        scale = gamma / np.sqrt(variance + epsilon)
        return cls(scale, beta - scale * mean)


class TrunkWeights:
    """VGG16's convolutions, the preprocessing of gray folded into the first."""

    def __init__(self, weights: Arrays) -> None:
        """Takes {"block1_conv1/kernel": float32 [3, 3, C, K], "block1_conv1/bias": [K], ...}."""
        self.weights = weights

    def kernels(self, block: int) -> list[tuple[str, list[Kernel]]]:
        """Returns the convolutions of a block, 1 to 5, in order: name and kernels.

        A split one has two kernels, the first without bias. ReLU comes behind the last.
        """
        names = (name.removesuffix("/bias") for name in self.weights if name.endswith("/bias"))
        return [
            (name, self._kernels(name))
            for name in sorted(names)
            if name.startswith(f"block{block}_")
        ]

    def _kernels(self, name: str) -> list[Kernel]:
        basis = self.weights.get(f"{name}{BASIS}/kernel")
        first = [] if basis is None else [Kernel(basis, None)]
        return [*first, self._kernel(name)]

    def _kernel(self, name: str) -> Kernel:
        kernel, bias = self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"]
        if name != "block1_conv1":
            return Kernel(kernel, bias)
        # BGR = 255 (centered + 0.5) - mean, of two channels: centered and ones.
        ones = np.einsum("hwck,c->hwk", kernel, 127.5 - np.array(BGR_MEAN))
        return Kernel(np.stack([255 * kernel.sum(2), ones], axis=2), bias)


class LayerWeights:
    """The convolutions behind a trunk by their names, with their batch norms folded.

    Attributes:
      weights: {name: [kernel] or [kernel, bias]} of the convolutions as trained.
      norms: {name: `Norm`}.
    """

    def __init__(self, weights: dict[str, list[np.ndarray]], norms: dict[str, Norm]) -> None:
        """Takes the two attributes."""
        self.weights, self.norms = weights, norms

    def kernel(self, name: str) -> Kernel:
        """Returns a convolution with the norm behind it folded in."""
        scale, offset = self.norms[f"{name}_bn"]
        return Kernel(self.weights[name][0] * scale, offset)

    def kernel_of_tap(self, name: str, tap: int) -> Kernel:
        """Returns the same of a 1x1 convolution with the norm of the tap before it, too."""
        scale, offset = self.norms[f"pool{tap}_bn"]
        kernel, bias = self.kernel(name)
        return Kernel(kernel * scale[:, None], bias + offset @ kernel[0, 0])


class NetworkWeights(NamedTuple):
    """All weights of a residual encoder or a network of classes."""

    trunk: TrunkWeights
    layers: LayerWeights


def of_arrays(arrays: Arrays) -> NetworkWeights:
    """Sorts the variables of a weights file, which fit the network: see `variable_shapes`."""
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    trunk = {name: array for name, array in arrays.items() if name.startswith("block")}
    weights: dict[str, list[np.ndarray]] = {}
    norms: dict[str, Norm] = {}
    for name in arrays.keys() - trunk.keys():
        layer, _, variable = name.rpartition("/")
        if variable == "kernel":
            bias = arrays.get(f"{layer}/bias")
            weights[layer] = [arrays[name]] if bias is None else [arrays[name], bias]
        elif variable == "gamma":
            parts = "gamma", "beta", "moving_mean", "moving_variance"
            norms[layer] = Norm.of([arrays[f"{layer}/{part}"] for part in parts])
    return NetworkWeights(TrunkWeights(trunk), LayerWeights(weights, norms))
