"""Imports point only upward: a package may import itself and what stands before it in `ORDER`."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "bursar"

ORDER = (
    *("version", "errors", "units", "usage", "windows", "limits", "budget", "ledger"),
    *("receipt", "price", "plan", "answer"),
    *("catalog", "workload", "cost", "value", "allocate", "policies", "backends"),
    *("reason", "agents", "codeopt", "simulate", "fleet", "gateway", "report", "run", "methods"),
    *("cli", "__main__"),
)
LEAVES = ("training", "adaptive")
"""Behind the torch extra: may import anything but the command line; nothing may import them."""

HEAVY = ("torch", "transformers", "ray", "matplotlib", "pandas")
"""Seconds to import: only inside the function that needs them, or in a file nobody imports by
default."""
MAY_BE_HEAVY = ("training/", "adaptive/", "backends/transformers.py")


@dataclass(frozen=True)
class Import:
    """An import: the dotted module it names, and whether it runs when its file is imported."""

    line: int
    module: str
    at_import: bool


def imports(tree: ast.Module, package: str = "bursar") -> Iterator[Import]:
    """Every import in a module, those inside functions too. `package` resolves relative ones."""
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        now = id(node) not in inside
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, now) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            yield from (Import(node.lineno, f"{base}.{a.name}", now) for a in node.names)


def layer(module: str) -> str | None:
    """The top-level name below bursar that a dotted module belongs to; None when not ours."""
    parts = module.split(".")
    return parts[1] if parts[0] == "bursar" and len(parts) > 1 else None


def breaches(source: str, where: str) -> list[str]:
    """What the file `where` (relative to the package) must not import, one line each."""
    parts = where.removesuffix(".py").split("/")
    own = parts[0]
    package = ".".join(["bursar", *parts[:-1]])
    if own not in (*ORDER, *LEAVES):
        return [f"src/bursar/{where}: {own} has no place in ORDER"]
    found = []
    for imported in imports(ast.parse(source), package):
        at = f"src/bursar/{where}:{imported.line}: imports {imported.module}"
        target = layer(imported.module)
        if target is not None and target != own:
            if target in LEAVES:
                found.append(f"{at}, a leaf that nothing may import")
            elif target not in ORDER:
                found.append(f"{at}, which has no place in ORDER")
            elif own in LEAVES:
                if target in ("cli", "__main__"):
                    found.append(f"{at}, the command line")
            elif ORDER.index(target) > ORDER.index(own):
                found.append(f"{at}, which stands after {own}")
        top = imported.module.split(".")[0]
        if top in HEAVY and imported.at_import and not where.startswith(MAY_BE_HEAVY):
            found.append(f"{at} on import: move it into the function that needs it")
    return found


def test_imports_point_only_upward() -> None:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        where = file.relative_to(PACKAGE).as_posix()
        if where != "__init__.py":  # the contents page may name anything, but lists public names
            found += breaches(file.read_text(encoding="utf-8"), where)
    assert not found, "\n".join(found)


def test_every_package_has_a_place() -> None:
    names = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix in ("", ".py")}
    names -= {"__init__", "__pycache__"}
    assert names <= {*ORDER, *LEAVES}, names - {*ORDER, *LEAVES}


def test_a_breach_names_file_line_and_import() -> None:
    source = "import numpy\nfrom bursar.reason.base import Strategy\n"
    (said,) = breaches(source, "allocate/greedy.py")
    assert said.startswith("src/bursar/allocate/greedy.py:2: imports bursar.reason.base.Strategy")
    assert breaches(source, "report/html.py") == []


def test_relative_imports_are_followed() -> None:
    assert breaches("from ..reason import base\n", "allocate/greedy.py")
    assert breaches("from . import base\n", "allocate/greedy.py") == []


def test_an_import_inside_a_function_obeys_the_order_too() -> None:
    assert breaches("def f():\n    import bursar.cli\n", "budget.py")


def test_heavy_imports_wait() -> None:
    assert breaches("import torch\n", "value/fit.py")
    assert breaches("def f():\n    import torch\n", "value/fit.py") == []
    assert breaches("import torch\n", "training/loop.py") == []


def test_leaves_are_leaves() -> None:
    assert breaches("import bursar.training.loop\n", "cli.py")
    assert breaches("from bursar.backends.tiny import engine\n", "training/loop.py") == []
