"""Names and shapes of the variables of the networks with a form for inference.

With them a weights file is checked without building the network in Keras.
"""

from __future__ import annotations

from residual_encoder.imaging import ab_classes
from residual_encoder.models.configs import (
    BOTTLENECK,
    LOGITS,
    AbClassesConfig,
    NetworkConfig,
    ResidualEncoderConfig,
)
from residual_encoder.models.folded_weights import BASIS, DEEP_BLOCKS

# Of VGG16, configuration D: channels and number of the convolutions of each block.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

Shapes = dict[str, tuple[int, ...]]


def variable_shapes(config: NetworkConfig) -> Shapes | None:
    """Returns {name: shape} of a network's variables as they are saved.

    Args:
      config: Of the network.

    Returns:
      The shapes; None where the network has no form for inference.
    """
    if isinstance(config, ResidualEncoderConfig):
        return _residual_encoder(config)
    return _ab_classes(config) if isinstance(config, AbClassesConfig) else None


def _residual_encoder(config: ResidualEncoderConfig) -> Shapes:
    c4, c3, c2, c1, c0 = config.widths
    taps = [channels for channels, _ in BLOCKS[: config.taps]]
    shapes = _trunk(config.taps, rank=0)
    for number, channels in enumerate(taps, start=1):
        shapes |= _norm(f"pool{number}", channels)
    if config.taps == 5:
        shapes |= _projection("color5", 1, 512, 512) | _projection("color4", 3, 512, c4)
    else:
        shapes |= _projection("color4", 1, 512, c4)
    gray = 1 if config.gray_tap == "concat" else 0
    sizes = {"color3": (c4, c3), "color2": (c3, c2), "color1": (c2, c1), "color0": (c1 + gray, c0)}
    for name, (inside, outside) in sizes.items():
        shapes |= _projection(name, 3, inside, outside)
    return shapes | _projection("uv", 3, c0, 2)


def _ab_classes(config: AbClassesConfig) -> Shapes:
    deepest = ResidualEncoderConfig().widths[0]
    shapes = _trunk(config.taps, config.trunk_rank)
    for number in range(3, config.taps + 1):
        shapes |= _norm(f"pool{number}", BLOCKS[number - 1][0])
    if config.taps == 5:
        shapes |= _projection("color5", 1, 512, 512)
    shapes |= _projection("color4", 1, 512, deepest)
    shapes |= _bottlenecks("color4", len(config.context), deepest)
    shapes |= _projection("color3", 3, deepest, config.width)
    shapes |= _bottlenecks("color3", len(config.refinements), config.width)
    count = len(ab_classes.classes().ab)
    return shapes | {f"{LOGITS}/kernel": (1, 1, config.width, count), f"{LOGITS}/bias": (count,)}


def _trunk(taps: int, rank: int) -> Shapes:
    shapes: Shapes = {}
    inside = 3
    for block, (channels, count) in enumerate(BLOCKS[:taps], start=1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            if rank and block in DEEP_BLOCKS:
                shapes[f"{name}{BASIS}/kernel"] = (3, 3, inside, rank)
                shapes[f"{name}/kernel"] = (1, 1, rank, channels)
            else:
                shapes[f"{name}/kernel"] = (3, 3, inside, channels)
            shapes[f"{name}/bias"] = (channels,)
            inside = channels
    return shapes


def _norm(name: str, channels: int) -> Shapes:
    parts = "gamma", "beta", "moving_mean", "moving_variance"
    return {f"{name}_bn/{part}": (channels,) for part in parts}


def _projection(name: str, side: int, inside: int, outside: int) -> Shapes:
    return {f"{name}/kernel": (side, side, inside, outside)} | _norm(name, outside)


def _bottlenecks(name: str, count: int, width: int) -> Shapes:
    shapes, inner = Shapes(), width // BOTTLENECK
    for number in range(1, count + 1):
        prefix = f"{name}_context{number}"
        shapes |= _projection(f"{prefix}_in", 1, width, inner)
        shapes |= _projection(f"{prefix}_mid", 3, inner, inner)
        shapes |= _projection(f"{prefix}_out", 1, inner, width)
    return shapes
