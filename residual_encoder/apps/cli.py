"""Starts commands: parses flags, keeps TensorFlow quiet, ends a user's errors in one line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import app, flags, logging

INTERRUPTED = 75  # exit code of work that was stopped and saved: EX_TEMPFAIL of sysexits.h


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Discards what C++ writes to stderr: TensorFlow 2.21 logs before its log level counts."""
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

    Commands call it after their flags are parsed. Errors are Python exceptions anyway.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the driver's own notices, once


class _ShortHelp(flags.BooleanFlag):
    """Makes -h the same as --help."""

    def __init__(self) -> None:
        super().__init__("h", False, "show this help")

    def parse(self, argument: Any) -> None:
        """Prints the help and exits."""
        if argument:
            app.usage(shorthelp=True, writeto_stdout=True)
            sys.exit(0)


flags.DEFINE_flag(_ShortHelp())


def run(
    main: Callable[[list[str]], int | None], positional: bool = False, foreign: bool = False
) -> None:
    """Parses flags and runs `main`; a user's error becomes one line on stderr and exit code 1.

    Args:
      main: Takes the arguments that are no flags, returns the exit code (None is 0).
      positional: Whether such arguments are allowed.
      foreign: Whether flags that are not defined are passed to `main`, instead of refused.
    """
    logging.set_verbosity(logging.WARNING)
    _show_in_help(main.__module__)

    def guarded(argv: list[str]) -> int:
        arguments = argv[1:]
        try:
            if arguments and not positional:
                raise ValueError(f"takes flags only, received {arguments}; see --help")
            return main(arguments) or 0
        except (ValueError, OSError) as error:
            print(_error_line(error), file=sys.stderr)
            return 1

    app.run(guarded, flags_parser=lambda argv: _parse(argv, foreign))


def _parse(argv: list[str], foreign: bool) -> list[str]:
    """Returns the program's name and all that is no flag of the command."""
    try:
        return flags.FLAGS(argv, known_only=foreign)
    except flags.Error as error:
        sys.exit(_error_line(error))
    except SystemExit:  # absl ends --help with 1
        sys.exit(0)


def _error_line(error: Exception) -> str:
    return f"{Path(sys.argv[0]).name}: error: {' '.join(str(error).split())}"


def _show_in_help(module: str) -> None:
    """Lets --help show the text and the flags of the module of `main`."""
    if module != "__main__":
        sys.modules["__main__"].__doc__ = sys.modules[module].__doc__
        for flag in flags.FLAGS.get_flags_for_module(module):
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def expanded(path: str | None) -> str | None:
    """Returns a path with its ~ replaced; None and "" as they are."""
    return path and os.path.expanduser(path)
