"""The first minute of colorize: answers at once, a stop without a mess, a summary in the end."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from helpers import prints
from PIL import Image

import residual_encoder
from residual_encoder.apps import cli, shared_flags
from residual_encoder.imaging import image_io
from residual_encoder.inference.coloring_config import COLOR_INPUTS

TOOL = ROOT / "tools" / "colorize.py"
COMMANDS = sorted(path.stem.removesuffix("_cli") for path in TOOL.parents[1].glob(
    "residual_encoder/apps/*_cli.py"))  # fmt: skip


def tool(*arguments: object, cwd: Path, name: str = "colorize") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", str(TOOL.with_stem(name)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("import time:")]


def loaded(done: subprocess.CompletedProcess[str]) -> bool:
    return bool(re.search(r"\| +tensorflow$", done.stderr, re.MULTILINE))


def gray(path: Path, side: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_io.write(path, np.random.default_rng(0).integers(0, 255, (side, side), np.uint8))
    return path


# --- answers that need no network -----------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "export"])
def test_version(name: str, tmp_path: Path) -> None:
    done = tool("--version", cwd=tmp_path, name=name)
    assert done.returncode == 0 and not loaded(done)
    assert done.stdout.split()[-1] == residual_encoder.__version__


def test_export_has_a_version_of_models(tmp_path: Path) -> None:
    done = tool("--version=0", cwd=tmp_path, name="export")
    assert done.returncode == 1 and "--version=0" in said(done)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "received none: INPUT... [--output=DIR]; see --help"),
        (["absent.jpg"], "There is no absent.jpg"),
        (["absent/*.jpg"], "Nothing fits absent/*.jpg"),
        (["a.png", "--outptu=x"], "outptu"),
        (["a.png", "--format=gif"], "--format=gif"),
        (["a.png", "--color_inputs=ask"], "--color_inputs=ask"),
        (["a.png", "--size=big"], "--size takes auto or a number"),
        (["a.png", "--model=absent"], "There is no absent. Wanted a weights file"),
        (["a.png", "--overwrite", "--skip_existing"], "choose one of the two"),
        (["in", "--output=in"], "is the input folder"),
        (["a.png", "--output=a.png"], "it is an input file; choose another --output"),
        (["in", "a.png", "--output=new.png"], "is the name of one file, received 3 inputs"),
        (["a.png", "--output=new.gif"], "cannot write a.png as new.gif"),
        (["a.png", "--output=new.HEIC"], "cannot write a.png as new.HEIC"),
        (["a.png", "--output=new.pdf"], "cannot write a.png as new.pdf"),
        (["a.png", "--output=new.jfif"], "cannot write a.png as new.jfif"),
        (["empty"], "No picture found in empty"),
        (["a.png", "--json=a.png", "--overwrite"], "would be written onto an input"),
    ],
)
def test_usage_errors_are_one_line_at_once(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    gray(tmp_path / "a.png")
    gray(tmp_path / "in" / "b.png")
    gray(tmp_path / "in" / "c.png")
    (tmp_path / "empty").mkdir()
    done = tool(*arguments, cwd=tmp_path)
    (line,) = said(done)
    assert done.returncode == 1 and not done.stdout and not loaded(done)
    assert line.startswith("colorize.py: error: ") and message in line
    assert not (tmp_path / "colored").exists()


def test_choices_are_the_librarys() -> None:
    assert shared_flags.COLOR_INPUTS == COLOR_INPUTS


# --- a shoebox ------------------------------------------------------------------------------------


def test_a_shoebox_ends_with_a_summary(tmp_path: Path, soft_weights: Path) -> None:
    box = tmp_path / "shoebox"
    for number in range(3):
        gray(box / f"{number}.png")
    image_io.write(box / "color.jpg", prints.photographs()["flower"])
    image_io.write(box / "sepia.jpg", prints.u8(prints.TINTS["sepia"](prints.gray("china"))))
    (box / "phone.psd").write_bytes(b"8BPS")
    (box / "broken.jpg").write_text("Dear reader")
    (box / "notes.txt").write_text("Dear reader")
    done = tool("shoebox", f"--model={soft_weights}", "--json=report.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    first, *details = done.stdout.splitlines()
    assert first == "4 colored, 2 left out, 1 failed; output in colored"
    assert [line.strip() for line in details] == [
        "left out: 1, Photoshop document cannot be read: save it as TIFF, PNG, JPEG or MP4 first",
        "left out: 1, in color already (--color_inputs=recolor colors them)",
        "no pictures or films: 1 file (1 .txt)",
        "failed: broken.jpg; the lines above tell why",
    ]
    lines = said(done)
    assert lines[0] == "Loading the network ..." and len(lines) == 4
    found = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert len(found) == 7 and sum(row["left_out"] is not None for row in found) == 2
    again = tool("shoebox", f"--model={soft_weights}", "--skip_existing", cwd=tmp_path)
    assert "0 colored, 4 skipped, 2 left out, 1 failed" in again.stdout
    assert "skipped: 4, of which the output exists" in again.stdout
    third = tool("shoebox", f"--model={soft_weights}", cwd=tmp_path)
    assert "0 colored, 2 left out, 5 failed" in third.stdout
    assert "failed: 4 outputs exist (--skip_existing keeps them, --overwrite" in third.stdout
    assert "failed: broken.jpg; the lines above tell why" in third.stdout
    assert "and 1 more outputs exist" in said(third)


def test_color_alone_is_no_error(tmp_path: Path, soft_weights: Path) -> None:
    image_io.write(tmp_path / "a.jpg", prints.photographs()["flower"])
    done = tool("a.jpg", f"--model={soft_weights}", "--output=new.jpg", cwd=tmp_path)
    assert done.returncode == 0 and not (tmp_path / "new.jpg").exists()
    assert "0 colored, 1 left out, 0 failed" in done.stdout
    assert "a.jpg is in color already and left as it is" in said(done)


# --- stopped --------------------------------------------------------------------------------------


def start(box: Path, weights: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(TOOL), box.name, f"--model={weights}", *flags]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=box.parent
    )


def until(reached: object, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 180
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_two_lines_and_keeps_the_report(
    tmp_path: Path, soft_weights: Path, number: signal.Signals
) -> None:
    box = tmp_path / "box"
    gray(box / "000.png", 300)
    for copy in range(1, 1500):
        (box / f"{copy:03d}.png").hardlink_to(box / "000.png")
    with start(box, soft_weights, "--json=report.jsonl") as process:
        until(lambda: len(list((tmp_path / "colored").glob("*.png"))) > 3, process)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED and "Traceback" not in errors
    loading, *told, stopped = errors.splitlines()
    assert all(line.startswith("Engine ") for line in told) and len(told) <= 1
    match = re.fullmatch(
        r"Stopped. (\d+) to go: the same command with --skip_existing colors the rest.", stopped
    )
    written = len(list((tmp_path / "colored").glob("*.png")))
    assert match and int(match[1]) == 1500 - written
    assert output.startswith(f"{written} colored, 0 failed")
    assert len((tmp_path / "report.jsonl").read_text().splitlines()) == written
    assert not [path for path in (tmp_path / "colored").iterdir() if path.name.startswith(".")]


LOST = """
import os, signal, sys, time, weakref
import cffi
sys.path.insert(0, sys.argv[1])
from residual_encoder.apps import cli

def interrupt(*_):
    os.kill(os.getpid(), int(sys.argv[3]))
    time.sleep(0.01)

class Owner: pass
class Deleted:
    __del__ = interrupt

def weak():
    owner = Owner()
    weakref.finalize(owner, interrupt)

def called_by_c():
    cffi.FFI().callback("void(int)", interrupt)(1)

ways = {"deleted": Deleted, "weak": weak, "called by C": called_by_c}
try:
    with cli.stoppable():
        ways[sys.argv[2]]()
        time.sleep(20)
    print("never stopped")
except KeyboardInterrupt:
    print("stopped")
time.sleep(0.1)  # a second one would end the process
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("way", ["deleted", "weak", "called by C"])
def test_a_stop_is_not_lost_where_python_ignores_exceptions(
    way: str, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", LOST, str(ROOT), way, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_loading_is_one_line(
    tmp_path: Path, soft_weights: Path, number: signal.Signals
) -> None:
    gray(tmp_path / "box" / "a.png")
    # TensorFlow loads for seconds; onnxruntime is done before a signal comes.
    with start(tmp_path / "box", soft_weights, "--engine=tensorflow") as process:
        assert process.stderr and process.stderr.readline() == "Loading the network ...\n"
        time.sleep(0.3)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED and not output
    assert errors.splitlines() in (
        ["Stopped while loading; nothing was begun."], ["Stopped; nothing was begun."]
    )  # fmt: skip


# --- the bar --------------------------------------------------------------------------------------

TEARING = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from residual_encoder.apps import cli
from tqdm import tqdm
with cli.whole_bars():
    for number in tqdm(range(5), file=sys.stderr, disable=None):
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\\n")
        os.write(2, b"TIFFReadDirectory: Warning, Unknown field with tag 34031\\n")
        os.write(2, b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd9\\n")
        print("a line of ours", file=sys.stderr) if number == 2 else None
    os.write(2, b"the driver has a word\\n")
os.write(2, b"after\\n")
print("and python", file=sys.stderr)
"""


def test_warnings_of_decoders_do_not_tear_the_bar() -> None:
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 80))
    command = [sys.executable, "-c", TEARING, str(ROOT)]
    with subprocess.Popen(command, stderr=child) as process:
        os.close(child)
        text = b""
        try:
            while part := os.read(parent, 4096):
                text += part
        except OSError:  # the other end is closed
            pass
    assert process.returncode == 0
    shown = text.decode()
    assert "100%" in shown  # the terminal is seen as one
    assert not re.search("libpng|TIFFRead|Corrupt", shown)
    for line in ("a line of ours", "the driver has a word", "after", "and python"):
        assert shown.count(line) == 1


def test_a_damaged_profile_is_silent(tmp_path: Path, soft_weights: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 30), np.uint8))
    picture.save(tmp_path / "a.png", icc_profile=b"no profile")
    done = tool("a.png", f"--model={soft_weights}", cwd=tmp_path)
    assert done.returncode == 0 and said(done) == ["Loading the network ..."]
    assert (tmp_path / "colored" / "a.png").is_file()
