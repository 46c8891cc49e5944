"""Claim: at equal generated tokens sequential search wins Sudoku and parallel sampling Countdown,
and what a few attempts show of a task tells which.

Where a call's input is limited too, as hosted models bill it, a search that asks line by line pays
for all it said before at every line, and loses both. More cells: benchmarks/results/backtrack.json.
"""

import asyncio
from functools import cache

import pytest
from tiny_arena import SEEDS, questions, remembered

from bursar.backends.tiny.tokenizer import REVISE_MARKER, revised
from bursar.budget import Budget
from bursar.reason.base import Attempt, Strategy, Work
from bursar.reason.best_of_n import BestOfN
from bursar.reason.parallel import Backtrack, SelectSearch
from bursar.reason.parallel.backtrack import Search, search
from bursar.reason.parallel.rules import RULES, written_lines
from bursar.reason.parallel.select import Features
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question

COUNT = 20
MODEL = "tiny-1m"
PARALLEL = RoundRobin("best_of_n", BestOfN())
Cell = tuple[str, str, str, int]
"""Task, level, resource, budget a question."""


def bench(resource: str, each: int, seed: int = 0) -> Workbench:
    return Workbench(
        Purse(Budget({resource: each * COUNT}), {MODEL: remembered(MODEL)}),
        TASKS,
        seed=seed,
        stop={MODEL: (REVISE_MARKER,)},
        revise={MODEL: revised},
    )


@cache
def right(how: Strategy, cell: Cell, seed: int) -> int:
    task, level, resource, each = cell
    at = bench(resource, each, seed)
    solution = asyncio.run(solve(how, questions(task, (level,), COUNT, seed), at))
    assert (getattr(solution.spent, resource) or 0) <= each * COUNT
    return solution.num_right or 0


def lead(cell: Cell) -> int:
    """By how many of the questions of all seeds sequential search is ahead."""
    return sum(right(Backtrack(), cell, s) - right(PARALLEL, cell, s) for s in SEEDS)


def test_sequential_search_wins_sudoku_at_equal_generated_tokens() -> None:
    for level, each in (("10", 42), ("11", 45)):
        assert lead(("sudoku4", level, "tokens_out", each)) >= 0.05 * COUNT * len(SEEDS)


def test_parallel_sampling_wins_countdown_at_equal_generated_tokens() -> None:
    for level in ("3", "4"):
        assert lead(("countdown", level, "tokens_out", 50)) <= -0.05 * COUNT * len(SEEDS)


def test_where_input_is_paid_parallel_sampling_wins_both() -> None:
    for task, level, each in (("sudoku4", "11", 100), ("countdown", "4", 100)):
        assert lead((task, level, "tokens", each)) < -0.1 * COUNT * len(SEEDS)


CELLS: tuple[Cell, ...] = (
    ("sudoku4", "10", "tokens_out", 42),
    ("sudoku4", "11", "tokens_out", 45),
    ("sudoku4", "11", "tokens_out", 30),
    ("sudoku4", "11", "tokens", 100),
    ("countdown", "3", "tokens_out", 50),
    ("countdown", "4", "tokens_out", 50),
    ("countdown", "4", "tokens", 100),
)


def test_the_selector_picks_the_winner_of_four_in_five_cells() -> None:
    hits = []
    for cell in CELLS:
        task, level, resource, each = cell
        at = bench(resource, each)
        works = [Work(q) for q in questions(task, (level,), COUNT, 0)[:12]]
        asyncio.run(search(works, {}, at, rounds=1))
        saw = Features.of([w for w in works if w.attempts], at, each)
        if ahead := lead(cell):
            hits.append(SelectSearch().sequential(saw) == (ahead > 0))
    assert len(hits) >= 5
    assert sum(hits) >= 0.8 * len(hits)


@pytest.mark.parametrize(
    "cell", [("sudoku4", "11", "tokens_out", 70), ("countdown", "4", "tokens_out", 50)]
)
def test_selecting_costs_little_of_what_the_better_search_solves(cell: Cell) -> None:
    chosen = sum(right(SelectSearch(), cell, s) for s in SEEDS)
    both = [sum(right(how, cell, s) for s in SEEDS) for how in (Backtrack(), PARALLEL)]
    assert chosen >= max(both) - 0.05 * COUNT * len(SEEDS)
    assert chosen > min(both)


PUZZLE = Question("q", "sudoku4", "sudoku a1b2c3d_e3f4g_h_i2j_k_l_m_n_o_p_\n")


def test_the_rules_know_a_clash_and_whom_to_blame() -> None:
    rule = RULES["sudoku4"]
    assert rule(PUZZLE, ["d4", "g1"]) == (2, 2)
    assert rule(PUZZLE, ["g1", "p4", "h1"]) == (2, 1)  # g's 1 is h's clash; p came later, elsewhere
    assert rule(PUZZLE, ["d3"]) == (0, 0)  # clashes with what was given
    assert rule(PUZZLE, ["a1"])[0] == 0  # not blank
    assert rule(PUZZLE, ["d4", "junk"]) == (1, 1)
    numbers = Question("q", "countdown", "countdown 3,4,5=60\n")
    assert RULES["countdown"](numbers, ["4*5=20>3,20", "20+4=24"]) == (1, 1)


def test_a_search_undoes_more_the_longer_it_fails() -> None:
    search, lines = Search(), ["d4", "g1", "h2", "j1", "k4", "l4"]
    search.learn(PUZZLE, lines[:4], ended=False)
    assert search.kept == tuple(lines[:4])
    kept = []
    for _ in range(4):
        search.learn(PUZZLE, lines[:5], ended=True)
        kept.append(len(search.kept))
    assert kept == [4, 3, 1, 0]


def test_the_lines_of_an_attempt_are_those_of_its_last_round() -> None:
    said = Attempt(None, "a1\nwrong\nb2\nc3\nright", None, Usage.zero())  # type: ignore[arg-type]
    assert written_lines(said) == ["b2", "c3"]
