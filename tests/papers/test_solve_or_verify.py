"""Claim: voting wins at small budgets and verification at large ones, and where they cross can be
predicted within a factor of two from a small pilot; solutions should grow faster than verdicts.

The worlds are of another make than the law (tests/papers/noisy_world.py), and their truth is found
by trying every split.
"""

import asyncio
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from noisy_world import World
from silent import Silent
from tiny_arena import accuracy, bench, questions, run

from bursar.errors import BadInput
from bursar.reason.base import Strategy
from bursar.reason.rounds import RoundRobin
from bursar.reason.self_consistency import SelfConsistency
from bursar.reason.verify import GenRM, SelfEvaluation, SolveOrVerifyStrategy, pilot
from bursar.value import SolveOrVerify, Split
from bursar.value.base import Floats
from bursar.value.solve_or_verify import crossing, growth
from bursar.workload.tasks import TASKS

WORLDS = {
    "usual": World(),
    "dear verdicts": World(verify_cost=2.0),
    "hard questions": World(mean=-1.2, skew=1.4),
}
DEAF = World(if_right=0.0, if_wrong=0.0)
MODEL = "tiny-0.3m"


@cache
def truth(world: World) -> tuple[Floats, Floats, list[Split]]:
    """Budgets, by how much the best split with verdicts leads, and these splits."""
    budgets = np.exp2(np.arange(np.log2(1 + world.verify_cost), 7, 0.25))
    voting, splits = world.truth(budgets, questions=3000)
    return budgets, np.array([s.accuracy for s in splits]) - voting, splits


def fitted(world: World, seed: int) -> SolveOrVerify:
    law = SolveOrVerify.fit(*world.pilot(100, 8, 4, seed), world.verify_cost)
    return replace(law, most=128)


@pytest.mark.parametrize("name", WORLDS)
def test_voting_wins_below_and_verification_above(name: str) -> None:
    budgets, lead, _ = truth(WORLDS[name])
    cross = crossing(budgets, lead.tolist())
    assert cross is not None
    assert lead[budgets < cross / 1.9].min() < -0.01
    assert lead[-1] > 0.04


def test_the_crossover_is_predicted_within_a_factor_of_two() -> None:
    ratios = []
    for world in WORLDS.values():
        budgets, lead, _ = truth(world)
        true = crossing(budgets, lead.tolist())
        predicted = [fitted(world, seed).crossover() for seed in range(3)]
        assert true is not None
        ratios += [0.0 if p is None else p / true for p in predicted]
    within = [0.5 <= r <= 2.0 for r in ratios]
    assert sum(within) >= 8, ratios
    assert 0.7 < np.median(ratios) < 1.5


def test_none_is_predicted_where_verdicts_say_nothing() -> None:
    budgets, lead, _ = truth(DEAF)
    assert crossing(budgets, lead.tolist()) is None
    for seed in range(3):
        law = fitted(DEAF, seed)
        assert law.crossover() is None
        assert law.best(100).verifications == 0


def test_solutions_grow_faster_than_verifications() -> None:
    cheap = World(verify_cost=0.3)
    for world in (*WORLDS.values(), cheap):
        budgets, _, splits = truth(world)
        of_solutions, of_verifications = growth(budgets, splits)
        assert of_solutions > of_verifications + 0.2
        predicted = fitted(world, 0).growth()
        assert predicted[0] > predicted[1] + 0.2
    assert growth(*truth(cheap)[::2])[1] > 0.1


@cache
def planned(task: str, level: str) -> SolveOrVerifyStrategy:
    """After a pilot on 40 other questions with the built-in model."""
    at_hand = bench(MODEL, seed=9, check=False, tasks={task: Silent(TASKS[task])})
    asked = questions(task, (level,), 40, 9)
    verifier = SelfEvaluation(temperature=1.0)
    return asyncio.run(pilot(asked, at_hand, verifier, solutions=4, verifications=2))


def solved(how: Strategy, task: str, level: str, tokens: int, count: int) -> float:
    tasks = {task: Silent(TASKS[task])}
    runs = [
        run(how, task, (level,), tokens=tokens, count=count, seed=s, check=False, model=MODEL,
            tasks=tasks)
        for s in range(3)
    ]  # fmt: skip
    return accuracy(runs)


@pytest.mark.parametrize(
    ("task", "level", "tokens", "count", "verifies"),
    [("countdown", "3", 6_000, 40, True), ("countdown", "3", 1_000, 40, False),
     ("chain", "6", 8_000, 20, False)],
)  # fmt: skip
def test_the_built_in_model_verifies_where_its_verdicts_pay(
    task: str, level: str, tokens: int, count: int, verifies: bool
) -> None:
    how = planned(task, level)
    split = how.plan(count, bench(MODEL, tokens=tokens))
    assert (split.verifications > 0) == verifies
    mine = solved(how, task, level, tokens, count)
    vote = solved(RoundRobin("vote", SelfConsistency()), task, level, tokens, count)
    assert mine >= max(vote, solved(GenRM(), task, level, tokens, count)) - 0.02


def test_what_cannot_be_planned_or_fitted_is_said() -> None:
    how = planned("countdown", "3")
    with pytest.raises(BadInput, match="without a limit"):
        how.plan(10, bench(MODEL))
    asked = pilot(questions("countdown", ("3",), 20, 9), bench(MODEL, tokens=200), SelfEvaluation())
    with pytest.raises(BadInput, match="was not finished"):
        asyncio.run(asked)
    with pytest.raises(BadInput, match="no verdict"):
        SolveOrVerify.fit([[0, 1]], [[True, False]], [[[np.nan], [np.nan]]], 1.0)
    with pytest.raises(BadInput, match="covers nothing"):
        how.law.best(0.5)
