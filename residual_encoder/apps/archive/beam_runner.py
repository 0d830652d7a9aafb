"""Runs Apache Beam: checks that it is installed, reads its flags, waits for a pipeline's end."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NoReturn

from residual_encoder.apps.archive import processes

COUNTERS = "residual_encoder"  # the namespace of what pipelines count


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits the arguments that are left after a command's own flags: (inputs, flags for Beam).

    Everything from the first argument that begins with -- is Beam's, whose values may stand alone.
    """
    first = next((at for at, text in enumerate(arguments) if text.startswith("--")), None)
    return list(arguments[:first]), [] if first is None else list(arguments[first:])


def options(flags: Sequence[str]) -> Any:
    """Returns Beam's `PipelineOptions` of command-line flags.

    Raises:
      ValueError: Beam is not installed, does not know a flag, or does not take its value.
    """
    if importlib.util.find_spec("apache_beam") is None:
        ignored = f", so {' '.join(flags)} cannot be read" if flags else ""
        raise ValueError(
            f"Apache Beam is not installed{ignored}; in the project's folder: "
            'pip install ".[beam]"'
        )
    with _calm():
        from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    parsers[0].error = _refuse  # type: ignore[method-assign]
    unknown = parsers[0].parse_known_args(list(flags))[1]
    if unknown:
        raise ValueError(
            f"neither this tool nor Apache Beam knows {' '.join(unknown)}; "
            "inputs come first, Beam's flags last"
        )
    chosen = PipelineOptions(list(flags))
    _refuse_dask_runner(chosen)
    return chosen


def _refuse_dask_runner(chosen: Any) -> None:
    """Refuses a runner that was measured to lose data without an error."""
    from apache_beam.options.pipeline_options import StandardOptions

    asked = chosen.view_as(StandardOptions).runner or ""
    if asked.rpartition(".")[2].lower() in ("daskrunner", "dask"):
        raise ValueError(
            f"--runner={asked} loses data: of Beam 2.77's Dask runner, files of several transforms "
            "came out empty, only the last of two branches was computed, and nothing was counted. "
            "Pass --engine=dask, which runs on Dask itself"
        )


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """Disables warnings: Beam's import has one about Google's libraries, which are optional."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _refuse(message: str) -> NoReturn:
    raise ValueError(f"Apache Beam's flags: {message}")


def run(chosen: Any, build: Callable[[Any], object]) -> dict[str, int]:
    """Builds a pipeline, runs it and waits for its end.

    Args:
      chosen: The result of `options`.
      build: Applies transforms to the `Pipeline` that it is given.

    Returns:
      Counter -> count, of those that `count` counted.

    Raises:
      RuntimeError: the pipeline failed.
    """
    done: Future[dict[str, int]] = Future()  # the main thread is free for signals

    def work() -> None:
        try:
            done.set_result(_run(chosen, build))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return done.result()


def _run(chosen: Any, build: Callable[[Any], object]) -> dict[str, int]:
    import apache_beam as beam
    from apache_beam.metrics import MetricsFilter

    processes.let_find_package()
    pipeline = beam.Pipeline(_runner(chosen), chosen)
    build(pipeline)
    result = pipeline.run()
    if result.wait_until_finish() != "DONE":
        raise RuntimeError(
            f"The pipeline ended as {result.state}; its runner's log has the reason."
        )
    found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    return {counter.key.metric.name: counter.result or 0 for counter in found}


def count(name: str) -> None:
    """Adds one to a counter, inside a pipeline."""
    from apache_beam.metrics import Metrics

    Metrics.counter(COUNTERS, name).inc()


def _runner(chosen: Any) -> Any:
    """Returns the runner that is asked for; DirectRunner, and none, is Beam's own in Python.

    Beam's DirectRunner first looks for Prism, a Go program that it fetches from the internet.
    """
    from apache_beam.options.pipeline_options import StandardOptions, WorkerOptions

    asked = chosen.view_as(StandardOptions).runner
    if asked not in (None, "DirectRunner"):
        return None  # Beam finds it by its name
    from apache_beam.portability import python_urns
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle

    worker = chosen.view_as(WorkerOptions)
    worker.default_sdk_harness_log_level = worker.default_sdk_harness_log_level or "ERROR"
    encoded = JobServiceHandle.encode_pipeline_options(chosen.get_all_options(drop_default=True))
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)

    class Runner(fn_runner.FnApiRunner):
        """Starts worker processes that Ctrl-C in a terminal, which they get too, does not end."""

        def run_via_runner_api(self, pipeline_proto: Any, options: Any) -> Any:
            for environment in pipeline_proto.components.environments.values():
                if environment.urn == python_urns.SUBPROCESS_SDK and os.name == "posix":
                    environment.payload = b"trap '' INT; " + environment.payload
            return super().run_via_runner_api(pipeline_proto, options)

    return Runner(provision_info=fn_runner.ExtendedProvisionInfo(provision))
