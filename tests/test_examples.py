"""The examples run, and do what they say."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def said(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(EXAMPLES / name))
    return capsys.readouterr().out


def test_hard_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert said("hard_limit.py", capsys) == "5 served; spent 0.09 of 0.1 USD\n"


def test_solve_chains(capsys: pytest.CaptureFixture[str]) -> None:
    right, *_, spent, _ = said("solve_chains.py", capsys).split()
    assert int(right) >= 34
    assert float(spent) <= 4_000


def test_draw_points(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said("draw_points.py", capsys).splitlines()
    distances = {line.split(":")[0]: float(line.split()[1]) for line in lines}
    assert min(distances, key=distances.__getitem__) != "best_of_n"
    assert max(float(line.split()[-2]) for line in lines) <= 120


def test_every_example_is_tested() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{example.name}"' in tested for example in EXAMPLES.glob("*.py"))
