"""House rules that a program can see: size, names, places, and that each test asserts something."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bursar"
MOST_LINES = 500
FORBIDDEN = {"utils", "util", "common", "helpers", "managers", "misc", "manager"}
METHOD_FOLDERS = ("value", "allocate", "policies", "backends", "reason", "agents", "workload/tasks")
SKIPPED = {"__pycache__", "build", "dist", "runs", "htmlcov", "node_modules"}
TEXT = {".py", ".toml", ".md", ".txt", ".css", ".js", ".json", ".jsonl", ".yml", ".cfg", ""}

# Spelled so that this file does not name what it forbids.
HOME_PATH = re.compile("/" + "(?:home|root|Users|work|farm)" + r"/[A-Za-z0-9._-]+")
_GAP = re.compile(r"\{\{[A-Z ]+\}\}")
INDEX_ADDRESS = re.compile("--" + r"(?:extra-)?index-url|--" + "find-links|https?://[^ ]*/simple")


def files(*folders: str, suffixes: set[str]) -> list[Path]:
    """The project's own files under `folders`, in order."""
    found = (p for folder in folders for p in (ROOT / folder).rglob("*"))
    return sorted(p for p in found if p.suffix in suffixes and p.is_file() and _ours(p))


def _ours(path: Path) -> bool:
    """Neither generated nor some tool's cache."""
    folders = path.relative_to(ROOT).parts[:-1]
    return not any(f in SKIPPED or (f.startswith(".") and f != ".ci") for f in folders)


PYTHON = files("src", "tests", "benchmarks", "examples", suffixes={".py"})


def test_no_file_is_too_long() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines()) for p in PYTHON}
    long = {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
    assert not long, f"split these, each in two things that have names: {long}"


def test_no_name_that_says_nothing() -> None:
    found = [p for p in PYTHON if FORBIDDEN & {p.stem, *p.relative_to(ROOT).parts}]
    assert not found, f"name these after what they do: {found}"


@pytest.mark.parametrize("folder", METHOD_FOLDERS)
def test_a_folder_of_methods_has_its_protocol(folder: str) -> None:
    home = PACKAGE / folder
    methods = [p for p in home.glob("*.py") if p.stem not in ("__init__", "base")]
    assert len(methods) < 2 or (home / "base.py").is_file(), f"{folder}/ needs base.py"


def test_every_module_says_what_it_is() -> None:
    bare = [
        str(p.relative_to(ROOT))
        for p in PYTHON
        if p.is_relative_to(PACKAGE) and not ast.get_docstring(ast.parse(p.read_text("utf-8")))
    ]
    assert not bare, f"no docstring: {bare}"


def test_nothing_names_a_machine() -> None:
    found = []
    for path in files(".", suffixes=TEXT):
        for number, line in enumerate(path.read_text("utf-8", errors="ignore").splitlines(), 1):
            if HOME_PATH.search(line) or (
                "requirements" in path.parts and INDEX_ADDRESS.search(line)
            ):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_no_page_has_a_gap_to_fill() -> None:
    gaps = {
        p.name: found for p in ROOT.glob("*.md") if (found := _GAP.findall(p.read_text("utf-8")))
    }
    assert not gaps, gaps


def test_locks_have_hashes() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        entries = re.split(r"\n(?=\S)", lock.read_text("utf-8").strip())
        bare = [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry]
        assert not bare, f"{lock.name} has no hash for {bare}"


ASSERTING = ("raises", "warns", "assert", "check", "verify", "expect", "run_state_machine")


def asserts(function: ast.AST) -> bool:
    """Whether a test has an assertion, or calls something whose name says that it asserts."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else None
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name is not None and any(word in name for word in ASSERTING):
                return True
    return False


def test_every_test_asserts_something() -> None:
    idle = []
    for path in (p for p in PYTHON if p.is_relative_to(ROOT / "tests")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name.startswith("test")
                and not asserts(node)
            ):
                idle.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not idle, "these would pass whatever happened:\n" + "\n".join(idle)


def test_an_idle_test_is_seen() -> None:
    assert not asserts(ast.parse("def test_x():\n    print(1)\n"))
    assert asserts(ast.parse("def test_x():\n    with pytest.raises(ValueError):\n        f()\n"))


def test_importing_bursar_stays_light() -> None:
    """The core starts without torch, whether or not it is installed."""
    code = (
        "import importlib, pkgutil, sys, bursar\n"
        "for m in pkgutil.iter_modules(bursar.__path__):\n"
        "    if m.name not in ('training', 'adaptive', '__main__'):\n"
        "        importlib.import_module('bursar.' + m.name)\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_makefile_parses() -> None:
    done = subprocess.run(
        ["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
