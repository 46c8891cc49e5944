"""What every step search keeps: never over, accounts that add up, anytime, the same by seed."""

import asyncio
from dataclasses import replace

import pytest

from bursar.backends import open_backend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason import STEP_SEARCHES, strategy
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.search import SEARCHES, Rebase, Rules, StepSearch
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks import TASKS

MODEL = "tiny-0.3m"


def bench(limits, *, check=True, keeps=True, model=None) -> Workbench:
    purse = Purse(Budget(limits), {MODEL: model or open_backend(MODEL)})
    made = equipped(purse, TASKS, check=check)
    return made if keeps else replace(made, keeps=frozenset())


def ask(count=3, tasks=("chain", "countdown", "sudoku4")):
    return [q for name in tasks for q in TASKS[name].generate(count, seed=1)]


@pytest.mark.parametrize("name", STEP_SEARCHES)
@pytest.mark.parametrize("tokens", [0, 30, 400, 2_500])
def test_never_over_one_answer_each_and_the_account_adds_up(name, tokens) -> None:
    at = bench({"tokens": tokens})
    questions = ask()
    solution = asyncio.run(solve(strategy(name), questions, at))
    assert [a.question_id for a in solution.answers] == [q.id for q in questions]
    assert solution.spent.tokens <= tokens
    assert Usage.total(a.usage for a in solution.answers).tokens == solution.spent.tokens
    assert at.purse.budget.held.tokens == 0
    assert tokens < 2_500 or solution.num_right > 0


@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_seed_gives_the_same_answers(name) -> None:
    first, second = (
        asyncio.run(solve(strategy(name), ask(2), bench({"tokens": 1_500}))) for _ in range(2)
    )
    told = [[(a.text, a.attempts, a.usage.tokens) for a in s.answers] for s in (first, second)]
    assert told[0] == told[1]


def test_what_the_tree_says_is_kept_is_what_the_engine_holds() -> None:
    model = open_backend(MODEL)
    seen = []

    class Watched:
        name = MODEL

        def upper_bound(self, request):
            return model.upper_bound(request)

        async def complete(self, requests):
            seen.append(model.engine.holdings.tokens)
            return await model.complete(requests)

    at = bench(None, check=False, model=Watched())
    question = TASKS["chain"].generate(1, seed=3, levels=("6",))
    (tree,) = asyncio.run(
        StepSearch("rebase", Rebase, Rules(), width=6, passes=1).grow(question, at)
    )
    at_rounds = sorted(set(seen), key=seen.index)[1:]  # the first is empty: the prompt's own call
    assert tree.kept_tokens == at_rounds


def test_a_model_that_keeps_nothing_is_sent_the_text_and_ends_where_it_has_answered() -> None:
    question = ask(2, ("chain",))
    kept, sent = (bench(None, check=False, keeps=keeps) for keeps in (True, False))
    trees = [
        asyncio.run(StepSearch("rebase", Rebase, width=4, passes=1).grow(question, at))
        for at in (kept, sent)
    ]
    texts = [[n.text for tree in grown for n in tree.ended] for grown in trees]
    assert all(a.startswith(b) for a, b in zip(*texts, strict=True))
    assert kept.purse.spent.tokens_in < sent.purse.spent.tokens_in


def test_a_model_without_steps_is_refused_before_anything_is_spent() -> None:
    at = Workbench(Purse(Budget({"tokens": 100}), {MODEL: open_backend(MODEL)}), TASKS)
    with pytest.raises(BadInput, match="single steps"):
        asyncio.run(solve(strategy("beam"), ask(1), at))
    assert at.purse.spent.tokens == 0
