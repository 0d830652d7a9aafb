"""What C++ prints while libraries are loaded is discarded, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from conftest import ROOT

from residual_encoder.utils import devices


def test_threads_leave_stderr_as_it_was() -> None:
    """The second begins while the first is at work, and ends after it."""
    before, begun, waiting = os.fstat(2), threading.Event(), threading.Event()

    def second() -> None:
        begun.wait()
        waiting.set()
        with devices.quiet_stderr():
            done.wait(0.2)

    done, thread = threading.Event(), threading.Thread(target=second)
    thread.start()
    with devices.quiet_stderr():
        begun.set()
        waiting.wait()
        done.wait(0.05)
    done.set()
    thread.join()
    assert os.path.samestat(os.fstat(2), before)


def test_programs_without_stderr() -> None:
    """Services may have closed it."""
    code = (
        "from residual_encoder.utils import devices\n"
        "with devices.quiet_stderr(): pass\n"
        "print('done')"
    )
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "done\n"
