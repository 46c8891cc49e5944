"""Splitting: parts that add up to the question, and a strategy that keeps its place."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from bursar.backends.base import Completion, Request
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.reason.split import ChainSplitter, PromptedSplitter, Scale, SplitAndSolve
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks import chain
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.jsonl import Jsonl


def solved_by_hand(splitter: ChainSplitter, prompt: str) -> list[str]:
    results: list[str | None] = []
    for part in splitter.parts(prompt):
        asked = chain.parse(part.prompt(results).removeprefix("chain ").strip())
        assert asked is not None
        assert len(asked) // 2 <= splitter.most
        assert all(need < len(results) for need in part.needs)
        results.append(str(chain.value(asked)))
    return [r for r in results if r is not None]


@pytest.mark.parametrize("most", [1, 3, 6])
@pytest.mark.parametrize("operations", [0, 1, 2, 7, 20])
def test_parts_solved_in_order_come_to_the_value_of_the_chain(most: int, operations: int) -> None:
    rng = random.Random(operations)
    for _ in range(30):
        pieces = chain.draw_expression(rng, operations)
        results = solved_by_hand(ChainSplitter(most), f"chain {''.join(pieces)}\n")
        assert results[-1] == str(chain.value(pieces))


def test_every_phrasing_has_the_same_value_and_the_first_is_the_prompt() -> None:
    rng = random.Random(5)
    splitter = ChainSplitter()
    for _ in range(50):
        prompt = f"chain {''.join(chain.draw_expression(rng, 6))}\n"
        said = [splitter.phrasing(prompt, index) for index in range(6)]
        assert said[0] == prompt
        assert len(set(said)) > 1
        values = {chain.value(chain.parse(s.removeprefix("chain ").strip()) or []) for s in said}
        assert len(values) == 1


def test_what_is_no_chain_stays_whole() -> None:
    (part,) = ChainSplitter().parts("a set {1}")
    assert part.prompt([]) == "a set {1}"


def test_parts_of_unknown_difficulty_are_refused() -> None:
    with pytest.raises(BadInput, match="most is 9"):
        ChainSplitter(most=9)


PLAN = """Here are the sub-problems:
1. How many apples are in {the} box? [0.1]
2. How many are left after lunch? [0.9]
"""


class Scripted:
    """Plans as told; answers ``7`` to the first sub-problem and ``5`` to what knows of the 7."""

    name = "scripted"

    def __init__(self, plan: str) -> None:
        self.plan = plan
        self.asked: list[str] = []

    def upper_bound(self, request: Request) -> Usage:
        return Usage(tokens_in=100, tokens_out=10)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += [r.prompt for r in requests]
        return [Completion(self._say(r), Usage(tokens_in=50, tokens_out=5), "stop")
                for r in requests]  # fmt: skip

    def _say(self, request: Request) -> str:
        if request.question_id.endswith("/split"):
            return self.plan
        return "so it is 5" if "Result: 7" in request.prompt else "so it is 7"

    async def aclose(self) -> None: ...


QUESTION = Question("q", "sums", "A box of 7 {apples}; 2 are eaten. How many are left?", "5")


def run_prompted(model: Scripted, tokens: float) -> tuple[Budget, list[bool | None], int]:
    budget = Budget({"tokens": tokens})
    bench = Workbench(Purse(budget, {"m": model}), {"sums": Jsonl((QUESTION,), "numeric")})
    strategy = SplitAndSolve("scale", Scale(threshold=0.5, hard=3), PromptedSplitter())
    solution = asyncio.run(solve(strategy, [QUESTION], bench))
    assert solution.answers[0].usage.tokens == budget.spent.tokens
    return budget, list(solution.correct), solution.answers[0].attempts


def test_a_model_names_the_parts_and_results_are_passed_on() -> None:
    model = Scripted(PLAN)
    budget, correct, attempts = run_prompted(model, 10_000)
    assert correct == [True]
    assert attempts == 1 + 3  # the plan's ratings: one routine part, one hard one
    assert budget.spent.tokens == 5 * 55
    assert model.asked[1].count("{the}") == 1


def test_a_plan_that_cannot_be_read_leaves_the_question_whole() -> None:
    model = Scripted("I would rather not.")
    _, correct, _ = run_prompted(model, 10_000)
    assert correct == [False]
    assert model.asked[1] == QUESTION.prompt


def test_a_budget_that_ends_in_between_leaves_no_answer_and_no_overrun() -> None:
    budget, correct, attempts = run_prompted(Scripted(PLAN), 170)
    assert (correct, attempts) == ([False], 1)
    assert (budget.spent.tokens or 0) <= 170
