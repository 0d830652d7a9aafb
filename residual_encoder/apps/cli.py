"""Starts commands: parses flags, keeps TensorFlow quiet, ends a user's errors in one line."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from absl import app, flags, logging

from residual_encoder.utils import devices

INTERRUPTED = 75  # exit code of work that was stopped and saved: EX_TEMPFAIL of sysexits.h
UNREAD = 141  # exit code where nobody reads stdout: 128 and SIGPIPE, as shells call it


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its notes of CPU features, drivers and graph passes.

    Commands call it after their flags are parsed. Errors are Python exceptions anyway.
    """
    in_main = threading.current_thread() is threading.main_thread()  # others take no signals
    with stoppable_loading() if in_main else contextlib.nullcontext():
        devices.load_tensorflow()


def single_threaded_algebra() -> None:
    """Keeps NumPy's algebra in one thread; to be called before NumPy is imported.

    Coloring has small products only, in which more threads mostly wait for each other: under load
    they took 100 ms of a picture's time instead of 2.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# --- long work ------------------------------------------------------------------------------------

# What decoders of pictures print by themselves about harmless faults of a file.
_CODECS = ("libpng", "TIFF", "LibTIFF", "Corrupt JPEG", "Premature end of JPEG", "JPEG datastream")
_STOPPED = "Stopped; files that were not finished are not kept."
_AGAIN = 0.02  # seconds after which an ignored interrupt is repeated
_ABSENT = re.compile(r"flag --(\w+)=None: Flag --\1 must have a value other than None\.")
_READER_ENDS = 1.0  # seconds that are waited for the last lines


@contextlib.contextmanager
def stoppable_loading() -> Iterator[None]:
    """Ends the program in one line at Ctrl-C and SIGTERM, while nothing is lost by that.

    Libraries that are being imported may swallow an exception, so that none is raised here.
    """
    terminal = os.dup(2)  # stderr may be closed while TensorFlow is imported

    def end(_number: int, _frame: Any) -> NoReturn:
        os.write(terminal, b"Stopped while loading; nothing was begun.\n")
        os._exit(INTERRUPTED)

    try:
        with _signals(end):
            yield
    finally:
        os.close(terminal)


@contextlib.contextmanager
def stoppable() -> Iterator[threading.Event]:
    """Makes Ctrl-C and SIGTERM raise `KeyboardInterrupt`, once; a second one ends at once.

    Python ignores what is raised in a callback of a library in C, in a `__del__` or for a weak
    reference. It is raised once more then, also where a library made another error of it.

    Yields:
      Set when one came: libraries may make another error of the interrupt.
    """
    former, came = sys.unraisablehook, threading.Event()

    def stop(_number: int, _frame: Any) -> NoReturn:
        came.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    def ignored(lost: Any) -> None:
        # Python's word for a second one that came before the first was looked at.
        if came.is_set() and "ignored due to race condition" in str(lost.exc_value):
            return
        if not _is_interrupt(lost.exc_value):
            former(lost)
            return
        signal.signal(signal.SIGINT, stop)
        threading.Timer(_AGAIN, os.kill, (os.getpid(), signal.SIGINT)).start()

    sys.unraisablehook = ignored
    try:
        with _signals(stop):
            yield came
    finally:
        sys.unraisablehook = former


def _is_interrupt(error: BaseException | None) -> bool:
    """Returns whether an error is `KeyboardInterrupt` or was made of one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextlib.contextmanager
def stopped_by(stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` at Ctrl-C or SIGTERM, once, and continues; a second one ends at once."""

    def once(_number: int, _frame: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        stop()

    with _signals(once):
        yield


@contextlib.contextmanager
def _signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handles Ctrl-C and SIGTERM by a function."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextlib.contextmanager
def whole_bars() -> Iterator[None]:
    """Keeps lines that libraries in C print to stderr from tearing a progress bar.

    Python's own stderr goes on to the terminal. What C prints goes through a pipe: warnings of
    decoders, whose failures are errors anyway, are dropped, other lines are written above the bar.
    """
    sys.stderr.flush()
    before, terminal = sys.stderr, os.dup(2)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, errors="backslashreplace")
    reader = threading.Thread(target=_forward, args=(source, sys.stderr), daemon=True)
    reader.start()
    try:
        yield
    finally:
        os.dup2(terminal, 2)  # closes the pipe, and so ends the reader
        os.close(terminal)
        reader.join(_READER_ENDS)
        sys.stderr = before


def _forward(source: int, terminal: Any) -> None:
    """Copies lines from a pipe to the terminal, but those of `_CODECS`."""
    from tqdm import tqdm

    with os.fdopen(source, errors="replace") as lines:
        for line in lines:
            if line.strip() and not line.startswith(_CODECS):
                tqdm.write(line.rstrip(), file=terminal)


# --- flags ----------------------------------------------------------------------------------------


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


class _Version(flags.BooleanFlag):
    """Prints the version of the package and ends."""

    def __init__(self) -> None:
        super().__init__("version", False, "show the version")

    def parse(self, argument: Any) -> None:
        """Prints the version and exits."""
        if argument:
            package = sys.modules[__name__.partition(".")[0]]
            print(f"residual-encoder {package.__version__}")
            sys.exit(0)


def run(
    main: Callable[[list[str]], int | None], positional: bool = False, foreign: bool = False
) -> None:
    """Parses flags and runs `main`; a user's error becomes one line on stderr and exit code 1.

    Ctrl-C and SIGTERM become one line, too, and exit code 75, unless `main` takes them itself.

    Args:
      main: Takes the arguments that are no flags, returns the exit code (None is 0).
      positional: Whether such arguments are allowed.
      foreign: Whether flags that are not defined are passed to `main`, instead of refused.
    """
    _reopen_outputs()
    logging.set_verbosity(logging.WARNING)
    _show_in_help(main.__module__)
    if "version" not in flags.FLAGS:  # export has one of its own, of a model
        flags.DEFINE_flag(_Version())

    def guarded(argv: list[str]) -> int:
        arguments = argv[1:]
        with stoppable() as came:
            try:
                if arguments and not positional:
                    raise ValueError(f"takes flags only, received {arguments}; see --help")
                return main(arguments) or 0
            except (Exception, KeyboardInterrupt) as error:
                if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
                    raise
                if came.is_set() or isinstance(error, KeyboardInterrupt):
                    print(_STOPPED, file=sys.stderr)
                    return INTERRUPTED
                if not isinstance(error, ValueError | OSError):
                    raise
                print(_error_line(error), file=sys.stderr)
                return 1

    with _silent_if_unread():
        app.run(guarded, flags_parser=lambda argv: _parse(argv, foreign))


@contextlib.contextmanager
def _silent_if_unread() -> Iterator[None]:
    """Ends the program without a word if who reads its stdout ends first, as in `... | head`.

    Where stdout cannot be written otherwise, as on a full disk, it ends with a line.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        unread = isinstance(error, BrokenPipeError) and _is_unread(sys.stdout)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        if unread:
            sys.exit(UNREAD)
        sys.exit(_error_line(OSError(f"stdout cannot be written: {error}")))


def _is_unread(stream: Any) -> bool:
    """Returns whether a stream is a pipe whose reader has ended; where nobody can tell, yes."""
    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    poll.register(stream.fileno(), 0)  # errors are always told
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _reopen_outputs() -> None:
    """Opens outputs that the caller closed: no file gets their numbers, nor what is printed."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)  # the lowest free number
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w"))


def _parse(argv: list[str], foreign: bool) -> list[str]:
    """Returns the program's name and all that is no flag of the command."""
    try:
        rest = flags.FLAGS(argv, known_only=foreign)
        _expand_homes()
        return rest
    except flags.Error as error:
        sys.exit(_error_line(flags.Error(_ABSENT.sub(_wanted, str(error)))))
    except SystemExit:  # absl ends --help with 1
        sys.exit(0)


def _wanted(absent: re.Match[str]) -> str:
    """Returns which flag is missing and what it is for."""
    return f"--{absent[1]} is missing: {' '.join((flags.FLAGS[absent[1]].help or '').split())}"


def _expand_homes() -> None:
    """Replaces the ~ at the start of paths, which shells leave in --flag=~/path."""
    for flag in flags.FLAGS.flag_values_dict():
        if isinstance(value := flags.FLAGS[flag].value, str) and value.startswith("~"):
            flags.FLAGS[flag].value = os.path.expanduser(value)


def _error_line(error: Exception) -> str:
    return f"{Path(sys.argv[0]).name}: error: {' '.join(str(error).split())}"


def _show_in_help(module: str) -> None:
    """Lets --help show the text and the flags of the module of `main`."""
    if module != "__main__":
        sys.modules["__main__"].__doc__ = sys.modules[module].__doc__
        for flag in flags.FLAGS.get_flags_for_module(module):
            flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
