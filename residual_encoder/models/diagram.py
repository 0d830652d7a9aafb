"""Draws a network from its Keras model: the trunk's taps on the left, the decoder on the right.

The picture follows the layers of the model at hand, so it cannot disagree with them. It suits
networks of one trunk whose taps are merged into one path of convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import keras

from residual_encoder.utils.typing import Tensor

Layer = Any  # keras ships no types
Shape = tuple[int, ...]  # height, width, channels
Point = tuple[float, float]

PIXELS = 224  # side of the picture whose sizes are written into the drawing: the original's

# Places in pixels of the drawing.
WIDTH = 880
LEFT, RIGHT = 250, 630  # middle of the trunk's and of the decoder's column
TOP, GAP = 48, 20
BOX, PILL = 46, 26  # heights

MERGES = {"Add": "+", "Concatenate": "concat"}

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  font-size: 13px; fill: #1d2129; text-anchor: middle; }
.name, .heading { font-weight: 600; }
.heading, .quiet { fill: #59616e; }
.quiet { font-size: 12px; }
.size-right { text-anchor: start; }
.size-left { text-anchor: end; }
.paper { fill: #ffffff; }
.io { fill: #f1f2f4; stroke: #9aa3b0; }
.trunk { fill: #e4ecf7; stroke: #7d9cc7; }
.decoder { fill: #fdeedd; stroke: #dd9b4e; }
.small { fill: #ffffff; stroke: #9aa3b0; }
.line { fill: none; stroke: #59616e; stroke-width: 1.4; }
.head { fill: #59616e; }
"""


# --- reading the model ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tap:
    """A side path into the decoder.

    Attributes:
      source: Index of the trunk's output, or None for the model's input.
      labels: The operations on it.
    """

    source: int | None
    labels: list[str]


@dataclass
class Step:
    """A stage of the decoder: a convolution with what follows it, a merge, or an upsampling."""

    kind: str  # "convolution", "merge" or "other"
    name: str
    labels: list[str]
    shape: Shape  # of the result
    taps: list[Tap] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """The trunk from the tap above (or its input) down to this tap."""

    name: str
    text: str
    shape: Shape


def _parents(layer: Layer) -> list[Tensor]:
    """Returns the distinct inputs of a layer, as `keras.utils.model_to_dot` finds them."""
    distinct = {id(tensor): tensor for tensor in layer._inbound_nodes[-1].input_tensors}
    return list(distinct.values())


def _maker(tensor: Tensor) -> tuple[Layer, int]:
    """Returns the layer that made a tensor, and the index of the output."""
    history = tensor._keras_history
    return history.operation, history.tensor_index


def _is_end(layer: Layer) -> bool:
    """Returns whether the decoder ends here: at the trunk, or at the input."""
    return isinstance(layer, keras.Model | keras.layers.InputLayer)


def _depth(tensor: Tensor) -> int:
    """Counts the layers between a tensor and the trunk or input, along the longest path."""
    layer, _ = _maker(tensor)
    return 0 if _is_end(layer) else 1 + max(_depth(parent) for parent in _parents(layer))


def _activation(layer: Layer) -> str:
    name = layer.activation.__name__
    return {"relu": "ReLU"}.get(name, name)


def _label(layer: Layer) -> str:
    """Returns a layer in a word or two."""
    if isinstance(layer, keras.layers.Conv2D):
        height, width = layer.kernel_size
        inside = _activation(layer)
        return f"{height}×{width} conv" + (f", {inside}" if inside != "linear" else "")
    if isinstance(layer, keras.layers.Activation):
        return _activation(layer)
    if isinstance(layer, keras.layers.Rescaling):
        scale = "" if layer.scale == 1 else f"× {layer.scale:g} "
        return f"{scale}{'−' if layer.offset < 0 else '+'} {abs(layer.offset):g}"
    if isinstance(layer, keras.layers.Concatenate):  # of one tensor with itself
        return f"{len(layer._inbound_nodes[-1].input_tensors)} copies"
    doubled = "upsample ×2"
    names = {
        "BatchNorm": "BN",
        "BatchNormalization": "BN",
        "Upsample2": doubled,
        "HalfPixelUpsample2": doubled,
    }
    return names.get(type(layer).__name__, type(layer).__name__)


def _follow(tensor: Tensor, labels: list[str]) -> Tap:
    """Follows a side path back to the trunk or the input."""
    layer, index = _maker(tensor)
    if isinstance(layer, keras.Model):
        return Tap(index, labels)
    if isinstance(layer, keras.layers.InputLayer):
        return Tap(None, labels)
    return _follow(_parents(layer)[0], [_label(layer), *labels])


def _path(model: keras.Model) -> list[tuple[Layer, list[Tensor]]]:
    """Returns the decoder's layers, deepest tap to output, each with its side inputs."""
    tensor, path = model.outputs[0], []
    while not _is_end(_maker(tensor)[0]):
        layer, _ = _maker(tensor)
        parents = sorted(_parents(layer), key=_depth, reverse=True)
        path.append((layer, parents[1:]))
        tensor = parents[0]
    return path[::-1]


def _shapes(tensors: list[Tensor], inputs: Tensor) -> list[Shape]:
    """Returns (height, width, channels) of tensors for a square input picture."""
    probe = keras.Model(inputs, tensors)
    shapes = probe.compute_output_shape((1, PIXELS, PIXELS, inputs.shape[-1]))
    return [tuple(shape[1:]) for shape in shapes]


def _steps(model: keras.Model) -> list[Step]:
    """Returns the decoder's stages, from the deepest tap, which enters the first, to the output."""
    path = _path(model)
    shapes = _shapes([layer.output for layer, _ in path], model.inputs[0])
    steps: list[Step] = []
    before: list[str] = []  # operations on the deepest tap before the first stage
    for (layer, sides), shape in zip(path, shapes, strict=True):
        label = _label(layer)
        if isinstance(layer, keras.layers.Conv2D):
            steps.append(Step("convolution", layer.name, [label], shape))
        elif type(layer).__name__ in MERGES:
            taps = [_follow(side, []) for side in sides]
            steps.append(Step("merge", MERGES[type(layer).__name__], [], shape, taps))
        elif not steps:
            before.append(label)
        elif steps[-1].kind == "convolution" and steps[-1].shape == shape:
            steps[-1].labels.append(label)
        else:
            steps.append(Step("other", label, [], shape))
    deepest, index = _maker(max(_parents(path[0][0]), key=_depth))
    steps[0].taps.insert(0, Tap(index if isinstance(deepest, keras.Model) else None, before))
    return steps


def _blocks(trunk: keras.Model) -> list[Block]:
    """Returns the trunk's parts between taps, shallow to deep."""
    shapes = _shapes(trunk.outputs, trunk.inputs[0])
    layers, blocks, done = trunk.layers, [], 0
    for output, shape in zip(trunk.outputs, shapes, strict=True):
        tap, _ = _maker(output)
        end = layers.index(tap) + 1
        part = layers[done:end]
        convolutions = [layer for layer in part if isinstance(layer, keras.layers.Conv2D)]
        last = convolutions[-1]
        after = part[part.index(last) + 1 :]
        text = f"{len(convolutions)} × " + ", ".join(_label(layer) for layer in [last, *after])
        blocks.append(Block(last.name, text, shape))
        done = end
    return blocks


# --- drawing --------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, style: str = "") -> str:
    """Draws one line of text, its middle at y."""
    return f'<text x="{x:g}" y="{y + 4.5:g}" class="{style}">{escape(text)}</text>'


def _rectangle(x: float, y: float, width: float, height: float, style: str) -> str:
    """Draws a rounded rectangle around (x, y)."""
    return (
        f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" '
        f'rx="{min(8, height / 2):g}" class="{style}"/>'
    )


def _arrow(*points: Point) -> str:
    """Draws an arrow through points; its last segment is horizontal or vertical."""
    (x0, y0), (x, y) = points[-2:]
    dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
    line = [*points[:-1], (x - 5 * dx, y - 5 * dy)]
    bx, by = x - 8 * dx, y - 8 * dy
    head = [(x, y), (bx - 4 * dy, by + 4 * dx), (bx + 4 * dy, by - 4 * dx)]
    return (
        f'<polyline points="{_joined(line)}" class="line"/>'
        f'<polygon points="{_joined(head)}" class="head"/>'
    )


def _joined(points: list[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _box_width(shape: Shape) -> float:
    """Returns a width that grows with the picture, by 30 for twice the side."""
    return max(150.0, 240 + 30 * math.log2(shape[1] / PIXELS))


def _box(x: float, y: float, name: str, text: str, shape: Shape, style: str) -> str:
    """Draws a stage: its name, its operations, and on its outer side the size of its result."""
    width = _box_width(shape)
    outer, side = (-1, "size-left") if x == LEFT else (1, "size-right")
    return (
        _rectangle(x, y, width, BOX, style)
        + _text(x, y - 9, name, "name")
        + _text(x, y + 9, text, "quiet")
        + _text(x + outer * (width / 2 + 12), y, _size(shape), f"quiet {side}")
    )


def _size(shape: Shape) -> str:
    return " × ".join(map(str, shape))


def _pill_width(text: str) -> float:
    return PILL if len(text) == 1 else 22 + 6.5 * len(text)


def _pill(x: float, y: float, text: str) -> str:
    return _rectangle(x, y, _pill_width(text), PILL, "small") + _text(x, y, text, "quiet")


def _width(step: Step) -> float:
    return _box_width(step.shape) if step.kind == "convolution" else _pill_width(step.name)


def _height(step: Step) -> float:
    return BOX if step.kind == "convolution" else PILL


def _levels(steps: list[Step]) -> list[float]:
    """Returns the middle of each stage; they are drawn from the bottom up."""
    levels, y = [], 0.0
    for step in steps:
        y -= _height(step) + GAP
        levels.append(y + _height(step) / 2)
        y -= BOX * max(0, len(step.taps) - 1)  # room for more than one tap
    return [TOP + BOX + GAP - y + level for level in levels]


def _decoder(steps: list[Step], levels: list[float]) -> Iterator[str]:
    """Draws the right column."""
    for index, (step, y) in enumerate(zip(steps, levels, strict=True)):
        if step.kind == "convolution":
            text = ", ".join(step.labels)
            yield _box(RIGHT, y, step.name, text, step.shape, "decoder")
        else:
            yield _pill(RIGHT, y, step.name)
        if index:
            below = levels[index - 1] - _height(steps[index - 1]) / 2
            yield _arrow((RIGHT, below), (RIGHT, y + _height(step) / 2))


def _rows(steps: list[Step], levels: list[float]) -> dict[int | None, float]:
    """Returns the height of each source in the left column: that of the stage that reads it."""
    rows: dict[int | None, float] = {}
    for step, y in zip(steps, levels, strict=True):
        for index, tap in enumerate(step.taps):
            rows[tap.source] = y - (BOX + GAP) * index
    return rows


def _trunk(blocks: list[Block], rows: dict[int | None, float], top: float) -> Iterator[str]:
    """Draws the left column below the input: the trunk's blocks, pools between them."""
    above = top
    for index, block in enumerate(blocks):
        if index not in rows:
            continue
        y = rows[index]
        yield _box(LEFT, y, block.name, block.text, block.shape, "trunk")
        yield _arrow((LEFT, above + BOX / 2), (LEFT, y - BOX / 2))
        if above != top:
            yield _pill(LEFT, (above + y) / 2 - 4, "max pool")
        above = y


def _tap_lines(
    steps: list[Step], levels: list[float], rows: dict[int | None, float], shapes: dict
) -> Iterator[str]:
    """Draws lines from the left column into the decoder, with the operations on them."""
    for step, y in zip(steps, levels, strict=True):
        for tap in step.taps:
            row = rows[tap.source]
            start = LEFT + _box_width(shapes[tap.source]) / 2
            if row == y:
                yield _arrow((start, row), (RIGHT - _width(step) / 2, y))
            else:  # level with another stage: past it, then up or down to this one
                x = RIGHT - _width(step) / 4
                edge = y + math.copysign(_height(step) / 2, row - y)
                yield _arrow((start, row), (x, row), (x, edge))
            if tap.labels:
                yield _pill((LEFT + RIGHT) / 2, row, ", ".join(tap.labels))


def _how_trained(trunk: keras.Model) -> str:
    if not trunk.trainable_weights:
        return "frozen"
    kernels = [layer for layer in trunk.layers if isinstance(layer, keras.layers.Conv2D)]
    return "trained" if all(layer.trainable for layer in kernels) else "trained in part"


def _parameters(model: keras.Model, trunk: keras.Model) -> str:
    still = [layer for layer in trunk.layers if not (trunk.trainable and layer.trainable)]
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    frozen = sum(math.prod(weight.shape) for layer in still for weight in layer.weights)
    return f"{trainable:,} trainable parameters" + f", {frozen:,} frozen" * (frozen > 0)


def network_figure(model: keras.Model) -> str:
    """Draws a network.

    Args:
      model: gray -> chroma, with one nested model, the trunk, whose outputs are its taps.

    Returns:
      The text of an SVG file. Sizes in it are those for a square picture of `PIXELS`.

    Raises:
      ValueError: the model holds no trunk, or more than one.
    """
    trunks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if len(trunks) != 1:
        raise ValueError(
            "network_figure() draws a network around one nested model, its trunk. "
            f"{model.name!r} has {len(trunks)} nested models."
        )
    trunk, source = trunks[0], model.inputs[0]
    steps, blocks = _steps(model), _blocks(trunk)
    levels = _levels(steps)
    rows = _rows(steps, levels)
    top = rows.get(None, TOP + BOX / 2)  # the input is level with the stage that reads it
    picture = (PIXELS, PIXELS, source.shape[-1])
    shapes: dict[int | None, Shape] = {None: picture}
    shapes |= {index: block.shape for index, block in enumerate(blocks)}
    output = TOP + BOX / 2
    height = max([*rows.values(), *levels]) + BOX / 2 + 60
    column = f"{trunk.name} trunk, {_how_trained(trunk)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img">',
        f"<title>{escape(model.name)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height:g}" rx="8" class="paper"/>',
        _text(LEFT, top - BOX / 2 - 20, column, "heading"),
        _text(RIGHT, 24, "decoder", "heading"),
        *_tap_lines(steps, levels, rows, shapes),
        *_trunk(blocks, rows, top),
        _box(LEFT, top, source.name, "input", picture, "io"),
        *_decoder(steps, levels),
        _arrow((RIGHT, levels[-1] - _height(steps[-1]) / 2), (RIGHT, output + BOX / 2)),
        _box(RIGHT, output, model.output_names[0], "output", steps[-1].shape, "io"),
        _text(WIDTH / 2, height - 26, _parameters(model, trunk), "quiet"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
