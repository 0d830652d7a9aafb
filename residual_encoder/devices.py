"""What the machine at hand is good at: precision, compilation and distribution."""

from __future__ import annotations

import platform
from pathlib import Path

import tensorflow as tf

STRATEGIES = ("auto", "one", "mirrored")
JITS = ("auto", "on", "off")
# CPU flags of hardware bfloat16 matrix products; without them bfloat16 is slower than float32.
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}


def _gpus() -> list[tf.config.PhysicalDevice]:
    return tf.config.list_physical_devices("GPU")


def _cpu_info() -> dict[str, str]:
    """The first core's lines of /proc/cpuinfo; empty where there is no such file."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def describe() -> str:
    """The device's name, for reports."""
    gpus = _gpus()
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"{len(gpus)} x {name}"
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def precision(asked: str) -> str:
    """The arithmetic: "auto" is "bfloat16" on GPUs and on CPUs with AMX or AVX512-BF16."""
    if asked != "auto":
        return asked
    quick = bool(_gpus()) or bool(_BFLOAT16_FLAGS & set(_cpu_info().get("flags", "").split()))
    return "bfloat16" if quick else "float32"


def jit(asked: str, precision: str) -> bool:
    """Whether to compile the step with XLA; "auto" is on for a single GPU.

    Raises:
      ValueError: the name is unknown, or XLA cannot do it: on a CPU it fails on bfloat16 gradients.
    """
    if asked not in JITS:
        raise ValueError(f"jit must be one of {list(JITS)}. Received {asked!r}.")
    if asked == "on" and not _gpus() and precision == "bfloat16":
        raise ValueError(
            "jit=on with bfloat16 needs a GPU: XLA fails on bfloat16 gradients on a CPU. "
            "Give --precision=float32 or --jit=off."
        )
    return len(_gpus()) == 1 if asked == "auto" else asked == "on"


def strategy(asked: str) -> tf.distribute.Strategy:
    """The distribution strategy; "auto" is mirrored where there are several GPUs, else one device.

    Both read batches ahead onto their devices.

    Raises:
      ValueError: the name is unknown.
    """
    if asked not in STRATEGIES:
        raise ValueError(f"strategy must be one of {list(STRATEGIES)}. Received {asked!r}.")
    if asked == "mirrored" or (asked == "auto" and len(_gpus()) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.OneDeviceStrategy("/GPU:0" if _gpus() else "/CPU:0")
