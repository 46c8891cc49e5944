"""Claim: demonstrations where an input needs them buy the same accuracy with a third fewer tokens.

A trained in-context learner on hidden rules: of five kinds of input one needs no demonstration,
one a single one, the others more and more. The controller learns that from other rules' inputs.
"""

import asyncio
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from bursar.backends.base import Request
from bursar.backends.in_context import InContextBackend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.purse import Purse
from bursar.reason.split import MetaController, ask_with
from bursar.reason.workbench import Workbench
from bursar.workload.hidden_rules import TASK, Demonstrated, HiddenRules

COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)
EACH = 4
"""Tokens of a demonstration."""
UNIFORM = 6
SEEDS = range(3)
TESTED = 200
BACKEND = InContextBackend()


def pieces(items: Sequence[Demonstrated]) -> list[list[str]]:
    return [[i.question.prompt[0], i.question.prompt[1:]] for i in items]


def right(items: Sequence[Demonstrated], counts: Sequence[int], budget: Budget) -> np.ndarray:
    bench = Workbench(Purse(budget, {"in-context": BACKEND}), {TASK: HiddenRules()})
    answers, usage = asyncio.run(ask_with(items, counts, bench))
    shown = (usage.tokens_in or 0) - 2 * len(items)
    assert shown == EACH * sum(counts)
    return np.array([a == i.question.answer for a, i in zip(answers, items, strict=True)])


@cache
def controller() -> MetaController:
    items = HiddenRules().draw(500, seed=0, split="train")
    tried = np.column_stack([right(items, [k] * len(items), Budget()) for k in COUNTS])
    return MetaController.fit(pieces(items), tried, COUNTS)


@cache
def held_out(seed: int) -> list[Demonstrated]:
    return HiddenRules().draw(TESTED, seed=seed)


def planned(items: Sequence[Demonstrated], mean_count: float) -> list[int]:
    plan = controller().plan(pieces(items), mean_count * EACH * len(items), EACH)
    return [COUNTS[choice] for choice in plan.choice]


def accuracy_of(mean_count: float, shuffled: bool = False) -> float:
    """Held out, over the seeds; `shuffled`: each input gets another one's demonstrations."""
    shares = []
    for seed in SEEDS:
        counts = planned(held_out(seed), mean_count)
        if shuffled:
            counts = np.random.default_rng(seed).permutation(counts).tolist()
        assert sum(counts) <= mean_count * TESTED
        shares.append(right(held_out(seed), counts, Budget()).mean())
    return float(np.mean(shares))


def uniform(count: int) -> float:
    return float(np.mean([right(held_out(s), [count] * TESTED, Budget()).mean() for s in SEEDS]))


def random_counts(mean_count: int) -> float:
    """Whole numbers of demonstrations dealt out one by one, by chance."""
    shares = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(mean_count * TESTED, np.full(TESTED, 1 / TESTED))
        shares.append(right(held_out(seed), np.minimum(counts, 31).tolist(), Budget()).mean())
    return float(np.mean(shares))


def test_equal_accuracy_with_30_percent_fewer_demonstration_tokens() -> None:
    budgets = (4, 6, 8, 12)
    dynamic, same = [accuracy_of(0.7 * k) for k in budgets], [uniform(k) for k in budgets]
    assert np.mean(dynamic) >= np.mean(same)
    assert all(d >= s - 0.01 for d, s in zip(dynamic, same, strict=True))


def test_beats_uniform_and_random_allocation_at_equal_tokens() -> None:
    dynamic = accuracy_of(UNIFORM)
    assert dynamic > uniform(UNIFORM) + 0.02
    assert dynamic > random_counts(UNIFORM) + 0.02


def test_the_gain_is_gone_when_each_input_gets_what_another_one_needs() -> None:
    assert accuracy_of(UNIFORM, shuffled=True) < uniform(UNIFORM)


def test_the_controller_asks_for_more_where_more_classes_are_hidden() -> None:
    items = held_out(0)
    counts = np.array(planned(items, UNIFORM))
    by_letter = [counts[[i.question.level == x for i in items]].mean() for x in "klmno"]
    assert by_letter == sorted(by_letter)
    assert by_letter[0] < 1


def test_a_purse_that_ends_leaves_the_rest_unanswered() -> None:
    budget = Budget({"tokens": 100})
    bench = Workbench(Purse(budget, {"in-context": BACKEND}), {TASK: HiddenRules()})
    answers, _ = asyncio.run(ask_with(held_out(0)[:20], [4] * 20, bench))
    assert sum(a is not None for a in answers) == 100 // (4 * EACH + 3)
    assert (budget.spent.tokens or 0) <= 100


@pytest.mark.parametrize("prompt", ["chain 3+4\n", "n17\nn3", "n99", ""])
def test_other_prompts_are_refused(prompt: str) -> None:
    with pytest.raises(BadInput):
        asyncio.run(BACKEND.complete([Request(prompt, 1)]))


def test_a_controller_needs_every_count_of_every_input() -> None:
    with pytest.raises(BadInput, match="does not fit"):
        MetaController.fit([["a"]], np.ones((1, 2), dtype=bool), COUNTS)
