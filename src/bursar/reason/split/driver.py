"""The driver of divided questions: parts in order, each with the attempts its effort says, a vote.

SCALE and Plan-and-Budget differ in one column: how many attempts each part of a question gets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bursar.answer import Answer
from bursar.reason.base import Arm, Attempt, OnRound, Pick, Round, Work
from bursar.reason.self_consistency import vote
from bursar.reason.split.base import Division, Part, Splitter
from bursar.reason.split.chains import ChainSplitter
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question


class Effort(Protocol):
    """How hard to think about each part of a question."""

    def attempts(self, question_id: str, parts: Sequence[Part]) -> list[int]:
        """Attempts per part, at least one each."""
        ...


@dataclass(slots=True)
class Progress:
    """A question on its way: the picks of the parts solved so far, and every attempt bought."""

    question: Question
    parts: tuple[Part, ...] = ()
    effort: Sequence[int] = ()
    planning: Usage = field(default_factory=Usage.zero)
    picks: dict[int, Pick] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    stuck: bool = False

    def ready(self) -> list[int]:
        """Parts not solved yet whose needs are."""
        if self.stuck:
            return []
        return [
            i
            for i, part in enumerate(self.parts)
            if i not in self.picks and all(need in self.picks for need in part.needs)
        ]

    def prompt(self, index: int) -> str:
        """The prompt of a ready part."""
        found = [self.picks[i].answer if i in self.picks else None for i in range(index)]
        return self.parts[index].prompt(found)

    def pick(self) -> Pick:
        """The last part's answer, believed as far as every part is; None while it is missing."""
        last = self.picks.get(len(self.parts) - 1)
        if last is None:
            return Pick(None, None)
        beliefs = [pick.p_right for pick in self.picks.values() if pick.p_right is not None]
        return Pick(last.answer, math.prod(beliefs))

    def answer(self) -> Answer:
        """What is known when spending has ended."""
        pick = self.pick()
        return Answer(
            question_id=self.question.id,
            text=pick.answer,
            p_right=pick.p_right,
            attempts=len(self.attempts),
            usage=Usage.total([self.planning, *(a.usage for a in self.attempts)]),
            verified=len(self.parts) == 1 and any(a.verified for a in self.attempts),
            stopped="budget" if pick.answer is None else "enough",
        )


@dataclass(frozen=True, slots=True)
class SplitAndSolve:
    """Divides each question and solves its parts in order, with results passed on.

    Questions are taken `together` at a time, so that a budget that ends early leaves whole answers.
    """

    name: str
    effort: Effort
    splitter: Splitter = field(default_factory=ChainSplitter)
    together: int = 32

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        """See `Strategy.solve`."""
        everything = [Progress(question) for question in questions]
        for start in range(0, len(everything), self.together):
            group = everything[start : start + self.together]
            divisions = await self.splitter.split([p.question for p in group], bench)
            for progress, division in zip(group, divisions, strict=True):
                self._begin(progress, division)
            while wave := [(p, i) for p in group for i in p.ready()]:
                bought = await self._solve_parts(wave, bench)
                if on_round:
                    picks = tuple(p.pick() for p in everything)
                    on_round(Round(bench.purse.spent, None, bought, picks))
        return [progress.answer() for progress in everything]

    def _begin(self, progress: Progress, division: Division) -> None:
        progress.parts, progress.planning = division.parts, division.usage
        progress.effort = self.effort.attempts(progress.question.id, division.parts)

    async def _solve_parts(self, wave: Sequence[tuple[Progress, int]], bench: Workbench) -> int:
        """Buys every part's attempts in one go and votes; returns how many were bought."""
        moves = [self._moves(p, i, bench) for p, i in wave]
        await bench.attempt([move for part in moves for move in part])
        bought = 0
        for (progress, index), part in zip(wave, moves, strict=True):
            works = {id(work): work for work, _ in part}.values()
            attempts = [attempt for work in works for attempt in work.attempts]
            bought += len(attempts)
            progress.attempts += attempts
            pick = _elect(attempts)
            progress.stuck = progress.stuck or pick.answer is None
            if pick.answer is not None:
                progress.picks[index] = pick
        return bought

    def _moves(self, progress: Progress, index: int, bench: Workbench) -> list[tuple[Work, Arm]]:
        """One attempt per phrasing, greedy where the phrasing is new, else a fresh sample."""
        backend, question = bench.backends[0], progress.question
        prompt = progress.prompt(index)
        works: dict[str, Work] = {}
        moves = []
        for number in range(progress.effort[index]):
            said = self.splitter.phrasing(prompt, number)
            fresh = backend in bench.greedy and said not in works
            if said not in works:
                name = question.id if said == question.prompt else f"{question.id}/{index}.{number}"
                works[said] = Work(replace(question, id=name, prompt=said, answer=None))
            moves.append((works[said], Arm(backend, 0.0 if fresh else bench.temperature)))
        return moves


def _elect(attempts: Sequence[Attempt]) -> Pick:
    """What the exact checker accepted, else the plurality."""
    chosen = [a for a in attempts if a.verified] or attempts
    return vote(chosen, [1.0] * len(chosen))
