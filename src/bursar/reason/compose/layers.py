"""What compositions are made of: layers that buy candidates for an answer, or drop some.

Each says beforehand how many calls a question can cost it, given how many candidates come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bursar.reason.base import Arm, Work
from bursar.reason.verify import VERIFIERS, judge
from bursar.reason.workbench import Workbench

BOUGHT = frozenset({"self_evaluation"})
"""Verifiers whose verdict is a call of its own; the others read what is known of an attempt."""


@dataclass(slots=True)
class Candidates:
    """A question on its way through the layers: which attempts are still in the running."""

    work: Work
    alive: list[int] = field(default_factory=list)


class Layer(Protocol):
    """One step of a composition, done for all questions together."""

    def size(self, candidates: int) -> tuple[int, int]:
        """(calls, candidates that go out) of a question with this many coming in, at most."""
        ...

    async def apply(self, questions: Sequence[Candidates], bench: Workbench) -> int:
        """Do it; returns how many calls the purse could not cover."""
        ...


@dataclass(frozen=True, slots=True)
class Generate:
    """Generator: `count` attempts by `arm`."""

    arm: Arm
    count: int

    def size(self, candidates: int) -> tuple[int, int]:
        return self.count, candidates + self.count

    async def apply(self, questions: Sequence[Candidates], bench: Workbench) -> int:
        return await _buy([(q, self.arm) for q in questions for _ in range(self.count)], bench)


@dataclass(frozen=True, slots=True)
class Verify:
    """Critic, verifier or tester: drops candidates that score below a half, if need be all."""

    verifier: str

    def size(self, candidates: int) -> tuple[int, int]:
        return candidates * (self.verifier in BOUGHT), candidates

    async def apply(self, questions: Sequence[Candidates], bench: Workbench) -> int:
        refused, scores = await _scores(self.verifier, questions, bench)
        for q, of_it in zip(questions, scores, strict=True):
            q.alive = [i for i in q.alive if of_it.get(i, 1.0) >= 0.5]
        return refused


@dataclass(frozen=True, slots=True)
class Fuse:
    """Fuser: where no candidate is left, `count` attempts with the last one before their eyes."""

    count: int

    def size(self, candidates: int) -> tuple[int, int]:
        return self.count, candidates + self.count

    async def apply(self, questions: Sequence[Candidates], bench: Workbench) -> int:
        stuck = [q for q in questions if not q.alive and not q.work.attempts[-1].truncated]
        arms = [Arm(q.work.attempts[-1].arm.backend, bench.temperature, True) for q in stuck]
        moves = [(q, arm) for q, arm in zip(stuck, arms, strict=True) for _ in range(self.count)]
        return await _buy(moves, bench)


@dataclass(frozen=True, slots=True)
class Rank:
    """Ranker: keeps the `keep` candidates that the verifier likes best, the best one first."""

    verifier: str
    keep: int

    def size(self, candidates: int) -> tuple[int, int]:
        return candidates * (self.verifier in BOUGHT), min(self.keep, candidates)

    async def apply(self, questions: Sequence[Candidates], bench: Workbench) -> int:
        refused, scores = await _scores(self.verifier, questions, bench)
        for q, of_it in zip(questions, scores, strict=True):
            answered = [i for i in q.alive if q.work.attempts[i].answer is not None]
            q.alive = sorted(answered, key=lambda i: -of_it.get(i, 0.0))[: self.keep]
        return refused


async def _buy(moves: Sequence[tuple[Candidates, Arm]], bench: Workbench) -> int:
    before = {id(q): len(q.work.attempts) for q, _ in moves}
    refused = await bench.attempt([(q.work, arm) for q, arm in moves])
    for q in {id(q): q for q, _ in moves}.values():
        q.alive += range(before[id(q)], len(q.work.attempts))
    return refused


async def _scores(
    verifier: str, questions: Sequence[Candidates], bench: Workbench
) -> tuple[int, list[dict[int, float]]]:
    """Calls refused, and per question the score of each candidate that has one."""
    before = [len(q.work.verdicts) for q in questions]
    refused = await judge(VERIFIERS[verifier], [(q.work, i) for q in questions for i in q.alive],
                          bench)  # fmt: skip
    scores = [
        {v.attempt: v.score for v in q.work.verdicts[n:] if v.score is not None}
        for q, n in zip(questions, before, strict=True)
    ]
    return refused, scores
