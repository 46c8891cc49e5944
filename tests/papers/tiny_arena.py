"""The built-in model on held-out questions, for tests of published claims at equal budgets.

Draws are remembered for the session, so that every claim is tested on the same ones, paired, and
generating them costs once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.backends.tiny import tiny_sizes
from bursar.budget import Budget
from bursar.reason.base import Strategy
from bursar.reason.counted import Counted, check_books
from bursar.reason.memo import Memo
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question, Task

SEEDS = range(3)


@cache
def remembered(model: str) -> Backend:
    return Memo(open_backend(model))


@cache
def questions(task: str, levels: tuple[str, ...], count: int, seed: int) -> tuple[Question, ...]:
    return tuple(TASKS[task].generate(count, seed=seed, levels=levels))


def run(
    strategy: Strategy,
    task: str,
    levels: tuple[str, ...],
    *,
    tokens: float | None,
    count: int = 40,
    seed: int = 0,
    check: bool = True,
    model: str = "tiny-1m",
    tasks: Mapping[str, Task] = TASKS,
) -> Solution:
    """One strategy on `count` questions within `tokens`; None: no limit."""
    at_hand = bench(model, tokens=tokens, seed=seed, check=check, tasks=tasks)
    return solved(strategy, questions(task, levels, count, seed), at_hand)


def solved(strategy: Strategy, asked: Sequence[Question], at_hand: Workbench) -> Solution:
    """One strategy on `asked`; fails where it used a model without the purse."""
    solution = asyncio.run(solve(strategy, asked, at_hand))
    counted = [b for b in at_hand.purse.backends.values() if isinstance(b, Counted)]
    check_books(at_hand.purse, counted, strategy.name)
    return solution


def bench(
    *models: str,
    tokens: float | None = None,
    seed: int = 0,
    check: bool = True,
    tasks: Mapping[str, Task] = TASKS,
) -> Workbench:
    """A workbench with the remembered draws of `models`, which count what is asked of them."""
    purse = Purse(
        Budget(None if tokens is None else {"tokens": tokens}),
        {model: Counted(remembered(model)) for model in models},
    )
    return equipped(purse, tasks, seed=seed, check=check)


def accuracy(runs: Sequence[Solution]) -> float:
    return sum(r.accuracy or 0.0 for r in runs) / len(runs)


def tokens(runs: Sequence[Solution]) -> float:
    return sum(r.spent.tokens or 0.0 for r in runs) / len(runs)


__all__ = [
    "SEEDS", "accuracy", "bench", "questions", "remembered", "run", "solved", "tiny_sizes",
    "tokens",
]  # fmt: skip
