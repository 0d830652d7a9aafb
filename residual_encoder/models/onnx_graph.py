"""Networks as graphs of ONNX, written node by node; TensorFlow is not loaded.

Keras's own export and tf2onnx leave operations in a graph that OpenCV's reader refuses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from residual_encoder.models.configs import LEAK
from residual_encoder.models.folded_weights import Kernel

OPSET, IR_VERSION = 13, 8
Size = tuple[int, int] | None  # height and width that a file takes; None leaves them free

ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "elu": ("Elu", {"alpha": 1.0}),
    "leaky_relu": ("LeakyRelu", {"alpha": LEAK}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": 1}),
}
COMBINATIONS = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div"}
CENTERS = {"legacy": "asymmetric", "half_pixel": "half_pixel"}
LENGTHS = np.array([2, 3])  # axes of height and width


class OnnxOperations:
    """Collects nodes of ONNX, channels first; tensors are their names.

    Attributes:
      nodes: Of the graph, in order.
      constants: Its initializers.
    """

    def __init__(self, size: Size) -> None:
        """Takes the height and width of the input; None leaves them free."""
        self.size = size
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        from onnx import helper

        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, values: Any, name: str = "constant") -> str:
        """Adds numbers, float32 or int64, and returns their name."""
        from onnx import numpy_helper

        array = np.asarray(values)
        kind = np.int64 if array.dtype.kind == "i" else np.float32
        name = f"{name}_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, kind), name))
        return name

    def with_border(self, gray: str, multiple: int, margin: int) -> str:
        """Repeats the last row and column up to multiples, then mirrors a margin."""
        if self.size:
            for axis, side in zip(LENGTHS, self.size, strict=True):
                places = self.constant(_places(side, multiple, margin))
                gray = self.node("Gather", gray, places, axis=int(axis))
            return gray
        lacking = self.node(
            "Mod", self.node("Neg", self._sides(gray)), self.constant(np.array([multiple]))
        )
        pads = self.node("Concat", self.constant(np.zeros(6, int)), lacking, axis=0)
        x = self.node("Pad", gray, pads, mode="edge")
        return self._mirrored(x, margin) if margin else x

    def _sides(self, gray: str) -> str:
        """Returns height and width as a tensor."""
        ends = (self.constant(np.array([number])) for number in (2, 4, 0))
        return self.node("Slice", self.node("Shape", gray), *ends)

    def _mirrored(self, x: str, margin: int) -> str:
        inwards = np.arange(margin)
        for axis in (2, 3):
            before = self.node("Gather", x, self.constant(inwards[::-1]), axis=axis)
            after = self.node("Gather", x, self.constant(-1 - inwards), axis=axis)
            x = self.node("Concat", before, x, after, axis=axis)
        return x

    def without_border(self, chroma: str, gray: str, margin: int) -> str:
        """Takes off what `with_border` added."""
        start = np.full(2, margin)
        if self.size:
            end = self.constant(start + self.size)
        else:
            end = self.node("Add", self._sides(gray), self.constant(start))
        return self.node("Slice", chroma, self.constant(start), end, self.constant(LENGTHS))

    def convolution(self, x: str, kernel: Kernel, name: str, dilation: int = 1) -> str:
        """Adds a convolution padded by zeros."""
        values = np.asarray(kernel.kernel).transpose(3, 2, 0, 1)
        size = values.shape[2:]
        pads = [dilation * (side // 2) for side in size]
        inputs = [self.constant(values, f"{name}/kernel")]
        if kernel.bias is not None:
            inputs.append(self.constant(kernel.bias, f"{name}/bias"))
        settings = {"kernel_shape": size, "pads": 2 * pads, "dilations": [dilation] * 2}
        return self.node("Conv", x, *inputs, **settings)

    def activation(self, x: str, kind: str) -> str:
        """Adds an activation."""
        name, settings = ACTIVATIONS[kind]
        return self.node(name, x, **settings)

    def affine(self, x: str, factor: np.ndarray | float, addend: np.ndarray | float) -> str:
        """Multiplies and adds; numbers of each channel have the shape [1, C, 1, 1]."""
        factors, addends = (np.reshape(value, (1, -1, 1, 1)) for value in (factor, addend))
        x = x if np.all(factors == 1) else self.node("Mul", x, self.constant(factors))
        return x if np.all(addends == 0) else self.node("Add", x, self.constant(addends))

    def combine(self, kind: str, x: str, y: str) -> str:
        """Computes one of the four operations."""
        return self.node(COMBINATIONS[kind], x, y)

    def repeat_channel(self, x: str, count: int) -> str:
        """Convolves by ones: where OpenCV 5 broadcasts channels itself, its layouts disagree."""
        return self.convolution(x, Kernel(np.ones((1, 1, 1, count), np.float32), None), "repeat")

    def with_ones(self, x: str) -> str:
        """Appends a channel of ones."""
        return self.with_channels(x, self.affine(x, 0.0, 1.0))

    def with_channels(self, x: str, y: str) -> str:
        """Appends the channels of `y`."""
        return self.node("Concat", x, y, axis=1)

    def max_pool(self, x: str) -> str:
        """Takes the largest of every 2 by 2 places."""
        return self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def window_mean(self, x: str, size: int, stride: int) -> str:
        """Averages over windows."""
        pads = [size // 2 if stride == 1 else 0] * 4
        settings = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": pads}
        return self.node("AveragePool", x, count_include_pad=0, **settings)

    def picture_mean(self, x: str) -> str:
        """Averages over height and width."""
        return self.node("GlobalAveragePool", x)

    def double(self, x: str, upsampling: str) -> str:
        """Enlarges by two, bilinearly."""
        scales = self.constant(np.array([1.0, 1.0, 2.0, 2.0]))
        centers = CENTERS[upsampling]
        settings = {"mode": "linear", "coordinate_transformation_mode": centers}
        return self.node("Resize", x, "", scales, **settings)


def _places(side: int, multiple: int, margin: int) -> np.ndarray:
    """Returns which place of an axis comes where in what `with_border` makes of it."""
    padded = np.minimum(np.arange(-(-side // multiple) * multiple), side - 1)
    return np.pad(padded, margin, "symmetric")


def model_of(ops: OnnxOperations, source: str, output: str, channels: int | None) -> Any:
    """Returns the model of collected nodes, the last of which makes the output.

    Args:
      ops: The nodes.
      source: Name of the input, [N, 1, height, width].
      output: Name that the output gets, [N, channels, height, width].
      channels: Of the output; None leaves its channels, height and width open.
    """
    from onnx import TensorProto, helper

    ops.nodes[-1].output[0] = output
    sides: tuple[Any, ...] = ops.size or ("height", "width")
    ends: tuple[Any, ...] = (channels, *sides) if channels else ("c", "h", "w")
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *shape))
        for name, shape in ((source, (1, *sides)), (output, ends))
    ]
    graph = helper.make_graph(ops.nodes, "colorizer", infos[:1], infos[1:], ops.constants)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
