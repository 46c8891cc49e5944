"""Solve: one budget, many questions, one strategy; answers, what was spent, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bursar.answer import Answer
from bursar.reason.base import OnRound, Round, Strategy
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question, Task


@dataclass(frozen=True, slots=True)
class Solution:
    """Answers in the order of the questions; `correct` is None where nobody knows the truth."""

    answers: tuple[Answer, ...]
    correct: tuple[bool | None, ...]
    rounds: tuple[Round, ...]
    right_by_round: tuple[int | None, ...]
    spent: Usage

    @property
    def num_right(self) -> int | None:
        """Right answers; None unless every question could be graded."""
        return _count(self.correct)

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None unless every question could be graded."""
        right = self.num_right
        return None if right is None or not self.correct else right / len(self.correct)


async def solve(
    strategy: Strategy,
    questions: Sequence[Question],
    bench: Workbench,
    on_round: OnRound | None = None,
) -> Solution:
    """Spend the workbench's purse on `questions`, then grade. The strategy never sees a grade."""
    rounds: list[Round] = []

    def note(now: Round) -> None:
        rounds.append(now)
        if on_round:
            on_round(now)

    answers = await strategy.solve(questions, bench, note)
    by_round = [
        _count([grade(q, p.answer, bench.tasks) for q, p in zip(questions, r.picks, strict=True)])
        for r in rounds
    ]
    return Solution(
        answers=tuple(answers),
        correct=tuple(
            grade(q, a.text, bench.tasks) for q, a in zip(questions, answers, strict=True)
        ),
        rounds=tuple(rounds),
        right_by_round=tuple(by_round),
        spent=bench.purse.spent,
    )


def grade(question: Question, answer: str | None, tasks: Mapping[str, Task]) -> bool | None:
    """Whether `answer` is right; None when neither a checker nor a reference can tell."""
    task = tasks[question.task]
    if question.answer is None and not task.verifiable:
        return None
    return task.check(question, answer)


def _count(correct: Sequence[bool | None]) -> int | None:
    return None if None in correct else sum(map(bool, correct))
