"""countdown: exact checking, canonical expressions, solvability, the split."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.workload.tasks import countdown
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import split_of

TASK = countdown.Countdown()
QUESTION = Question("1", "countdown", "countdown 3,7,12=81\n")
SOLUTION = "12*7=84>3,84\n84-3=81\nright"


def text_of(steps: list[countdown.Step]) -> str:
    return "".join(s.choice + s.outcome for s in steps) + "right"


@given(st.integers(0, 10**6), st.integers(3, 5))
@settings(max_examples=200, deadline=None)
def test_every_drawn_solution_is_legal_and_right(seed: int, size: int) -> None:
    numbers, steps = countdown.draw_solved(random.Random(seed), size)
    target = steps[-1].result
    assert all(1 <= n <= 20 for n in numbers)
    assert 10 <= target <= 99
    assert all(0 <= s.result <= 99 for s in steps)
    prompt = f"countdown {','.join(map(str, numbers))}={target}\n"
    question = Question("1", "countdown", prompt)
    answer = TASK.extract(question, text_of(steps))
    assert TASK.check(question, answer)
    assert TASK.steps(question, text_of(steps)) == [True] * (size - 1)
    other = Question("2", "countdown", prompt.replace(f"={target}", f"={target - 1}"))
    assert not TASK.check(other, answer)


def test_known_solution() -> None:
    assert TASK.extract(QUESTION, SOLUTION) == "12*7-3"
    assert TASK.check(QUESTION, "12*7-3")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("12*7", "a number is unused"),
        ("12*7-3+0", "a number is not there"),
        ("81", "no work"),
        ("9*9", "other numbers"),
        ("12*(7-3)", "another value"),
        ("12*7-3/(3-3)", "divides by zero"),
        ("__import__('os')", "not an expression"),
        ("12**7", "not an operator"),
        ("12*7-", "half written"),
        ("", "empty"),
    ],
)
def test_wrong_answers(answer: str, why: str) -> None:
    assert not TASK.check(QUESTION, answer), why


def test_a_false_claim_is_not_believed() -> None:
    """The expression counts, not what the text says it is worth."""
    answer = TASK.extract(QUESTION, "12+7=84>3,84\n84-3=81\nright")
    assert answer == "12+7-3"
    assert not TASK.check(QUESTION, answer)


def test_a_number_may_be_used_once_only() -> None:
    assert TASK.extract(QUESTION, "12*7=84>3,84\n12+7=19>84\n") is None


def test_division_is_exact() -> None:
    question = Question("1", "countdown", "countdown 2,5,4=10\n")
    assert TASK.check(question, "5*4/2")
    assert TASK.check(question, "4*(5/2)")  # fractions on the way are fine
    assert not TASK.check(Question("1", "", "countdown 5,2,4=8\n"), "5/2*4")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("7*12=84>3,84\n84-3=81\n", "12*7=84>3,84\n84-3=81\n"),
        ("3+7=10>12,10\n10+12=22\n", "12+3=15>7,15\n15+7=22\n"),
        ("12-3=9>7,9\n9-7=2\n", "7+3=10>12,10\n12-10=2\n"),
    ],
)
def test_equal_solutions_are_equal_strings(one: str, other: str) -> None:
    assert TASK.extract(QUESTION, one) == TASK.extract(QUESTION, other) is not None


def test_extract_reads_the_last_attempt() -> None:
    failed = "12+7=19>3,19\n19*3=57\nwrong\n"
    assert TASK.extract(QUESTION, failed + SOLUTION) == "12*7-3"
    assert TASK.extract(QUESTION, failed + "12*7=84>") is None
    assert TASK.extract(QUESTION, failed) is None
    assert TASK.extract(QUESTION, failed.strip()) is None
    assert TASK.extract(QUESTION, failed.removesuffix("wrong\n")) == "(12+7)*3"
    assert TASK.extract(QUESTION, "I think\n12 * 7 - 3 = 81") == "12*7-3"


def test_splits_are_disjoint_up_to_order() -> None:
    forms = {
        side: {
            countdown.canonical_prompt(*countdown.parse_prompt(q.prompt))
            for q in TASK.generate(300, seed=1, split=side, levels=["3"])
        }
        for side in ("train", "test")
    }
    assert all(split_of(form) == side for side in forms for form in forms[side])
    assert {len(f) for f in forms.values()} == {300}
