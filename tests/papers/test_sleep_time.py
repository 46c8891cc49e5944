"""Claim: what is worked out about a context beforehand makes every later question cheap.

A context is eight expressions of 6 operations, one of them asked about much more often than others;
a query goes on from one of them with 2 more operations. tiny-0.3m, greedy, answers online.
"""

import asyncio
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from long_chains import MODEL, bench_of
from scipy.stats import spearmanr

from bursar.backends.tiny.backend import WEIGHTS, TinyBackend
from bursar.backends.token_price import TokenPrice
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.ahead import (
    Context,
    Fact,
    SleepTime,
    WithNotes,
    break_even_queries,
    recall_prefix,
    recall_text,
)
from bursar.reason.base import Strategy
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin
from bursar.reason.single import Single
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.receipt import Receipt
from bursar.workload.tasks import chain
from bursar.workload.tasks.base import Question

QUERIES = 40
FACTS = 8
PLAIN: Strategy = RoundRobin("single", Single())


@dataclass(frozen=True)
class World:
    """A context, what is asked about it, and the chance that each query had."""

    context: Context
    questions: tuple[Question, ...]
    chances: tuple[float, ...]

    @classmethod
    def draw(cls, seed: int, skew: float) -> "World":
        """Facts are asked about in proportion to rank^-skew."""
        rng = random.Random(seed)
        facts = ["".join(chain.draw_expression(rng, 6)) for _ in range(FACTS)]
        weights = np.arange(1, FACTS + 1) ** -skew
        chances = weights / weights.sum()
        asked = rng.choices(range(FACTS), chances.tolist(), k=QUERIES)
        questions = []
        for number, index in enumerate(asked):
            more = "".join(rng.choice("+-") + str(rng.randint(2, 96)) for _ in range(2))
            expression = facts[index] + more
            truth = chain.value(chain.parse(expression) or [])
            name = f"ahead-{seed}-{skew}-{number}"
            questions.append(Question(name, "chain", f"chain {expression}\n", str(truth)))
        listed = [Fact(f"chain {f}\n", float(p)) for f, p in zip(facts, chances, strict=True)]
        context = Context(f"context-{seed}-{skew}", "chain", tuple(listed), QUERIES)
        return cls(context, tuple(questions), tuple(chances[i] for i in asked))

    def notes(self, budget: Budget, least_uses: float = 1.0) -> dict[str, str]:
        bench = bench_of(budget, seed=0)
        return asyncio.run(SleepTime(least_uses=least_uses).think([self.context], bench))

    def ask(self, strategy: Strategy, budget: Budget) -> Solution:
        return asyncio.run(solve(strategy, self.questions, bench_of(budget, seed=0)))


def used(solution: Solution) -> np.ndarray:
    return np.array([a.usage.tokens for a in solution.answers], dtype=float)


WORLDS = [World.draw(seed, skew=1.0) for seed in range(3)]


def test_three_times_fewer_online_tokens_at_no_lower_accuracy_and_the_scopes_add_up() -> None:
    alone, ahead, right_alone, right_ahead = 0.0, 0.0, 0.0, 0.0
    for world in WORLDS:
        root = Budget(name="job")
        notes = world.notes(root.child("offline"))
        after = world.ask(WithNotes(notes, PLAIN), root.child("online"))
        before = world.ask(PLAIN, Budget())
        alone, ahead = alone + used(before).sum(), ahead + used(after).sum()
        right_alone += before.accuracy or 0.0
        right_ahead += after.accuracy or 0.0
        scopes = Receipt.of(root).by(2)
        assert scopes["job/online"].tokens == used(after).sum()
        assert scopes["job/offline"].tokens == (root.spent.tokens or 0.0) - used(after).sum()
    assert alone > 3 * ahead
    assert right_ahead >= right_alone


def test_it_pays_after_as_many_queries_as_the_formula_says() -> None:
    """In dollars, with offline tokens at half price: cumulative bills cross where predicted."""
    world = WORLDS[0]
    folder, full = WEIGHTS / MODEL, TokenPrice(1.0, 4.0)
    half = TokenPrice(0.5, 2.0)

    def bench_at(price: TokenPrice, budget: Budget) -> Workbench:
        purse = Purse(budget, {MODEL: TinyBackend(folder, price=price)})
        return replace(bench_of(budget, 0), purse=purse)

    offline = Budget(name="offline")
    notes = asyncio.run(SleepTime().think([world.context], bench_at(half, offline)))
    bills = []
    for strategy in (PLAIN, WithNotes(notes, PLAIN)):
        solved = asyncio.run(solve(strategy, world.questions, bench_at(full, Budget())))
        bills.append(np.array([a.usage.usd for a in solved.answers], dtype=float))
    alone, ahead = bills
    spent = offline.spent.usd or 0.0
    predicted = break_even_queries(spent, float(alone.mean()), float(ahead.mean()))
    paid = int(np.argmax(np.cumsum(alone) >= spent + np.cumsum(ahead))) + 1
    assert 1 < predicted < QUERIES
    assert paid == pytest.approx(predicted, rel=0.15, abs=1)
    at_full_price = break_even_queries(2 * spent, float(alone.mean()), float(ahead.mean()), 0.5)
    assert at_full_price == pytest.approx(predicted)


def test_tokens_saved_rise_with_the_predictability_of_the_query() -> None:
    """Facts are worked out only where 5 uses are expected; skewed contexts are more predictable."""
    chance, saved, by_skew = [], [], []
    for skew in (0.0, 0.5, 1.0, 2.0):
        world = World.draw(7, skew)
        after = world.ask(WithNotes(world.notes(Budget(), least_uses=5.5), PLAIN), Budget())
        gain = used(world.ask(PLAIN, Budget())) - used(after)
        chance += world.chances
        saved += gain.tolist()
        by_skew.append(gain.mean())
    assert spearmanr(np.log(chance), saved).statistic > 0.4
    assert by_skew[0] == 0
    assert by_skew[-1] > by_skew[1]


def test_notes_of_another_context_save_as_much_and_are_worth_nothing() -> None:
    world = WORLDS[0]
    notes = world.notes(Budget())
    others = dict(zip(notes, [*list(notes.values())[1:], "0"], strict=True))
    right = world.ask(WithNotes(notes, PLAIN), Budget())
    wrong = world.ask(WithNotes(others, PLAIN), Budget())
    assert (wrong.accuracy or 0.0) < (right.accuracy or 0.0) - 0.5


def test_a_beginning_is_recalled_only_where_nothing_binds_to_its_inside() -> None:
    notes = {"chain 3+4\n": "7", "chain 3+4*5\n": "23"}
    assert recall_prefix("chain 3+4-1\n", notes) == "chain 7-1\n"
    assert recall_prefix("chain 3+4*5-1\n", notes) == "chain 23-1\n"
    assert recall_prefix("chain 3+4*6\n", notes) == "chain 3+4*6\n"
    assert recall_prefix("chain 3+45-1\n", notes) == "chain 3+45-1\n"
    assert recall_text("q", {"sum of 3 and 4\n": "7"}).startswith(
        "Known already:\nsum of 3 and 4: 7"
    )


def test_notes_that_save_nothing_never_pay() -> None:
    assert break_even_queries(100, 10, 10) == np.inf
    assert break_even_queries(100, 30, 10, discount=0.5) == 2.5
    with pytest.raises(BadInput, match="zero or more"):
        break_even_queries(-1, 1, 1)
