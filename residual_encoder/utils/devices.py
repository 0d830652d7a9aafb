"""What the machine at hand computes fast: its GPUs, its precision, compilation.

TensorFlow is loaded when a function first needs it, so that flags are read without it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Here and not with `training.distributed.strategy`, because flags are read without TensorFlow.
STRATEGIES = ("auto", "one", "mirrored", "multiworker")
JITS = ("auto", "on", "off")
# CPU flags of hardware bfloat16 matrix products. Without them bfloat16 is slower than float32: with
# AVX-512 alone a third as fast (docs/performance.md).
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
# Values of oneDNN's variables that keep it from those instructions ("CPU dispatcher control" in its
# documentation), and of them those with which it has no bfloat16 convolutions.
_ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_NO_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI"}
_SLOW_BFLOAT16 = _NO_BFLOAT16 | {"AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
_NO_AMX = _SLOW_BFLOAT16 | {"AVX512_CORE_BF16", "AVX10_1_512", "AVX512_CORE_FP16"}
_STDERR = threading.RLock()


def load_tensorflow() -> None:
    """Imports TensorFlow without its notes of CPU features, drivers and graph passes.

    Does nothing where it is imported already.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the driver's own notices, once


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what C++ writes to stderr: TensorFlow 2.21 and LiteRT log whatever their level.

    One thread at a time: a second one would save, and in the end restore, what discards it.
    """
    if sys.stderr is None:  # closed, as services have it
        yield
        return
    with _STDERR:
        sys.stderr.flush()
        saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(nowhere)


def gpus() -> list[Any]:
    """Returns the GPUs that TensorFlow sees, as its physical devices."""
    import tensorflow as tf

    return tf.config.list_physical_devices("GPU")


def share_gpu_memory() -> None:
    """Takes GPU memory as it is needed, not all of it at once, so that other programs have room.

    Raises:
      RuntimeError: the GPU is in use already.
    """
    import tensorflow as tf

    for gpu in gpus():
        tf.config.experimental.set_memory_growth(gpu, True)


def _cpu_info() -> dict[str, str]:
    """Returns the first core's lines of /proc/cpuinfo; nothing where there is no such file."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().split("\n\n")[0].splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def describe() -> str:
    """Returns the device's name, for reports."""
    found = gpus()
    if found:
        import tensorflow as tf

        name = tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")
        return f"{len(found)} x {name}"
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def precision(asked: str) -> str:
    """Returns the precision: "auto" is "bfloat16" on GPUs and on CPUs with AMX or AVX512-BF16.

    Raises:
      ValueError: "bfloat16" on a CPU whose instructions are limited to AVX2 by a variable of the
        environment: oneDNN fails there.
    """
    if asked == "bfloat16" and _isa_limits() & _NO_BFLOAT16 and not gpus():
        raise ValueError(
            f"bfloat16 on a CPU needs AVX-512, and {' or '.join(_ISA_LIMITS)} in the environment "
            "excludes it. Remove that variable, or take the precision float32."
        )
    if asked != "auto":
        return asked
    return "bfloat16" if gpus() or _cpu_is_fast_in_bfloat16() else "float32"


def _cpu_is_fast_in_bfloat16() -> bool:
    flags = set(_cpu_info().get("flags", "").split())
    return bool(_BFLOAT16_FLAGS & flags) and not _isa_limits() & _SLOW_BFLOAT16


def has_amx() -> bool:
    """Returns whether oneDNN multiplies matrices in bfloat16 by AMX."""
    flags = _cpu_info().get("flags", "").split()
    return "amx_bf16" in flags and not _isa_limits() & _NO_AMX


def _isa_limits() -> set[str]:
    """Returns the sets of instructions that the environment limits oneDNN to."""
    return {os.environ.get(name, "").upper() for name in _ISA_LIMITS}


def jit(asked: str, precision: str, replicas: int = 1) -> bool:
    """Returns whether to compile the step with XLA; "auto" is on for a single GPU.

    Raises:
      ValueError: the name is unknown, or XLA cannot do it: on a CPU it fails on bfloat16 gradients,
        and it does not compile the communication of several replicas.
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
