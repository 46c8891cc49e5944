"""Claim: every strategy's four tags agree with its recorded calls, and wrong tags do not."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial

import pytest
from long_chains import long_chains
from tiny_arena import questions, remembered

from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.reason import STRATEGIES, strategy
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.taxonomy import TAGS, Observed, observe, tags
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS

MODEL, TOKENS = "tiny-0.3m", 12_000


def bench(backends: Mapping[str, Backend], check: bool) -> Workbench:
    purse = Purse(Budget({"tokens": TOKENS}), backends)
    return equipped(purse, TASKS, check=check)


GROUND = {
    "backtrack": lambda: questions("sudoku4", ("11",), 12, 0),
    "select_search": lambda: questions("sudoku4", ("11",), 12, 0),
    "scale": lambda: long_chains(16, 6, 0),
}
"""Where a strategy does what it is for, if not on chains of the usual lengths."""


@cache
def seen(name: str) -> tuple[Observed, float]:
    asked = GROUND.get(name, lambda: questions("chain", ("1", "7", "8"), 12, 0))()
    models = (MODEL, "tiny-1m") if name == "effort_ladder" else (MODEL,)
    found, solution = asyncio.run(
        observe(
            strategy(name),
            asked,
            {model: remembered(model) for model in models},
            partial(bench, check=name in GROUND),
        )
    )
    return found, solution.spent.tokens


def test_every_strategy_has_tags() -> None:
    assert list(TAGS) == list(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_tags_agree_with_the_calls(name) -> None:
    found, booked = seen(name)
    assert found.against(TAGS[name], booked) == []


@pytest.mark.parametrize(
    "wrong",
    [
        tags("sequential", "aggregation"),
        tags("parallel", "aggregation verification"),
        tags("parallel", "aggregation search"),
        tags("parallel", "aggregation", "sources with steps"),
    ],
)
def test_a_wrong_tag_is_found(wrong) -> None:
    found, booked = seen("self_consistency")
    assert len(found.against(wrong, booked)) == 1


def test_who_stops_and_does_not_say_so_is_found() -> None:
    found, booked = seen("single")
    assert found.against(tags("single", ""), booked) == ["stops by itself: told False, seen True"]


def test_tokens_beside_the_books_are_found() -> None:
    found, booked = seen("self_consistency")
    hidden = replace(found, tokens=found.tokens + 1)
    assert "tokens" in hidden.against(TAGS["self_consistency"], booked)[0]
