"""Every command: its help without TensorFlow, its usage errors in one line, its console script."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import FAST, ROOT

from residual_encoder.apps import benchmark, cli, shared_flags
from residual_encoder.inference import chroma_upsampling, output_paths
from residual_encoder.inference.coloring_config import ColoringConfig
from residual_encoder.inference.engines import choice
from residual_encoder.models.vividness import ColorChoice
from residual_encoder.utils import devices

APPS, TOOLS = ROOT / "residual_encoder" / "apps", ROOT / "tools"
COMMANDS = sorted(path.stem.removesuffix("_cli") for path in APPS.glob("*_cli.py"))
FORMER = {"tour": "quickstart", "prior": "measure_color_prior", "figure": "draw_model",
          "showcase": "sample_sheet"}  # fmt: skip
CPU_SECONDS = 0.5  # of --help, user and system; measured: 0.13 to 0.15
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(name: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *options, str(TOOLS / f"{name}.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=TOOLS)


def cpu_seconds() -> float:
    """What this process's children that have ended took, user and system."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_each_command_has_a_tool_and_each_tool_a_command() -> None:
    tools = {path.stem for path in TOOLS.glob("*.py")} - {"_bootstrap"}
    assert tools == {*COMMANDS, *FORMER}
    assert len(COMMANDS) == 13


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_no_tensorflow(name: str) -> None:
    done = run(name, "--help", options=("-X", "importtime"))
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in imported
    assert not {module for module in imported if re.match("tensorflow|keras|cv2", module)}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick(name: str) -> None:
    seconds = []
    for _ in range(3):  # the least of three: a busy machine takes longer
        before = cpu_seconds()
        done = run(name, "--help")
        seconds.append(cpu_seconds() - before)
    assert done.returncode == 0 and not done.stderr
    assert min(seconds) < CPU_SECONDS, seconds


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_what_the_module_defines(name: str) -> None:
    source = (APPS / f"{name}_cli.py").read_text()
    shared = set(re.findall(r"shared_flags\.(\w+)\(", source)) - {"network_size", "file_format"}
    if "Coloring" in shared:  # a flag for each setting
        settings = {field.name for field in dataclasses.fields(ColoringConfig)}
        shared = shared - {"Coloring"} | settings
    if "Colors" in shared:
        shared = shared - {"Colors"} | {field.name for field in dataclasses.fields(ColorChoice)}
    wanted = set(re.findall(r'flags\.DEFINE_\w+\(\s*"(\w+)"', source)) | shared
    done = run(name, "-h")
    assert done.returncode == 0
    assert wanted <= listed_flags(done.stdout)
    assert source.split('"""')[1].splitlines()[0] in done.stdout


def listed_flags(text: str) -> set[str]:
    """The flags that a --help lists."""
    return set(re.findall(r"^ +(?:-\w,)?--(?:\[no\])?(\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_one_line(name: str) -> None:
    flags = {"colorize": ["a", "--output=b"], "colorize_archive": ["a", "--output=b"],
             "make_shards": ["--images=a", "--output=b", "--name=val"]}  # fmt: skip
    done = run(name, *flags.get(name, []), "--no_such_flag=1")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}.py: error: ") and "no_such_flag" in line


def test_a_wrong_value_is_one_line() -> None:
    done = run("train", "--data=films", "--workdir=a")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    known = "<imagenet|tfrecord|folder|synthetic|tfds:NAME[:SPLIT]>"
    assert "--data=films" in line and known in line


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("make_shards", ["--beam", "--engine=dask"], "--beam is --engine=beam, and --engine=dask"),
        ("make_shards", ["--beam", "--workers=2"], "--workers: for --engine=dask only"),
        ("quickstart", ["--steps=0"], "--steps=0"),
        ("measure_color_prior", ["--limit=0"], "--limit=0"),
    ],
)
def test_a_flag_is_never_ignored(name: str, arguments: list[str], words: str) -> None:
    needed = ["--images=a", "--output=b", "--name=val"] if name == "make_shards" else []
    done = run(name, *needed, *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and words in line


def test_a_missing_flag_is_one_line() -> None:
    done = run("evaluate", "--data=synthetic")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "None" not in line
    assert line.endswith("error: --output is missing: JSON file to write.")


@pytest.mark.parametrize(("old", "new"), FORMER.items())
def test_former_names_run_the_new_tool(old: str, new: str) -> None:
    former, now = run(old, "--help"), run(new, "--help")
    assert former.returncode == 0
    assert listed_flags(former.stdout) == listed_flags(now.stdout) != set()


def test_shared_choices_are_the_librarys() -> None:
    assert shared_flags.JITS == devices.JITS
    assert shared_flags.UPSAMPLINGS == chroma_upsampling.UPSAMPLINGS
    assert shared_flags.ENGINES == choice.ENGINES
    assert shared_flags.FORMATS == ("keep", *output_paths.FORMATS)
    source = (APPS / "benchmark_cli.py").read_text()
    assert f"MODES = {benchmark.MODES}".replace("'", '"') in source


def test_each_command_has_a_console_script() -> None:
    names = {name: f"residual-encoder-{name.replace('_', '-')}" for name in COMMANDS}
    names["colorize"] = "colorize"
    assert PROJECT["scripts"] == {
        script: f"residual_encoder.apps.{name}_cli:run" for name, script in names.items()
    }


# --- what is installed ----------------------------------------------------------------------------


def requirements() -> tuple[list[str], list[str]]:
    """requirements.txt: what running needs, what the tests need."""
    text = (ROOT / "requirements.txt").read_text()
    parts = text.split("# Checks and tests.\n")
    assert len(parts) == 2
    found = [[line.partition("#")[0].strip() for line in part.splitlines()] for part in parts]
    return [line for line in found[0] if line], [line for line in found[1] if line]


def test_requirements_are_those_of_the_package() -> None:
    running, testing = requirements()
    assert running == PROJECT["dependencies"]
    assert set(testing) < set(PROJECT["optional-dependencies"]["dev"])
    assert not [line for line in running + testing if line.startswith("-")]


def test_no_message_names_a_file_that_is_gone() -> None:
    for path in (
        *ROOT.glob("residual_encoder/**/*.py"),
        *ROOT.glob("tools/*.py"),
        ROOT / "Makefile",
    ):
        assert "requirements-" not in path.read_text(), path


def test_files_that_are_no_modules_are_in_the_package() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "residual_encoder"
    shipped = {
        path for pattern in configured["package-data"]["residual_encoder"]
        for path in package.glob(pattern)
    }  # fmt: skip
    others = {
        path for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }  # fmt: skip
    assert shipped == others
    assert {"py.typed", "page.css", "page.js", "ab_prior.txt"} <= {path.name for path in shipped}


def test_nothing_below_the_commands_defines_a_flag() -> None:
    definers = {path for path in Path(ROOT / "residual_encoder").rglob("*.py")
                if re.search(r"flags\.DEFINE|import flags", path.read_text())}  # fmt: skip
    assert {path.name for path in definers} == {
        "cli.py", "engine_flags.py", "shared_flags.py", *(f"{name}_cli.py" for name in COMMANDS)
    }  # fmt: skip
    assert {path.parent for path in definers} == {APPS}


def test_archives_are_planned_without_tensorflow() -> None:
    """Both engines import these before they start workers, and in workers that are not quiet."""
    names = ("tasks", "beam_pipeline", "beam_runner", "beam_shards")
    names += ("dask_engine", "dask_shards", "dask_worker", "journal", "listing")
    code = "".join(f"import residual_encoder.apps.archive.{name}\n" for name in names)
    code += "import sys; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_fast_tests_cover_every_package() -> None:
    folders = {path.parent.name for path in (ROOT / "residual_encoder").glob("*/__init__.py")}
    assert folders | {"tests"} == {*FAST, "utils"}
    for folder, names in FAST.items():
        place = ROOT / "tests" if folder == "tests" else ROOT / "tests" / folder
        for name in names:
            assert (place / f"test_{name}.py").is_file()


def test_a_home_in_a_flag_is_found() -> None:
    """Shells leave --output=~/path as it is."""
    lines = (
        "from absl import flags\n"
        "from residual_encoder.apps import cli, evaluate_cli\n"
        "cli._parse(['x', '--output=~/a.json', '--data_dir=~/b', '--data=folder'], False)\n"
        "print(flags.FLAGS.output, flags.FLAGS.data_dir, flags.FLAGS.data, flags.FLAGS.model)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=ROOT,
        env=dict(os.environ, HOME="/home/anna"),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "/home/anna/a.json /home/anna/b folder None\n", done.stderr


# An interrupt that a library turned into an error, as extension modules do that are being imported.
TURNED = """
    try: os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt: raise ImportError('initialization failed')
"""
# The same where nobody takes the error, as where TensorFlow imports a module while it flattens.
IGNORED = """
    import time
    class Lost:
        def __del__(self):
            try: os.kill(os.getpid(), signal.SIGTERM)
            except KeyboardInterrupt as error: raise SystemError('an exception is set') from error
    Lost()
    time.sleep(30)
"""
# Ctrl-C that is pressed twice, or both signals.
AT_ONCE = """
    both = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for one in both: os.kill(os.getpid(), one)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
"""


@pytest.mark.parametrize("body", [TURNED, IGNORED, AT_ONCE], ids=["turned", "ignored", "at_once"])
def test_interrupts_are_one_stop(body: str) -> None:
    lines = (
        f"import os, signal\nfrom residual_encoder.apps import cli\ndef main(_):{body}cli.run(main)"
    )
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 75
    assert done.stderr == "Stopped; files that were not finished are not kept.\n"


PRINTS = "from residual_encoder.apps import cli\ncli.run(lambda _: print('row\\n' * 100_000))\n"
BREAKS = (
    "from residual_encoder.apps import cli\n"
    "def main(_): raise BrokenPipeError(32, 'Broken pipe')\n"
    "cli.run(main)\n"
)


def without_reader(*arguments: str) -> subprocess.CompletedProcess:
    """Runs Python with a stdout whose reader has ended."""
    source, sink = os.pipe()
    os.close(source)
    try:
        command = [sys.executable, *arguments]
        return subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    finally:
        os.close(sink)


@pytest.mark.parametrize(
    "arguments",
    [
        ("tools/export.py", "--help"),
        ("tools/colorize.py", "--version"),
        ("-c", PRINTS),
    ],
)
def test_a_reader_that_ends_first(arguments: tuple[str, ...]) -> None:
    """As `head` does."""
    done = without_reader(*arguments)
    assert (done.returncode, done.stderr) == (cli.UNREAD, "")


FEW = "from residual_encoder.apps import cli\ncli.run(lambda _: print('row'))\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [("tools/export.py", "--help"), ("-c", FEW), ("-c", PRINTS)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout(arguments: tuple[str, ...], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr and "[Errno 28]" in done.stderr


@pytest.mark.parametrize("arguments", [("tools/export.py", "--help"), ("-c", FEW)])
def test_a_closed_stdout(arguments: tuple[str, ...]) -> None:
    command = ["sh", "-c", '"$0" "$@" >&-', sys.executable, *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_pipe_that_breaks() -> None:
    """A pipe that is not stdout."""
    done = subprocess.run([sys.executable, "-c", BREAKS], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "-c: error: [Errno 32] Broken pipe\n")


def test_a_closed_stderr(tmp_path: Path) -> None:
    """As services have it: the work is done, and messages do not get into stdout."""
    (tmp_path / "a.tif").write_bytes(b"no picture")
    command = ["sh", "-c", '"$0" "$@" 2>&-', sys.executable, str(TOOLS / "colorize.py")]
    done = subprocess.run([*command, "a.tif", "--json=a.jsonl"], capture_output=True, cwd=tmp_path)
    assert done.returncode == 1 and b"1 failed" in done.stdout and b"Errno" not in done.stdout
