"""What every command's door does: keep TensorFlow quiet, end errors in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import app, flags, logging


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Sends stderr of C++ to nowhere: TensorFlow 2.21 logs before its log level counts."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its notes of CPU features, drivers and graph passes.

    Errors are Python exceptions anyway.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the driver's own notices, once


def run(
    main: Callable[[list[str]], int | None], positional: bool = False, foreign: bool = False
) -> None:
    """Parses flags and runs `main`; a user's error becomes one line on stderr and exit code 1.

    Args:
      main: Takes the arguments that are no flags, returns the exit code (None is 0).
      positional: Whether such arguments are allowed.
      foreign: Whether flags that are not defined are arguments too, instead of errors.
    """
    logging.set_verbosity(logging.WARNING)
    _list_flags(main.__module__)

    def guarded(argv: list[str]) -> int:
        tool, arguments = Path(argv[0]).name, argv[1:]
        try:
            if arguments and not positional:
                raise ValueError(f"takes flags only, received {arguments}; see --help")
            return main(arguments) or 0
        except (ValueError, OSError) as error:
            print(f"{tool}: error: {' '.join(str(error).split())}", file=sys.stderr)
            return 1

    app.run(guarded, flags_parser=_parse_known if foreign else app.parse_flags_with_usage)


def _parse_known(argv: list[str]) -> list[str]:
    """The program's name and all that is no flag of ours."""
    try:
        return flags.FLAGS(argv, known_only=True)
    except flags.Error as error:
        sys.exit(f"{Path(argv[0]).name}: error: {' '.join(str(error).split())}")


def _list_flags(module: str) -> None:
    """Lets --help list the flags of a `main` that lives in a module, not in the script."""
    if module != "__main__":
        for flag in flags.FLAGS.get_flags_for_module(module):
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def network_size(text: str) -> int | str:
    """The value of a --size flag: "auto", or a number of pixels.

    Raises:
      ValueError: it is neither.
    """
    if text != "auto" and not text.isdecimal():
        raise ValueError(f"--size takes auto or a number of pixels, received {text!r}")
    return text if text == "auto" else int(text)
