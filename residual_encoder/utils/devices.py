"""What the machine at hand is good at: precision, compilation and distribution."""

from __future__ import annotations

import platform
from pathlib import Path

import tensorflow as tf

from residual_encoder.training import distributed

STRATEGIES = ("auto", "one", "mirrored", "multiworker")
JITS = ("auto", "on", "off")
# CPU flags of hardware bfloat16 matrix products; without them bfloat16 is slower than float32.
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}


def gpus() -> list[tf.config.PhysicalDevice]:
    """The GPUs that TensorFlow sees."""
    return tf.config.list_physical_devices("GPU")


def _cpu_info() -> dict[str, str]:
    """The first core's lines of /proc/cpuinfo; empty where there is no such file."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def describe() -> str:
    """The device's name, for reports."""
    found = gpus()
    if found:
        name = tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")
        return f"{len(found)} x {name}"
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def precision(asked: str) -> str:
    """The arithmetic: "auto" is "bfloat16" on GPUs and on CPUs with AMX or AVX512-BF16."""
    if asked != "auto":
        return asked
    quick = bool(gpus()) or bool(_BFLOAT16_FLAGS & set(_cpu_info().get("flags", "").split()))
    return "bfloat16" if quick else "float32"


def jit(asked: str, precision: str, replicas: int = 1) -> bool:
    """Whether to compile the step with XLA; "auto" is on for a single GPU.

    Raises:
      ValueError: the name is unknown, or XLA cannot do it: on a CPU it fails on bfloat16 gradients,
        and it does not compile what several replicas tell each other.
    """
    if asked not in JITS:
        raise ValueError(f"jit must be one of {list(JITS)}. Received {asked!r}.")
    if asked == "on" and not gpus() and precision == "bfloat16":
        raise ValueError(
            "jit=on with bfloat16 needs a GPU: XLA fails on bfloat16 gradients on a CPU. "
            "Give --precision=float32 or --jit=off."
        )
    if asked == "on" and replicas > 1:
        raise ValueError(
            f"jit=on compiles the step of one replica, and there are {replicas}. Give --jit=off."
        )
    return len(gpus()) == 1 and replicas == 1 if asked == "auto" else asked == "on"


def strategy(asked: str, batch_size: int = 1) -> tf.distribute.Strategy:
    """The distribution strategy.

    All of them read batches ahead onto their devices.

    Args:
      asked: "one" device; "mirrored", all GPUs of this machine; "multiworker", all GPUs of the
        workers of TF_CONFIG, which must be made before TensorFlow runs anything; or "auto", as many
        GPUs of this machine as can share the batch equally.
      batch_size: Pictures of that batch.

    Raises:
      ValueError: the name is unknown, or TF_CONFIG is missing or wrong.
      OSError: the workers do not find each other.
    """
    if asked not in STRATEGIES:
        raise ValueError(f"strategy must be one of {list(STRATEGIES)}. Received {asked!r}.")
    if asked == "multiworker":
        return distributed.join()
    if asked == "mirrored":
        return tf.distribute.MirroredStrategy()
    sharing = max([n for n in range(1, len(gpus()) + 1) if batch_size % n == 0], default=1)
    if asked == "auto" and sharing > 1:
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(sharing)])
    return tf.distribute.OneDeviceStrategy("/GPU:0" if gpus() else "/CPU:0")
