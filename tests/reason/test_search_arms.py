"""`auto` may buy whole searches: within its limit, booked to the token, where they pay."""

import asyncio

from bursar.backends import open_backend
from bursar.budget import Budget
from bursar.reason.as_backend import StrategyBackend
from bursar.reason.auto import Auto
from bursar.reason.base import Arm, Work
from bursar.reason.counted import Counted, check_books
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.search_arms import SEARCH_ARMS
from bursar.reason.solve import solve
from bursar.usage import Usage
from bursar.workload.tasks import TASKS

MODEL = "tiny-0.3m"


def bench(tokens, model=None):
    purse = Purse(Budget({"tokens": tokens}), {MODEL: model or open_backend(MODEL)})
    return equipped(purse, TASKS, seed=1)


def ask(count, levels):
    return TASKS["chain"].generate(count, seed=2, levels=levels)


def test_a_search_is_an_attempt_within_its_bound_and_with_its_answer() -> None:
    (question,) = ask(1, ("6",))
    at = bench(10_000)
    source = StrategyBackend("beam", SEARCH_ARMS["beam"].strategy, at, {question.id: question})
    request = at.request(Work(question), Arm(MODEL), 0)
    (done,), (again,) = (asyncio.run(source.complete([request])) for _ in range(2))
    assert done.meta == again.meta
    assert TASKS["chain"].check(question, done.meta["answer"])
    assert 0 < done.usage.tokens <= source.upper_bound(request).tokens


def test_auto_pays_for_searches_and_never_more_than_its_limit() -> None:
    counted = Counted(open_backend(MODEL))
    at = bench(24_000, counted)
    solution = asyncio.run(solve(Auto(searches=True), ask(12, ("7", "8")), at))
    bought = {line.what.split()[0] for line in at.purse.budget.lines}
    assert bought == {MODEL, "beam"}
    assert solution.spent.tokens <= 24_000
    assert Usage.total(a.usage for a in solution.answers).tokens == solution.spent.tokens
    assert counted.used.tokens == solution.spent.tokens
    check_books(at.purse, [counted], "auto")
    assert at.backends == (MODEL,), "what was offered is taken back"
