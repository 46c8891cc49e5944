"""The effort ladder and `auto` over the modes of a dial."""

import asyncio

import pytest

from bursar.backends.base import Backend
from bursar.backends.effort import Dialled
from bursar.backends.tiny import open_tiny
from bursar.budget import Budget
from bursar.reason import strategy
from bursar.reason.base import Strategy
from bursar.reason.effort import EffortLadder
from bursar.reason.models import features
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS

MODES = ("low", "medium", "high")


@pytest.fixture(scope="module")
def models() -> dict[str, Backend]:
    dial = open_tiny("tiny-dial")
    return {f"tiny-dial@{mode}": Dialled(dial, mode) for mode in MODES}


def run(models: dict[str, Backend], how: Strategy, limit: float, count: int = 24) -> Solution:
    known = {name: features(name) for name in models}
    bench = Workbench(
        Purse(Budget({"tokens": limit}), models),
        TASKS,
        read={n: f.read for n, f in known.items() if f.read},
        max_tokens={n: f.max_tokens for n, f in known.items() if f.max_tokens},
    )
    asked = TASKS["chain"].generate(count, seed=1)
    return asyncio.run(solve(how, asked, bench))


def ladder(trusted: float) -> Strategy:
    return RoundRobin("effort_ladder", EffortLadder(trusted))


def test_trusting_every_text_stays_at_the_lowest_effort(models: dict[str, Backend]) -> None:
    found = run(models, ladder(-1e9), 1e6)
    assert {a.attempts for a in found.answers} == {1}


def test_trusting_none_goes_up_until_two_agree(models: dict[str, Backend]) -> None:
    found = run(models, ladder(0.0), 1e6)
    attempts = [a.attempts for a in found.answers]
    assert min(attempts) == 2
    assert max(attempts) <= 3


@pytest.mark.parametrize("limit", [2_000, 8_000])
def test_no_strategy_goes_over_the_limit(models: dict[str, Backend], limit: float) -> None:
    for how in (ladder(-0.5), strategy("auto")):
        assert (run(models, how, limit).spent.tokens or 0.0) <= limit
