"""No strategy compares well by spending what it does not pay for."""

import asyncio
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest

from bursar.answer import Answer
from bursar.backends import open_backend
from bursar.backends.base import Request
from bursar.budget import Budget
from bursar.errors import SpentElsewhere
from bursar.reason import STRATEGIES, strategy
from bursar.reason.base import OnRound
from bursar.reason.counted import Counted, check_books
from bursar.reason.purse import Call, Purse
from bursar.reason.workbench import Workbench
from bursar.run import Job, run_compare
from bursar.workload.tasks.base import Question

BUDGET = ("3k tokens",)


class Cheat:
    """Draws some tokens behind the purse's back, then behaves."""

    name = "cheat"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        (backend,) = bench.purse.backends.values()
        await backend.complete([Request(questions[0].prompt, 8, "peeked", i) for i in range(10)])
        return await strategy("self_consistency").solve(questions, bench, on_round)


def test_a_strategy_that_hides_its_spend_fails_the_comparison(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(STRATEGIES, "cheat", Cheat)
    job = Job(("countdown",), models=("tiny-0.3m",), questions=10)
    with pytest.raises(SpentElsewhere, match=r"cheat: its models counted .*purse\.complete"):
        run_compare(job, ("single", "cheat"), BUDGET, (0,), out=tmp_path / "run")


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_pays_for_all_it_uses(name: str) -> None:
    if name == "effort_ladder":
        job = Job(("chain",), models=("tiny-dial",), efforts=("low", "high"), questions=10)
    else:
        job = Job(("countdown", "chain"), models=("tiny-0.3m",), questions=10)
    _, (row, *_) = run_compare(job, (name,), BUDGET, (0,))
    assert 0 < row.spent <= 3_000


def test_what_a_failed_call_is_charged_too_much_is_no_fault() -> None:
    counted = Counted(open_backend("simulated:right=1,wrong=1"))
    purse = Purse(Budget("1k tokens"), {"simulated": counted})
    asyncio.run(purse.complete([Call("simulated", Request("why", 20, "q", i)) for i in range(3)]))
    check_books(purse, [counted], "plain")
    purse.budget.reserve(counted.used, what="lost").settle(None)
    check_books(purse, [counted], "plain")
    asyncio.run(counted.complete([Request("why", 20, "q", i) for i in range(9)]))
    with pytest.raises(SpentElsewhere) as caught:
        check_books(purse, [counted], "cheat")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
