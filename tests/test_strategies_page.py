"""docs/strategies.md: its tables are those of the committed figures, and leave no strategy out."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bursar.reason import STRATEGIES
from bursar.run import Job

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """The benchmark that writes the tables."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import strategies
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return strategies


def test_the_page_has_what_the_generator_makes_of_the_figures(made: ModuleType) -> None:
    text = made.PAGE.read_text(encoding="utf-8")
    assert made.page(text) == text, "stale: python benchmarks/strategies.py --docs"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("### What each one is", list(STRATEGIES)),
        ("### What each one reached", Job(("mixed",)).strategies()),
    ],
)
def test_every_registered_strategy_has_its_line_and_nothing_else_has(
    made: ModuleType, heading: str, expected: list[str]
) -> None:
    text = made.PAGE.read_text(encoding="utf-8")
    table = text.split(heading)[1].split("###")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(expected), (
        "python benchmarks/strategies.py runs what is new, with --docs it writes the tables"
    )


def test_bold_is_who_is_not_surely_behind_the_best(made: ModuleType) -> None:
    def row(name: str, budget: int, accuracy: float, low: float) -> dict[str, object]:
        return {"task": "all", "strategy": name, "budget": budget, "accuracy": accuracy,
                "spent": budget / 2, "lead_low": low}  # fmt: skip

    found = {
        "tokens_a_question": [10, 20],
        "rows": [row("a", 10, 0.5, 0.0), row("a", 20, 0.6, 0.1),
                 row("b", 10, 0.3, 0.1), row("b", 20, 0.8, -0.1)],
        "places": [{"task": "all", "strategy": name, "area": 0.5} for name in "ba"]
        + [{"task": "chain", "strategy": "a", "area": 0.9}],
    }  # fmt: skip
    assert made.board(found) == [
        ["`b`", "30", "**80**", "20", "50 %", "50.0"],
        ["`a`", "**50**", "60", "10", "50 %", "50.0"],
    ]
