"""The documentation: its links, and the commands, flags and modules that it names."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "residual_encoder"
PAGES = sorted(
    page
    for folder in (ROOT, ROOT / "data", ROOT / "docs", PACKAGE / "pretrained")
    for page in folder.glob("*.md")
)
HISTORY = "CHANGELOG.md"  # names what was renamed
RENAMED = ("tour", "prior", "figure", "showcase", "door")
OF_BEAM = re.compile(r"--(direct_|flink_|runner\b)")
# Of TensorFlow Serving, of tests/robustness/fuzz.py, and of the script that --peer takes.
OF_OTHERS = {
    "--rest_api_port",
    "--enable_batching",
    "--batching_parameters_file",
    "--unguided",
    "--batch",
    "--bf16",
    "--compile",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks; commands have no language."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for named, text in found if named == language]


def prose(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Commands of the fenced blocks as words, without variables before them."""
    for block in blocks(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            words: list[str] = []
            for word in [*shlex.split(line, comments=True), "&&"]:
                if word not in ("&&", "|"):
                    words += [word] if words or not re.match(r"[A-Z_0-9]+=", word) else []
                elif words:
                    yield words
                    words = []


def tool_of(words: list[str]) -> str | None:
    """The tool that a command starts, as a script in tools/ or as a console script."""
    script = re.fullmatch(r"tools/(\w+)\.py", words[1]) if words[0] == "python" else None
    if script:
        return script[1]
    if words[0] == "colorize":
        return words[0]
    known = re.fullmatch(r"residual-encoder-([a-z-]+)", words[0])
    return known and known[1].replace("-", "_")


@functools.cache
def flags_of(tool: str) -> set[str]:
    """Flags that a tool's --help lists."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"^ +(?:-\w,)?--(\[no\])?(\w+):", done.stdout, re.MULTILINE)
    return {f"--{name}" for _, name in found} | {f"--no{name}" for no, name in found if no}


@functools.cache
def targets() -> set[str]:
    rules = re.findall(r"^([\w./ -]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {target for rule in rules for target in rule.split()}


@functools.cache
def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def public_names() -> set[str]:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    return {
        key.value
        for table in tables
        if isinstance(table, ast.Dict)
        for key in table.keys
        if isinstance(key, ast.Constant)
    }


def is_module(dotted: str) -> bool:
    path = PACKAGE.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def defines(dotted: str, name: str) -> bool:
    """Whether a module or package has a name, by its source."""
    source = PACKAGE.joinpath(*dotted.split(".")).with_suffix(".py")
    if not source.is_file():
        return is_module(f"{dotted}.{name}")
    return bool(re.search(rf"^(def |class |){name}\b", source.read_text(), re.MULTILINE))


def exists(path: str) -> bool:
    """Whether a path is in the repository or in the package, or a bare file name anywhere there."""
    anywhere = [] if "/" in path else [*PACKAGE.rglob(path), *(ROOT / "tests").rglob(path)]
    return (ROOT / path).exists() or (PACKAGE / path).exists() or bool(anywhere)


def test_readme_shows_a_result_first():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert any(re.search(r"!\[.*\]\((?!https?:)", line) for line in lines[:20])


def test_versions_agree():
    pinned = re.search(r"^ruff==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert f"[ruff=={pinned[1]}]\n" in hooks
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version-{PROJECT['version']}-" in (ROOT / "README.md").read_text()


@each_page
def test_links_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@each_page
def test_commands_name_tools_and_targets(page):
    for words in commands(page):
        tool = tool_of(words)
        if words[0] == "make":
            assert set(words[1:]) <= targets(), words
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words
        elif tool:
            assert words[0] in PROJECT["scripts"], words


@each_page
def test_commands_use_flags_that_exist(page):
    for words in commands(page):
        tool = tool_of(words)
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        unknown = {flag for flag in given if not OF_BEAM.match(flag)}
        if tool and unknown:
            unknown -= flags_of(tool)
            assert not unknown, f"{tool} has no {sorted(unknown)}"


@each_page
def test_flags_in_the_prose_belong_to_some_tool(page):
    given = set(re.findall(r"`(--\w+)", prose(page))) - OF_OTHERS
    known = set().union(*(flags_of(path.stem) for path in tools()))
    assert {flag for flag in given if not OF_BEAM.match(flag)} <= known


def tools() -> list[Path]:
    private = RENAMED + ("_bootstrap",)
    return [path for path in (ROOT / "tools").glob("*.py") if path.stem not in private]


@each_page
def test_extras_exist(page):
    for names in re.findall(r"\.\[([\w,]+)\]", page.read_text()):
        assert set(names.split(",")) <= set(PROJECT.get("optional-dependencies", {})), names


@each_page
def test_paths_in_the_prose_exist(page):
    of_a_workdir = {"checkpoints/", "logs/"}
    for path in re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", prose(page)):
        assert path in of_a_workdir or "NAME" in path or exists(path), path


@each_page
def test_modules_exist(page):
    if page.name == HISTORY:
        return
    text = page.read_text()
    for dotted in re.findall(r"\bresidual_encoder\.([a-z_]+(?:\.[a-z_]+)*)", text):
        assert is_module(dotted) or dotted in ("py", "svg"), dotted  # or a file's name
    for tool in re.findall(r"\btools/(\w+)\.py", text):
        assert tool not in RENAMED, f"tools/{tool}.py has another name now"
    assert not re.search(r"requirements-\w+\.txt", text), "extras took the place of these files"


@each_page
def test_python_blocks_import_what_exists(page):
    lines = re.findall(r'python -c "(.*)"', page.read_text())
    for source in [*blocks(page, "python"), *lines]:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module == "residual_encoder":
                assert {alias.name for alias in node.names} <= public_names()
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("residual_encoder."):
                inside = node.module.partition(".")[2]
                assert all(defines(inside, alias.name) for alias in node.names)
