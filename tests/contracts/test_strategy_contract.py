"""What every strategy keeps, whatever it is for: run over `STRATEGIES`."""

import asyncio

import pytest

from arena import Arena
from bursar.budget import Budget
from bursar.reason import STEP_SEARCHES, STRATEGIES, strategy
from bursar.reason.solve import solve
from bursar.usage import Usage

SIMULATED = [name for name in STRATEGIES if name not in ("revision", *STEP_SEARCHES)]
"""Revising and steps need a model that can go on from what it said: tests/papers/test_revision.py
and tests/reason/search/test_driver.py have one."""


@pytest.mark.parametrize("name", SIMULATED)
def test_same_inputs_and_seed_give_the_same_answers(name: str) -> None:
    arena = Arena(questions=20)
    first, second = (arena.run(strategy(name), 8_000, 3) for _ in range(2))
    assert first.answers == second.answers


@pytest.mark.parametrize("name", SIMULATED)
def test_one_answer_per_question_in_order(name: str) -> None:
    arena = Arena(questions=20)
    answers = arena.run(strategy(name), 8_000, 3).answers
    assert [a.question_id for a in answers] == [q.id for q in arena.ask(3)]


@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.parametrize("tokens", [0, 1, 350, 1_700])
def test_a_budget_too_small_for_all_is_never_passed(name: str, tokens: int) -> None:
    solution = Arena(questions=10).run(strategy(name), tokens)
    assert len(solution.answers) == 10
    assert (solution.spent.tokens or 0) <= tokens


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("name", SIMULATED)
def test_the_answers_usage_adds_up_to_what_the_budget_was_charged(name: str, checked: bool) -> None:
    arena = Arena(questions=25, checked=checked)
    budget = Budget({"tokens": 9_000})
    solution = asyncio.run(solve(strategy(name), arena.ask(1), arena.bench(budget, 1)))
    by_question = Usage.total(a.usage for a in solution.answers)
    assert by_question.tokens == budget.spent.tokens
    assert Usage.total(line.usage for line in budget.lines).tokens == budget.spent.tokens
    assert budget.held.tokens == 0


@pytest.mark.parametrize("name", SIMULATED)
def test_stopped_in_the_middle_it_leaves_nothing_held(name: str) -> None:
    arena = Arena(questions=40)
    budget = Budget({"tokens": 40_000})

    async def interrupted() -> None:
        work = asyncio.ensure_future(solve(strategy(name), arena.ask(0), arena.bench(budget, 0)))
        await asyncio.sleep(0.02)
        work.cancel()
        await asyncio.wait([work])

    asyncio.run(interrupted())
    assert budget.held.tokens == 0
    assert (budget.spent.tokens or 0) <= 40_000


@pytest.mark.parametrize("name", SIMULATED)
def test_the_strategy_never_sees_the_reference(name: str) -> None:
    """Without references the choices and the spend are the same; only the grading is not."""
    arena = Arena(questions=15)
    known = arena.run(strategy(name), 5_000, 2)
    blind = arena.run(strategy(name), 5_000, 2, references=False)
    assert [(a.text, a.attempts) for a in known.answers] == [
        (a.text, a.attempts) for a in blind.answers
    ]
    assert blind.accuracy is None
