"""Steered strategies spend through the purse, and say what they need."""

import asyncio

import pytest
from exits_bench import bench, replayed

from bursar.backends.base import Completion
from bursar.errors import BadInput
from bursar.reason.exits.strategies import EXITS
from bursar.reason.exits.texts import last_answer
from bursar.usage import Usage
from bursar.workload.tasks import TASKS

CHAINS = TASKS["chain"].generate(6, seed=1, levels=["3"])


@pytest.mark.parametrize("name", EXITS)
def test_never_over_and_the_receipts_add_up(name: str) -> None:
    for tokens in (150.0, 900.0, 10_000.0):
        at = bench(tokens, name)
        answers = asyncio.run(EXITS[name]().solve(CHAINS, at))
        spent = at.purse.spent.tokens or 0.0
        assert spent <= tokens
        assert sum(a.usage.tokens or 0.0 for a in answers) == spent
        assert [a.question_id for a in answers] == [q.id for q in CHAINS]


@pytest.mark.parametrize("name", EXITS)
def test_the_same_seed_gives_the_same_answers(name: str) -> None:
    first, again = (asyncio.run(EXITS[name]().solve(CHAINS, bench(None, name))) for _ in range(2))
    assert [a.text for a in first] == [a.text for a in again]


@pytest.mark.parametrize("name", EXITS)
def test_a_model_without_states_to_see_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="use a built-in model"):
        asyncio.run(EXITS[name]().solve(CHAINS, replayed(CHAINS)))


@pytest.mark.parametrize("name", EXITS)
def test_another_task_is_refused(name: str) -> None:
    grids = TASKS["sudoku4"].generate(2, seed=1)
    with pytest.raises(BadInput, match="not sudoku4: leave these questions out"):
        asyncio.run(EXITS[name]().solve([*CHAINS, *grids], bench(None, name)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2+3=5\n#5\nwrong\n2+3=", "5"),
        ("2+3=5\n#5\nwrong\n2+3=6\n#6\n", "6"),
        ("2+3=", None),
    ],
)
def test_an_attempt_cut_short_does_not_take_back_the_answer_before_it(
    text: str, answer: str | None
) -> None:
    done = Completion(text, Usage.zero(), "length")
    assert last_answer(TASKS["chain"], CHAINS[0], done) == answer


def test_a_share_of_the_tokens_goes_to_every_question() -> None:
    few = asyncio.run(EXITS["anytime"]().solve(CHAINS, bench(300.0)))
    assert all(a.text is not None for a in few)
    assert max(a.usage.tokens or 0.0 for a in few) <= 50
