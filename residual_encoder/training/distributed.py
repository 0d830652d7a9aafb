"""Several processes that train together: TF_CONFIG, and sums and broadcasts between them.

The first worker is the chief: it alone reads and writes the workdir, and the others get what they
need from it. Methods that sum or broadcast have to be called by all workers in the same order.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from residual_encoder.utils import devices, errors
from residual_encoder.utils.devices import STRATEGIES

JOBS = ("chief", "worker")
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
WORD = 8  # bytes of an int64, in which everything travels
# Errors of a collective when a peer is gone; broken data fails otherwise.
GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


class WorkerLost(OSError):
    """Another worker ended, or cannot be reached any more."""


def strategy(asked: str, batch_size: int = 1) -> tf.distribute.Strategy:
    """Returns the distribution strategy, which reads batches ahead onto its devices.

    Args:
      asked: "one" device; "mirrored", all GPUs of this machine; "multiworker", all GPUs of the
        workers of TF_CONFIG, which must be made before TensorFlow runs anything; or "auto", as many
        GPUs of this machine as can share the batch equally.
      batch_size: Pictures of that batch.

    Raises:
      ValueError: the name is unknown, or TF_CONFIG is missing or wrong.
      OSError: this worker's port is taken, or the others do not come.
    """
    if asked not in STRATEGIES:
        raise ValueError(f"strategy must be one of {list(STRATEGIES)}. Received {asked!r}.")
    if asked == "multiworker":
        return join()
    if asked == "mirrored":
        return tf.distribute.MirroredStrategy()
    sharing = max([n for n in range(1, len(devices.gpus()) + 1) if batch_size % n == 0], default=1)
    if asked == "auto" and sharing > 1:
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(sharing)])
    return tf.distribute.OneDeviceStrategy("/GPU:0" if devices.gpus() else "/CPU:0")


def check_tf_config() -> None:
    """Checks TF_CONFIG before TensorFlow reads it.

    Raises:
      ValueError: it is missing, or does not name a cluster of workers and this one's place in it.
    """
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise ValueError(_wanted("it is not set"))
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(_wanted(f"{text!r} is not JSON ({error})")) from None
    fault = _fault(config)
    if fault:
        raise ValueError(_wanted(fault))


def join() -> tf.distribute.MultiWorkerMirroredStrategy:
    """Joins the workers of TF_CONFIG, and waits until all are there.

    Raises:
      ValueError: TF_CONFIG is missing or wrong.
      OSError: this worker's port is taken, or the others do not come.
    """
    check_tf_config()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise OSError(
            f"Cannot join the workers of TF_CONFIG, {os.environ['TF_CONFIG']}: "
            f"{errors.first_line(error)[:200]}"
        ) from error


def _wanted(fault: str) -> str:
    return (
        f"strategy multiworker reads TF_CONFIG from the environment, and {fault}. Wanted: "
        f"{EXAMPLE}, with the same cluster for every worker and an index of its own for each."
    )


def _fault(config: Any) -> str | None:
    """Returns the error in the JSON of TF_CONFIG, if there is one."""
    cluster = config.get("cluster") if isinstance(config, dict) else None
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(cluster, dict) or not isinstance(task, dict) or not cluster:
        return "it lacks a cluster or a task"
    strange = sorted(cluster.keys() - set(JOBS))
    if strange:
        return f"its cluster has {strange}, which takes no part in training"
    for job, addresses in cluster.items():
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)):
            return f"the addresses of {job!r} are {addresses!r}, not a list of host:port"
    addresses = [address for job in cluster.values() for address in job]
    if len(set(addresses)) < len(addresses):
        return f"an address is there twice: {addresses}"
    job, index = task.get("type"), task.get("index")
    if job not in cluster:
        return f"its task is of type {job!r}, its cluster of {sorted(cluster)}"
    if not isinstance(index, int) or not 0 <= index < len(cluster[job]):
        return f"the index of its task is {index!r}, and there are {len(cluster[job])}"
    return None


def _is_address(address: Any) -> bool:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


@dataclass(frozen=True)
class WorkerGroup:
    """Workers that train together; a single process is a group of one.

    Attributes:
      strategy: The strategy that the worker trains with.
      index: Its number; the chief's is 0.
      count: How many workers there are.
    """

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, strategy: tf.distribute.Strategy) -> WorkerGroup:
        """Returns the group that a strategy belongs to."""
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict() if resolver else {}
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return cls(strategy)
        places = [(job, index) for job in JOBS for index, _ in enumerate(cluster.get(job, ()))]
        return cls(strategy, places.index((resolver.task_type, resolver.task_id)), len(places))

    @property
    def chief(self) -> bool:
        """Returns whether this worker is the one that reads and writes the workdir."""
        return self.index == 0

    def total(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Sums over the workers.

        Args:
          numbers: Integers [N], as many at every worker.

        Returns:
          int64 [N].
        """
        own = np.asarray(numbers, np.int64)
        return self._sum(tf.constant(own)).numpy() if self.count > 1 else own

    @functools.cached_property
    def _sum(self) -> Callable[[Any], Any]:
        strategy, local = self.strategy, self.strategy.num_replicas_in_sync // self.count

        def term(numbers: Any) -> Any:
            """Counts the first replica of a worker only."""
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.where(tf.equal(replica % local, 0), numbers, tf.zeros_like(numbers))

        @tf.function
        def total(numbers: Any) -> Any:
            terms = strategy.run(term, args=(numbers,))
            return strategy.reduce(tf.distribute.ReduceOp.SUM, terms, axis=None)

        return total

    def any(self, flag: bool) -> bool:
        """Returns whether it is true at any worker."""
        return bool(self.total([flag])[0])

    def wait(self) -> None:
        """Returns when all workers have got here."""
        self.total([0])

    def broadcast_bytes(self, data: bytes) -> bytes:
        """Returns the chief's bytes; those of the others do not matter."""
        if self.count == 1:
            return data
        (size,) = self.total([len(data) if self.chief else 0])
        words = np.zeros(-(-size // WORD), np.int64)  # added to the zeros of the others
        if self.chief:
            words.view(np.uint8)[:size] = np.frombuffer(data, np.uint8)
        return self.total(words).tobytes()[:size]

    def broadcast_json(self, value: Any) -> Any:
        """Returns the chief's value, which is JSON-able."""
        return json.loads(self.broadcast_bytes(json.dumps(value).encode()))

    def broadcast_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the chief's arrays, to the bit; names, shapes, types are the same everywhere."""
        data = self.broadcast_bytes(b"".join(array.tobytes() for array in arrays.values()))
        values, begin = {}, 0
        for name, array in arrays.items():
            value = np.frombuffer(data, array.dtype, array.size, begin)
            values[name] = value.reshape(array.shape)
            begin += array.nbytes
        return values

    @contextlib.contextmanager
    def errors_as_worker_lost(self) -> Iterator[None]:
        """Surrounds everything that needs the other workers.

        Raises:
          WorkerLost: one of them is gone.
        """
        try:
            yield
        except GONE as error:
            if self.count == 1:
                raise
            raise WorkerLost(
                f"Worker {self.index} lost another one of the {self.count}, whose own output tells "
                "why. Start all of them again, or fewer: they resume from the newest checkpoint."
            ) from error
