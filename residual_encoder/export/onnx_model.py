"""A trained network as an ONNX file, for onnxruntime, OpenCV and others.

The graph is written node by node: Keras's own export and tf2onnx leave operations in it that
OpenCV's reader refuses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from residual_encoder.export.model_file import (
    PARITY_SHAPES,
    SavedFile,
    card_of,
    check_size,
    save_checked,
)
from residual_encoder.export.portable_network import INPUT, OUTPUT, check_portable, write_network
from residual_encoder.inference.model_loading import Loaded
from residual_encoder.models.folding import Kernel
from residual_encoder.models.residual_encoder import LEAK
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice

SUFFIX = ".onnx"
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


def onnx_file(loaded: Loaded, size: Size = None) -> bytes:
    """Writes the network down as an ONNX model, and checks its form.

    Args:
      loaded: The network.
      size: Height and width that the file takes, fixed; None leaves them free.

    Returns:
      The file's bytes: `grayscale` [N, 1, H, W] -> `chroma` [N, 2, H, W].
    """
    import onnx
    from onnx import TensorProto, helper

    ops = OnnxOperations(size)
    write_network(ops, loaded, INPUT)
    ops.nodes[-1].output[0] = OUTPUT  # the border comes off last
    sides: tuple[Any, ...] = size or ("height", "width")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", channels, *sides))
        for name, channels in ((INPUT, 1), (OUTPUT, 2))
    ]
    graph = helper.make_graph(ops.nodes, "colorizer", ends[:1], ends[1:], ops.constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    helper.set_model_props(model, _properties(loaded))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _properties(loaded: Loaded) -> dict[str, str]:
    """Returns the metadata of the file: what a program needs to color with it, and the recipe."""
    recipe = loaded.recipe
    return {
        "gray": recipe.gray,
        "color_space": recipe.color_space,
        "short_side": str(recipe.inference_size),
        "card": json.dumps(card_of(loaded)),
    }


def export_onnx(
    model_path: str, output: str | Path, size: Size = None, colors: ColorChoice = AS_TRAINED
) -> SavedFile:
    """Writes an ONNX file, checks that it computes what the network does, and only then keeps it.

    It takes `grayscale` float32 [N, 1, H, W] in [0, 1] and gives `chroma` float32 [N, 2, H, W] in
    [0, 1]. Its metadata have `gray`, `color_space` and `short_side`.

    Args:
      model_path: A training workdir or a weights file.
      output: The file to make, NAME.onnx.
      size: Height and width that the file takes, see `check_size`; None leaves them free, which
        OpenCV 4 cannot read.
      colors: Which color is taken from a distribution; fixed in the file.

    Raises:
      As `keras_model.export_keras`; a ValueError too where onnx or onnxruntime is missing.
    """
    _check_installed()
    check_size(size)

    def content(loaded: Loaded) -> bytes:
        check_portable(loaded.recipe.network, model_path)
        return onnx_file(loaded, size)

    shapes = tuple((batch, *size) for batch in (1, 2)) if size else PARITY_SHAPES
    return save_checked(model_path, output, SUFFIX, colors, content, _runner, shapes)


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'ONNX files need onnx and onnxruntime; in the project\'s folder: pip install ".[onnx]"'
        ) from error


def _runner(content: bytes) -> Any:
    """Loads an ONNX file to call: gray [B, H, W, 1] -> chroma [B, H, W, 2]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(gray: np.ndarray) -> np.ndarray:
        chroma = session.run([OUTPUT], {INPUT: gray.transpose(0, 3, 1, 2)})[0]
        return chroma.transpose(0, 2, 3, 1)

    return run
