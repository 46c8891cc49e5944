"""Every task set keeps the contract of `bursar.workload.tasks.base.Task`."""

import dataclasses

import pytest

from bursar.errors import BadInput
from bursar.workload.tasks import TASKS, Question, Task
from bursar.workload.tasks.jsonl import Jsonl

_OWN = Jsonl(
    tuple(Question(str(i), "own", f"what is {i}+1?", str(i + 1), str(i % 2)) for i in range(40)),
    checker="numeric",
    name="own",
)
_ALL = {**TASKS, "own": _OWN}


@pytest.fixture(params=sorted(_ALL))
def task(request: pytest.FixtureRequest) -> Task:
    return _ALL[request.param]


def test_protocol(task: Task) -> None:
    assert isinstance(task, Task)
    assert task.levels
    assert 0 < task.max_tokens < 10_000


def test_names_agree() -> None:
    assert all(name == task.name for name, task in TASKS.items())


def test_generate_is_deterministic_distinct_and_levelled(task: Task) -> None:
    questions = task.generate(24, seed=3)
    assert questions == task.generate(24, seed=3)
    assert len({q.id for q in questions}) == len({q.prompt for q in questions}) == 24
    assert {q.level for q in questions} <= set(task.levels)
    assert {q.task for q in questions} == {task.name}


def test_levels_in_equal_shares(task: Task) -> None:
    chosen = task.levels[:2]
    levels = [q.level for q in task.generate(10, seed=0, levels=chosen)]
    assert all(levels.count(level) == 10 // len(chosen) for level in chosen)


def test_no_answer_is_not_right(task: Task) -> None:
    for question in task.generate(6, seed=1):
        assert task.extract(question, "") is None
        assert not task.check(question, None)


def test_verifiable_tasks_do_not_look_at_the_reference(task: Task) -> None:
    for question in task.generate(6, seed=2):
        answer = _right_answer(task, question)
        blind = dataclasses.replace(question, answer=None)
        assert task.check(question, answer)
        assert task.check(blind, answer) == task.verifiable


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize(
    "bad", [{"split": "dev"}, {"levels": ["nine"]}, {"levels": []}], ids=lambda b: next(iter(b))
)
def test_bad_arguments(name: str, bad: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        TASKS[name].generate(1, seed=0, **bad)  # type: ignore[arg-type]


def _right_answer(task: Task, question: Question) -> str | None:
    if question.answer is not None:
        return question.answer
    return _search(question)


def _search(question: Question) -> str:
    """A solution of a countdown question, by trying everything."""
    from bursar.workload.tasks.countdown import apply, parse_prompt

    numbers, target = parse_prompt(question.prompt)

    def solve(left: list[tuple[int, str]]) -> str | None:
        if len(left) == 1:
            return left[0][1] if left[0][0] == target else None
        for i, (a, x) in enumerate(left):
            for j, (b, y) in enumerate(left):
                rest = [n for k, n in enumerate(left) if k not in (i, j)]
                for op in "+-*/":
                    value = apply(a, op, b) if i != j else None
                    found = value is not None and solve([*rest, (value, f"({x}{op}{y})")])
                    if found:
                        return found
        return None

    solution = solve([(n, str(n)) for n in numbers])
    assert solution is not None
    return solution
