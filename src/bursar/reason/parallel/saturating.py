"""Saturating: parallel samples, then rounds of revision, each until its predicted saturation.

Paper: Jian Wang, Boyan Zhu, Chak Tou Leong, Yongqi Li, Wenjie Li, "Scaling over Scaling: Exploring
    Test-Time Scaling Pareto in Large Reasoning Models", 2025, arXiv:2505.20522; the saturation
    points of parallel and of sequential scaling.
Symbols: epsilon -> gain; N* -> the most attempts of a phase; p_x -> rates fitted on `probes`.
Differs: the paper derives both points and combines nothing. Here one phase follows the other on
    the questions still open; rates of a task's questions differ (`value.budget_of_law`).
Checked: tests/papers/test_saturating.py: on Countdown a round before the stop solves about as many
    more as was asked for, a round of plain sampling after it less than a quarter.
Seed: 77
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.answer import Answer
from bursar.reason.base import Arm, OnRound, Round, Work, to_answer
from bursar.reason.parallel.backtrack import open_works, pick
from bursar.reason.workbench import Workbench
from bursar.value import BetaDifficulty, budget_of_law
from bursar.workload.tasks.base import Question


@dataclass(frozen=True, slots=True)
class Saturating:
    """A phase ends for a task's questions when one more attempt is predicted to solve at most
    `gain` of them. `probes`: attempts of each phase before the first prediction.

    Without an exact checker nothing is known to succeed, and each phase ends with its probes.
    """

    gain: float = 0.02
    probes: int = 4
    name: str = "saturating"

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        works = [Work(question) for question in questions]
        for revise in (False, True):
            if not revise or bench.backends[0] in bench.revise:
                await self._phase(works, revise, bench, on_round)
        return [to_answer(work, pick(work)) for work in works]

    async def _phase(
        self, works: Sequence[Work], revise: bool, bench: Workbench, on_round: OnRound | None
    ) -> None:
        """One more attempt of every open question whose task is below its N*, round by round."""
        arm = Arm(bench.backends[0], bench.temperature, revise=revise)
        entered = open_works(works, arm)
        first = {work.question.id: len(work.attempts) for work in entered}
        played, refused = 0, 0
        while not refused:
            still = [w for w in open_works(entered, arm) if not _full(w, arm)]
            tasks = {work.question.task for work in still}
            going = {t for t in tasks if played < self._most(t, entered, first, bench)}
            still = [work for work in still if work.question.task in going]
            if not still:
                return
            refused = await bench.attempt([(work, arm) for work in still])
            played += 1
            if on_round:
                picks = tuple(pick(work) for work in works)
                on_round(Round(bench.purse.spent, None, len(still) - refused, picks))

    def _most(
        self, task: str, entered: Sequence[Work], first: dict[str, int], bench: Workbench
    ) -> int:
        """N* of this phase for a task: from how many attempts each question took, or has failed."""
        mine = [work for work in entered if work.question.task == task]
        tried = [len(work.attempts) - first[work.question.id] for work in mine]
        if max(tried) < self.probes or not bench.checker_at_hand(mine[0]):
            return self.probes
        solved = [float(work.verified is not None) for work in mine]
        return budget_of_law(BetaDifficulty.fit(solved, tried), self.gain)


def _full(work: Work, arm: Arm) -> bool:
    """Whether the context has no room for another round of revision."""
    return arm.revise and bool(work.attempts) and work.attempts[-1].truncated
