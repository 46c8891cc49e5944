"""Which answer a text states: equal ones are equal strings, however they are written."""

import pytest

from bursar.errors import BadInput
from bursar.gateway.reading import Chat, task_for
from bursar.workload.tasks.base import Question

QUESTION = Question("q", "chat", "?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("So the answer is 42.", "Therefore: \\boxed{42}"),
        ("Answer: 1,000", "We get\n**Answer:** 1000"),
        ("The final answer is $12.50", "answer: 12.5"),
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ("Paris", " paris. "),
        ("\\boxed{\\frac{1}{2}}", "so \\boxed{\\frac{1}{2}} it is"),
    ],
)
def test_equal_answers_are_equal(one, other) -> None:
    task = Chat(100)
    assert task.extract(QUESTION, one) == task.extract(QUESTION, other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [("Answer: 42", "Answer: 43"), ("Paris", "London"), ('{"a": 1}', '{"a": 2}')],
)
def test_different_answers_are_different(one, other) -> None:
    task = Chat(100)
    assert task.extract(QUESTION, one) != task.extract(QUESTION, other)


def test_readers_by_name() -> None:
    assert Chat(9, "numeric").extract(QUESTION, "3 apples and 4 pears") == "4"
    assert Chat(9, "choice").extract(QUESTION, "It is (B), not A... B") == "B"
    assert Chat(9, "text").extract(QUESTION, "The answer is 4") == "the answer is 4"
    assert Chat(9).extract(QUESTION, "  ") is None


def test_built_in_questions_have_their_own_task() -> None:
    assert task_for("chain 3*4+5\n", 50, "").name == "chain"
    assert task_for("countdown 3,7,12=81\n", 50, "").verifiable
    assert task_for("What is 2+2?", 50, "").name == "chat"
    with pytest.raises(BadInput, match="use one of"):
        task_for("?", 50, "magic")
