"""The driver of fixed strategies: one more attempt for every open question, round after round.

A fixed strategy is a small table of two columns, which arm comes next and which answer is given;
this driver is shared and tested once. Questions are served in turn, so at any budget they have
equally many attempts, give or take one: the uniform allocation that `auto` is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bursar.answer import Answer
from bursar.reason.base import Arm, OnRound, Pick, Round, Work, to_answer
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question


class Rule(Protocol):
    """A fixed strategy's two decisions."""

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        """The arm to buy next for this question; None when it has had enough."""
        ...

    def pick(self, work: Work) -> Pick:
        """The answer to give now."""
        ...


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Runs a `Rule` over all questions in turn until the purse or the rule ends it.

    An answer that the exact checker accepted ends a question under every rule: going on could
    not make it more right.
    """

    name: str
    rule: Rule

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(q) for q in questions]
        refused = 0
        while not refused and (moves := self._moves(works, bench)):
            refused = await bench.attempt(moves)
            if on_round:
                picks = tuple(self._pick(w) for w in works)
                on_round(Round(bench.purse.spent, None, len(moves) - refused, picks))
        return [to_answer(w, self._pick(w)) for w in works]

    def _moves(self, works: Sequence[Work], bench: Workbench) -> list[tuple[Work, Arm]]:
        moves = []
        for work in works:
            if work.stopped:
                continue
            if work.verified is not None:
                work.stopped = "verified"
                continue
            arm = self.rule.next_arm(work, bench)
            if arm is None:
                work.stopped = "enough"
            elif arm in work.closed:
                work.stopped = "exhausted"
            else:
                moves.append((work, arm))
        return moves

    def _pick(self, work: Work) -> Pick:
        return Pick(work.verified, 1.0) if work.verified is not None else self.rule.pick(work)
