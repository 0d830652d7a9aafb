"""A trained network as a LiteRT file for phones and small computers.

TensorFlow converts the network to float32, LiteRT's quantizer makes float16 or int8 of that, and
LiteRT's interpreter runs the file, and its output is compared with the network's.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from residual_encoder.data import input_pipeline
from residual_encoder.data.configs import DataConfig
from residual_encoder.data.record_stats import RecordStats
from residual_encoder.evaluation import metrics
from residual_encoder.export.model_file import card_of, check_size, load_for_export
from residual_encoder.imaging.colorspace import GRAYS
from residual_encoder.inference import litert_file
from residual_encoder.inference.model_loading import Loaded
from residual_encoder.models import layers
from residual_encoder.models.vividness import AS_TRAINED, ColorChoice
from residual_encoder.recipes import Recipe
from residual_encoder.utils import files, litert_runtime
from residual_encoder.utils.typing import Tensor

Runner = Callable[[np.ndarray], np.ndarray]  # gray [1, H, W, 1] -> chroma [1, H, W, 2]

PRECISIONS = ("float16", "int8")
INPUT, OUTPUT = "grayscale", "chroma"  # names in the file's one signature
# Largest difference in chroma that float16 may make: one step of an 8-bit code value.
FLOAT16_TOLERANCE = 1 / 255
# Most that int8 may cost in pooled PSNR, in dB.
INT8_TOLERANCE = 0.3
RUNS = 9  # timed, after one that is not


@dataclass(frozen=True)
class LitertConfig:
    """Settings of a LiteRT export.

    Attributes:
      model: A training workdir or a weights file.
      output: The file to make, NAME.tflite.
      precision: "float16": half the bytes, computed in float32 where there is no float16. "int8": a
        quarter, convolutions in 8-bit integers but the last.
      size: (height, width) that the file takes; None makes both free, multiples of the recipe's.
      data: Photographs in color. int8 needs them; its ranges come from them.
      photographs: How many of the training split are read: every second one sets the ranges, the
        others verify the file.
      colors: Which color is taken from a distribution; fixed in the file.
    """

    model: str
    output: str
    precision: str = "float16"
    size: tuple[int, int] | None = None
    data: DataConfig | None = None
    photographs: int = 200
    colors: ColorChoice = AS_TRAINED

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; choose from {PRECISIONS}")
        if Path(self.output).suffix != litert_file.SUFFIX:
            raise ValueError(
                f"output is {self.output}; a LiteRT file's name ends in {litert_file.SUFFIX}"
            )
        if self.precision == "int8" and self.data is None:
            raise ValueError("int8 takes its ranges from photographs: pass data and data_dir")
        if self.photographs < 2:
            raise ValueError(f"photographs is {self.photographs}; at least 2 are needed")


@dataclass(frozen=True)
class Report:
    """Reports the measurements of a file, at one size, with as many threads as there are cores.

    Attributes:
      size: (height, width) of the pictures it was verified with.
      photographs: How many of them were photographs; the others are noise.
      size_bytes: Of the file.
      difference: Largest distance of its chroma from the network's, of 1.
      mean_difference: The same on average.
      psnr: Pooled, of the photographs colored by it, dB; None without photographs.
      network_psnr: The same of the network.
      milliseconds: A picture takes, median.
      network_milliseconds: The same in the SavedModel's graph.
    """

    size: tuple[int, int]
    photographs: int
    size_bytes: int
    difference: float
    mean_difference: float
    psnr: float | None
    network_psnr: float | None
    milliseconds: float
    network_milliseconds: float

    def __str__(self) -> str:
        """Summarizes the file in one line for people."""
        kind = f"{self.photographs} photographs" if self.photographs else "noise"
        parts = [
            f"{self.size_bytes / 1e6:.1f} MB",
            f"chroma within {self.difference:.1e} of the network's, {self.mean_difference:.1e} on "
            f"average ({kind}, {self.size[0]}x{self.size[1]})",
            f"{self.milliseconds:.0f} ms a picture, {self.network_milliseconds:.0f} in TensorFlow",
        ]
        if self.photographs:
            parts.append(f"pooled PSNR {self.psnr:.2f} dB, the network's {self.network_psnr:.2f}")
        return "; ".join(parts)


def export_litert(config: LitertConfig) -> Report:
    """Writes a LiteRT file, checks that it colors as the network does, and only then keeps it.

    Its one signature takes `grayscale` float32 [1, H, W, 1] in [0, 1] and gives `chroma` float32
    [1, H, W, 2] in [0, 1], as the SavedModel's signature `network` does. The recipe lies behind the
    graph; see `litert_file`.

    Raises:
      FileExistsError: the output exists.
      FileNotFoundError: there is no such model.
      ValueError: the model is damaged or a SavedModel; the size is no multiple; LiteRT is not
        installed; too few photographs came; or the file colors differently. Nothing is kept then.
      OSError: the output cannot be written.
    """
    _check_installed()
    files.check_can_be_made(config.output)
    loaded = load_for_export(config.model, config.colors)
    size = _checked_size(config.size, loaded.recipe)
    photographs = _photographs(config.data, config.photographs, size)
    content = _converted(loaded.network, config.size)
    calibration = _grays(loaded.recipe, photographs[0::2])
    content = _quantized(content, config.precision, calibration, _last_layer(loaded.network))
    content = litert_file.with_card(content, card_of(loaded))
    report = verify(loaded, content, size, photographs[1::2])
    _check(report, config.precision)
    files.check_free(config.output)  # it may have come while we worked
    files.make_folder(Path(config.output).parent)
    with files.replacing(config.output) as temporary:
        temporary.write_bytes(content)
    return report


def _check_installed() -> None:
    try:
        import ai_edge_litert.interpreter  # noqa: F401
        import litert_quantizer  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'LiteRT files need LiteRT; in the project\'s folder: pip install ".[litert]"'
        ) from error


def _checked_size(size: tuple[int, int] | None, recipe: Recipe) -> tuple[int, int]:
    """Returns the size wanted or, where it is free, the recipe's square to verify the file with."""
    multiple = recipe.multiple
    check_size(size)
    if size is None:
        side = multiple * max(1, round(recipe.inference_size / multiple))
        return side, side
    if any(side % multiple for side in size):
        raise ValueError(
            f"Height and width must be multiples of {multiple}, what the network halves. "
            f"Received {size[0]}x{size[1]}."
        )
    return size


def _check(report: Report, precision: str) -> None:
    if precision == "float16" and not report.difference <= FLOAT16_TOLERANCE:
        raise ValueError(
            f"In float16 chroma differs from the network's by {report.difference:.4f}, allowed are "
            f"{FLOAT16_TOLERANCE:.4f}; nothing was kept."
        )
    if precision == "int8":
        loss = (report.network_psnr or 0) - (report.psnr or 0)
        if not loss <= INT8_TOLERANCE:
            raise ValueError(
                f"In int8 pooled PSNR falls by {loss:.2f} dB on {report.photographs} photographs, "
                f"allowed are {INT8_TOLERANCE}; nothing was kept. More photographs may help."
            )


# --- conversion -----------------------------------------------------------------------------------


class _Resize2(keras.layers.Layer):
    """x2 upsampling as one operation, which every device has.

    `layers.Upsample2` computes the same by slices and a tensor of five dimensions, which graphics
    processors of phones do not take; Keras's loses track of the channels where sizes are free.
    """

    def __init__(self, operation: Callable[..., Tensor], **settings: Any) -> None:
        super().__init__(**settings)
        self.operation = operation

    def call(self, x: Tensor) -> Tensor:
        """Upsamples [1, H, W, C] to [1, 2H, 2W, C]."""
        shape = tf.shape(x)
        height, width = x.shape[1] or shape[1], x.shape[2] or shape[2]
        return self.operation(images=x, size=[2 * height, 2 * width])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Doubles the height and width, where they are known."""
        batch, height, width, channels = input_shape
        return batch, height and 2 * height, width and 2 * width, channels


def _for_devices(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns a layer that computes the same and converts, for `keras.models.clone_model`."""
    if isinstance(layer, layers.Upsample2):
        half_pixel = isinstance(layer, layers.HalfPixelUpsample2)
        bilinear = partial(tf.raw_ops.ResizeBilinear, half_pixel_centers=half_pixel)
        return _Resize2(bilinear, name=layer.name)
    if isinstance(layer, keras.layers.UpSampling2D):  # as Keras's defaults are: x2, nearest
        return _Resize2(tf.raw_ops.ResizeNearestNeighbor, name=layer.name)
    return layer  # with its weights


def _converted(network: keras.Model, size: tuple[int, int] | None) -> bytes:
    """Converts the network to float32, LiteRT's own operations only, batch norms folded."""
    model = keras.models.clone_model(network, clone_function=_for_devices)
    spec = tf.TensorSpec([1, *(size or (None, None)), 1], tf.float32, INPUT)
    module = tf.Module()
    module.weights = [variable.value for variable in model.weights]  # what the graph reads
    function = tf.function(lambda grayscale: {OUTPUT: model(grayscale)}, input_signature=[spec])
    traced = [function.get_concrete_function()]
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions(traced, module).convert())


def _last_layer(network: keras.Model) -> str:
    """Returns the name of the convolution that makes the output."""
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    return [layer.name for layer in network.layers if isinstance(layer, kinds)][-1]


def _quantized(
    content: bytes, precision: str, calibration: Iterable[np.ndarray], last_layer: str
) -> bytes:
    """Stores weights as float16, or runs convolutions and pooling in int8; but not the last one.

    Its answers are logits, for which eight bits are too coarse: 0.2 dB of the 0.9 that eight bits
    everywhere would cost. In float16 its rounded kernel was 0.003 to 0.005 of chroma off in white
    corners of photographs, where its inputs are large, and 0.00001 elsewhere. The rest are the
    batch norms of the taps, whose factors lie too far apart for one scale: other operations stay in
    float32 as well.
    """
    from litert_quantizer import qtyping, quantizer

    work, operations = quantizer.Quantizer(bytearray(content)), qtyping.TFLOperationName
    weighted = (operations.CONV_2D, operations.CONV_2D_TRANSPOSE, operations.DEPTHWISE_CONV_2D)
    if precision == "float16":
        half = qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT)
        settings = qtyping.OpQuantizationConfig(
            weight_tensor_config=half,
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        )
        for operation in weighted:
            work.update_quantization_recipe(".*", operation, settings, "float_casting")
    else:
        for operation in (*weighted, operations.MAX_POOL_2D):
            work.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
    last = rf"/{re.escape(last_layer)}(_\d+)?/"
    work.update_quantization_recipe(last, operations.ALL_SUPPORTED, None, "no_quantize")
    samples = {"serving_default": [{INPUT: gray[None]} for gray in calibration]}
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        ranges = work.calibrate(samples, num_threads=os.cpu_count() or 1)
        result = work.quantize(ranges or None, enable_progress_report=False)
    return bytes(result.quantized_model)


# --- photographs ----------------------------------------------------------------------------------


def _photographs(data: DataConfig | None, limit: int, size: tuple[int, int]) -> np.ndarray:
    """Reads the middles of photographs: uint8 [n, *size, 3]; none without data.

    Raises:
      ValueError: fewer than two came, or too many are broken.
    """
    if data is None:
        return np.zeros((0, *size, 3), np.uint8)
    stats = RecordStats()
    batches = input_pipeline.eval_batches(
        data, batch_size=16, image_size=max(size), limit=limit, split="train", stats=stats
    )
    with stats.reraising():
        squares = [batch.rgb.numpy() for batch in batches]
    count = sum(len(square) for square in squares)
    if count < 2:
        raise ValueError(f"There are {count} photographs in the training split; 2 are needed.")
    top, left = ((max(size) - side) // 2 for side in size)
    return np.concatenate(squares)[:, top : top + size[0], left : left + size[1]]


def _grays(recipe: Recipe, rgb_u8: np.ndarray) -> Iterator[np.ndarray]:
    """Converts each picture to gray, float32 [H, W, 1] in [0, 1]."""
    for picture in rgb_u8:
        yield GRAYS[recipe.gray](tf.constant(picture, tf.float32) / 255).numpy()


# --- verification ---------------------------------------------------------------------------------


def runner(content: bytes) -> Runner:
    """Loads a LiteRT file to call: gray [1, H, W, 1] float32 -> chroma [1, H, W, 2] float32."""
    interpreter = litert_runtime.interpreter(content, "The file")
    signature = interpreter.get_signature_runner()  # resizes the free dimensions
    return lambda gray: signature(**{INPUT: gray})[OUTPUT]


def verify(
    loaded: Loaded, content: bytes, size: tuple[int, int], photographs: np.ndarray
) -> Report:
    """Compares a LiteRT file with the network it was made of.

    Args:
      loaded: The network.
      content: The file's bytes.
      size: (height, width) that both take.
      photographs: [n, *size, 3] uint8, in color; none, and it is noise that is colored.
    """
    spec = tf.TensorSpec([1, None, None, 1], tf.float32)
    graph = tf.function(loaded.network, input_signature=[spec])
    network, device = (lambda gray: graph(tf.constant(gray)).numpy()), runner(content)
    noise = np.random.default_rng(0).random((2, *size, 1), np.float32)
    grays = list(_grays(loaded.recipe, photographs)) or list(noise)
    pairs = [(device(gray[None]), network(gray[None])) for gray in grays]
    distances = [np.abs(output - reference) for output, reference in pairs]
    psnr = [_pooled_psnr(loaded.recipe, photographs, part) for part in zip(*pairs, strict=True)]
    return Report(
        size=size,
        photographs=len(photographs),
        size_bytes=len(content),
        difference=float(np.max(distances)),
        mean_difference=float(np.mean(distances)),
        psnr=psnr[0],
        network_psnr=psnr[1],
        milliseconds=_milliseconds(device, grays[0][None]),
        network_milliseconds=_milliseconds(network, grays[0][None]),
    )


def _pooled_psnr(
    recipe: Recipe, photographs: np.ndarray, chromas: Iterable[np.ndarray]
) -> float | None:
    """Computes the PSNR of all together, dB, as `metrics` does; None without photographs."""
    squares = []
    for picture, gray, chroma in zip(
        photographs, _grays(recipe, photographs), chromas, strict=False
    ):
        output = metrics.quantize(recipe.space.merge(gray[None], chroma))[0]
        squares.append(np.mean((output.numpy().astype(float) - picture) ** 2))
    return float(metrics.psnr(np.mean(squares))) if squares else None


def _milliseconds(run: Runner, gray: np.ndarray) -> float:
    """Measures the median time of a run."""
    run(gray)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(gray)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
