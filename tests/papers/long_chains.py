"""Chains longer than any the built-in model was trained on: parts of mixed difficulty."""

import asyncio
import random
from functools import cache

from tiny_arena import remembered

from bursar.budget import Budget
from bursar.reason.base import Strategy
from bursar.reason.purse import Purse
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS, chain
from bursar.workload.tasks.base import Question

MODEL = "tiny-0.3m"


@cache
def long_chains(operations: int, count: int, seed: int) -> tuple[Question, ...]:
    """Random chains with their answers."""
    rng = random.Random(seed)
    drawn = [chain.draw_expression(rng, operations) for _ in range(count)]
    return tuple(
        Question(f"long-{operations}-{seed}-{i}", "chain", f"chain {''.join(e)}\n",
                 str(chain.value(e)))
        for i, e in enumerate(drawn)
    )  # fmt: skip


def bench_of(budget: Budget, seed: int) -> Workbench:
    """The smallest built-in model behind `budget`."""
    purse = Purse(budget, {MODEL: remembered(MODEL)})
    return Workbench(purse, TASKS, seed=seed, greedy=frozenset({MODEL}))


def run_long(
    strategy: Strategy, *, count: int, seed: int, operations: int = 16, tokens: float | None = None
) -> Solution:
    """`strategy` on `count` long chains."""
    budget = Budget(None if tokens is None else {"tokens": tokens})
    questions = long_chains(operations, count, seed)
    return asyncio.run(solve(strategy, questions, bench_of(budget, seed)))
